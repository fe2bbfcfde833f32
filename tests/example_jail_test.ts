/**
 * What players can do who have taken over the program of the challenge host.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { processesIn, ShellChallenge, testJails } from "./_challenge.ts";
import { ROOT } from "./_examples.ts";
import { receiveAll, text } from "./_sockets.ts";
import { until, untilSteady } from "./_waiting.ts";

testJails("what a player has started ends with the connection", async (setting) => {
  await using challenge = await ShellChallenge.start(setting);
  using other = await challenge.connect();
  const start = "sleep 60 & setsid sleep 60 & (setsid sh -c 'trap \"\" TERM HUP; sleep 60' &)";
  for (const leave of ["close", "exit", "ignore"]) {
    using player = await challenge.connect();
    const namespace = await player.namespace();
    await player.run(start);
    const sleeping = () => processesIn(namespace).filter((name) => name === "sleep").length;
    await until("the processes to have started", () => sleeping() === 3);
    if (leave === "exit") await player.type("exit");
    if (leave === "ignore") await player.type("trap '' TERM HUP; exec sleep 60");
    if (leave === "ignore") await until("the shell to be gone", () => sleeping() === 4);
    player[Symbol.dispose]();
    await until(`no process to be left after ${leave}`, () => processesIn(namespace).length === 0);
  }
  await other.assertPlays();
});

testJails("what a player has started ends when the server is killed", async (setting) => {
  await using challenge = await ShellChallenge.start(setting);
  using player = await challenge.connect();
  const namespace = await player.namespace();
  await player.type("setsid sleep 60 & exec sleep 60");
  await until("the processes to have started", () => {
    return processesIn(namespace).filter((name) => name === "sleep").length === 2;
  });
  challenge.spawnd.kill("SIGKILL");
  await until("no process to be left", () => processesIn(namespace).length === 0);
});

testJails("a player who needs too much memory does not get it", async (setting) => {
  await using challenge = await ShellChallenge.start(setting);
  using other = await challenge.connect();
  using player = await challenge.connect();
  const [message, code] = await player.run("tail /dev/zero; echo $?");
  assertMatch(message!, /memory exhausted/);
  assertEquals(code, "1");
  await other.assertPlays();
});

testJails("a player who computes for too long is ended", async (setting) => {
  await using challenge = await ShellChallenge.start(setting);
  using other = await challenge.connect();
  using player = await challenge.connect();
  const namespace = await player.namespace();
  await player.type("while :; do :; done");
  await receiveAll(player.conn);
  player[Symbol.dispose]();
  const { exit, seconds } = await challenge.spawnd.record({ message: "end" });
  assertEquals(exit, 137); // 128 + SIGKILL
  assert(Number(seconds) > 1.9, `after ${seconds} s`);
  await until("no process to be left", () => processesIn(namespace).length === 0);
  await other.assertPlays();
});

testJails("a player's fork bomb leaves the others their processes, and ends", async (setting) => {
  await using challenge = await ShellChallenge.start(setting);
  using other = await challenge.connect();
  using player = await challenge.connect();
  const namespace = await player.namespace();
  await player.type("exec perl -e 'fork // sleep 60 while 1'");
  const bombs = () => processesIn(namespace).filter((name) => name === "perl").length;
  const count = await untilSteady("the number of processes", () => bombs() > 1 && bombs());
  assert(Number(count) > 8 && Number(count) < 16, `${count} processes`);
  await other.run("for each in 1 2 3 4 5; do sleep 60 & done");
  await other.assertPlays();
  player[Symbol.dispose]();
  await until("the bomb to end", () => processesIn(namespace).length === 0);
});

testJails("a player reaches no network, and sees nobody else's processes", async (setting) => {
  await using challenge = await ShellChallenge.start(setting);
  using player = await challenge.connect();
  const { port } = challenge.spawnd;
  const connect = `busybox nc -w 5 127.0.0.1 ${port} </dev/null; echo $?`;
  assertEquals((await player.run(connect)).slice(-1), ["1"]);
  assertEquals(challenge.spawnd.records({ message: "open" }).length, 1);
  assertEquals(await player.run("sed 1,2d /proc/net/dev | cut -d : -f 1 | tr -d ' '"), ["lo"]);
  const inside = await player.run("cat /proc/[0-9]*/comm");
  assertEquals(inside.filter((name) => !/^(sh|bwrap|cat)$/.test(name)), []);
});

testJails("a player is no user of the server, and not root", async (setting) => {
  await using challenge = await ShellChallenge.start(setting);
  using player = await challenge.connect();
  using other = await challenge.connect();
  const owner = async (conn: Deno.TcpConn) => {
    const client = `127.0.0.1:${conn.localAddr.port}`;
    const { pid } = await challenge.spawnd.record({ message: "open", client });
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    return Number(/^Uid:\t(\d+)/m.exec(status)![1]);
  };
  await Promise.all([player, other].map((each) => each.assertPlays()));
  const users = [await owner(player.conn), await owner(other.conn)];
  if (setting.byRoot) {
    assert(users.every((user) => user > 2_000_000_000) && users[0] !== users[1], `${users}`);
  } else {
    const user = Deno.uid() || 65534;
    assertEquals(users, [user, user]);
  }
  const status = await player.run("grep -E '^(CapEff|NoNewPrivs)' /proc/self/status");
  assertEquals(status, ["NoNewPrivs:\t1", "CapEff:\t0000000000000000"].sort());
  assertMatch((await player.run("unshare --user true"))[0]!, /failed/);
});

testJails(
  "a player sees the client's address, nothing else of the environment",
  async (setting) => {
    await using challenge = await ShellChallenge.start(setting);
    using player = await challenge.connect();
    const environment = await player.run("env | sort");
    const expected = [`PATH=${Deno.env.get("PATH")}`, "PWD=/usr", "TCPREMOTEIP=127.0.0.1"];
    assertEquals(environment, expected);
    assertEquals(
      await player.run("cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep SECRET"),
      [],
    );
  },
);

testJails("a player's files are small, few, and gone afterwards", async (setting) => {
  await using challenge = await ShellChallenge.start(setting);
  using player = await challenge.connect();
  const size = await player.run("head -c 2000000 /dev/zero >/tmp/file; wc -c </tmp/file");
  assertEquals(size.slice(-1), [`${1024 * 1024}`]);
  await player.run("for each in 1 2 3 4 5; do cp /tmp/file /tmp/spawnd-test-$each; done");
  const [total] = await player.run("cat /tmp/* | wc -c");
  assertEquals(total, `${4 * 1024 * 1024}`);
  const names = [...Deno.readDirSync("/tmp")].map(({ name }) => name);
  assertEquals(names.filter((name) => name.startsWith("spawnd-test-")), []);
});

testJails("a player sees no files of the host and the server", async (setting) => {
  await using challenge = await ShellChallenge.start(setting);
  using player = await challenge.connect();
  const paths = `/root /home /var /etc/passwd ${ROOT} ${challenge.folder}`;
  assertEquals(await player.run(`ls -d ${paths} 2>/dev/null`), []);
  const [count] = await player.run("touch /usr/new /dev/shm/new /new 2>&1 | grep -c Read-only");
  assertEquals(count, "3");
}, { jails: /bwrap/ });

testJails("a program starts in its own folder, which it cannot change", async (setting) => {
  await using challenge = await ShellChallenge.start(setting, "./run");
  using player = await challenge.connect();
  const answer = text(await receiveAll(player.conn));
  assertMatch(answer, /^the flag\n.*(Read-only file system|Permission denied)\n$/);
  assertEquals(await Deno.readTextFile(`${challenge.folder}/flag`), "the flag\n");
});
