/**
 * The challenge host as its README starts it, and which jail it chooses.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { works } from "./_challenge.ts";
import { childOf, dialogue, receiveLine, ROOT, start } from "./_examples.ts";
import { makeFolder, run } from "./_service.ts";
import { ask, receiveAll, send, text } from "./_sockets.ts";
import type { Spawnd } from "./_spawnd.ts";

const SCRIPT = `${ROOT}examples/challenge.sh`;

/** Declares a test that needs the jails that the challenge host chooses by itself. */
function testChallenge(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: `${name} (needs user namespaces: apt-get install bubblewrap busybox)`,
    ignore: !works("bwrap") || !works("unshare"),
    fn,
  });
}

/** Starts the challenge host. */
function startChallenge(replacements: Record<string, string> = {}): Promise<Spawnd> {
  return start("examples/challenge.sh", replacements);
}

/** Connects, and checks that the challenge answers. */
async function connectChallenge(spawnd: Spawnd): Promise<Deno.TcpConn> {
  const conn = await spawnd.connect();
  await send(conn, "6*7\n");
  assertEquals(await receiveLine(conn), "42");
  return conn;
}

testChallenge(
  "challenge.sh runs the program with limits and without the server's environment",
  async () => {
    await using spawnd = await startChallenge();
    const { question, answer } = dialogue("examples/challenge.sh");
    assertEquals(text(await ask(spawnd.port, question)), answer);
    using conn = await connectChallenge(spawnd);
    const pid = await childOf(conn, spawnd);
    const limits = await Deno.readTextFile(`/proc/${pid}/limits`);
    for (
      const [name, limit] of Object.entries({
        "cpu time": 2,
        "address space": 128 * 1024 * 1024,
        "file size": 1024 * 1024,
        "processes": 16,
        "open files": 32,
        "core file size": 0,
      })
    ) assertMatch(limits, new RegExp(`^Max ${name} +${limit} +${limit} `, "m"));
    const environment = await Deno.readTextFile(`/proc/${pid}/environ`);
    assertEquals(environment, `PATH=${Deno.env.get("PATH")}\0TCPREMOTEIP=127.0.0.1\0`);
  },
);

testChallenge(
  "a player's error messages reach that player only",
  async () => {
    await using spawnd = await startChallenge();
    assertMatch(text(await ask(spawnd.port, "1/0\n")), /zero/);
    await spawnd.record({ message: "end" });
    assertEquals(spawnd.lines, []);
  },
);

testChallenge(
  "a challenge that exceeds its CPU time is killed, while another goes on",
  async () => {
    await using spawnd = await startChallenge();
    using other = await connectChallenge(spawnd);
    using conn = await connectChallenge(spawnd);
    await send(conn, "while (1) {}\n");
    assertEquals(text(await receiveAll(conn)), "");
    conn.close();
    const { exit, reason, seconds } = await spawnd.record({ message: "end", id: 2 });
    assertEquals([exit, reason], [128 + 9, "child-closed"]);
    assert(Number(seconds) > 1.9, `after ${seconds} s`);
    await send(other, "6*7\n");
    assertEquals(await receiveLine(other), "42");
  },
);

testChallenge(
  "an idle player is disconnected after the session timeout",
  async () => {
    await using spawnd = await startChallenge({ "--session-timeout 300": "--session-timeout 1" });
    using conn = await connectChallenge(spawnd);
    assertEquals(text(await receiveAll(conn)), "");
    conn.close();
    const { reason, seconds } = await spawnd.record({ message: "end" });
    assertEquals(reason, "session-timeout");
    assert(Number(seconds) >= 1 && Number(seconds) < 10, `after ${seconds} s`);
  },
);

testChallenge(
  "a player's third connection is refused with the README's text",
  async () => {
    await using spawnd = await startChallenge();
    using _first = await connectChallenge(spawnd);
    using _second = await connectChallenge(spawnd);
    assertEquals(text(await ask(spawnd.port, "")), "Come back later.\n");
    await spawnd.record({ message: "refused", id: 3, reason: "source-limit" });
  },
);

testChallenge(
  "without bwrap, the challenge host uses unshare, and stderr says why",
  async () => {
    await using folder = await makeFolder();
    await Deno.chmod(folder.path, 0o755);
    const [bwrap, PATH] = [`${folder.path}/bwrap`, `${folder.path}:${Deno.env.get("PATH")}`];
    await Deno.writeTextFile(bwrap, "#!/bin/sh\necho bwrap: not permitted >&2; exit 1\n");
    await Deno.chmod(bwrap, 0o755);
    const readNames = ["env", `PATH=${PATH}`, SCRIPT, "sh", "-c", "cat /proc/[0-9]*/comm"];
    assertEquals(await run(readNames), {
      code: 0,
      stdout: "sh\nsh\n", // in a pid namespace
      stderr: "challenge.sh: bwrap does not work here: bwrap: not permitted\n",
    });
    // The reason goes to the server, not to the player.
    assertEquals(await run(["env", `PATH=${PATH}`, "JAIL=bwrap", SCRIPT, "true"]), {
      code: 1,
      stdout: "",
      stderr: "bwrap: not permitted\n",
    });
  },
);

testChallenge(
  "where namespaces are forbidden, the challenge host runs nothing, unless it is told to",
  async () => {
    const forbidden = [
      ...(Deno.uid() === 0 ? "setpriv --reuid=65534 --regid=65534 --clear-groups" : "env").split(
        " ",
      ),
      ..."unshare --user --map-current-user --keep-caps sh -c".split(" "),
      'echo 0 >/proc/sys/user/max_user_namespaces; "$@"',
      "sh",
    ];
    // Its text, because the file may be in a folder that only root may enter.
    const script = ["sh", "-c", await Deno.readTextFile(SCRIPT), "challenge.sh", "echo", "it runs"];
    const reason = "[a-z]+: unshare failed: No space left on device\n";
    const { code, stdout, stderr } = await run([...forbidden, ...script]);
    assertEquals([code, stdout], [1, ""]);
    assertMatch(
      stderr,
      new RegExp(
        `^challenge.sh: bwrap does not work here: ${reason}` +
          `challenge.sh: unshare does not work here: ${reason}` +
          `challenge.sh: no jail, so nothing is run; JAIL=prlimit only limits\n$`,
      ),
    );
    const told = await run([...forbidden, "env", "JAIL=prlimit", ...script]);
    assertEquals(told, { code: 0, stdout: "it runs\n", stderr: "" });
  },
);

testChallenge(
  "without a jail, a player has the limits, no environment, and as root a user of its own",
  async () => {
    const spawnd = startChallenge({
      "-- examples/challenge.sh busybox bc": `-- env JAIL=prlimit SECRET=secret ${SCRIPT} sh`,
    });
    await using server = await spawnd;
    const answer = text(
      await ask(server.port, "env | sort; grep Uid: /proc/self/status; ulimit -t"),
    );
    const [path, pwd, address, user, seconds] = answer.split("\n");
    assertEquals([path, pwd], [`PATH=${Deno.env.get("PATH")}`, "PWD=/usr"]);
    assertEquals([address, seconds], ["TCPREMOTEIP=127.0.0.1", "2"]);
    assertMatch(
      user!,
      Deno.uid() === 0 ? /^Uid:\t200\d{7}\t/ : new RegExp(`^Uid:\t${Deno.uid()}\t`),
    );
  },
);

Deno.test("the challenge host says what is wrong with its command", async () => {
  for (
    const [args, code, message] of [
      [[], 2, /usage: challenge\.sh PROGRAM \[ARGUMENT\.\.\.\]\n$/],
      [["missing-program"], 127, /^challenge\.sh: there is no program missing-program\n$/],
      [["/usr/bin/missing"], 127, /^challenge\.sh: there is no program \/usr\/bin\/missing\n$/],
      [["/"], 2, /^challenge\.sh: \/ has to be in a folder of its own\n$/],
    ] as const
  ) {
    const { stderr, ...rest } = await run([SCRIPT, ...args]);
    assertEquals(rest, { code, stdout: "" });
    assertMatch(stderr, message);
  }
  const { code, stderr } = await run(["env", "JAIL=chroot", SCRIPT, "true"]);
  assertEquals(code, 2);
  assertEquals(
    stderr,
    "challenge.sh: JAIL has to be bwrap, unshare, or prlimit, which only limits; not chroot\n",
  );
});
