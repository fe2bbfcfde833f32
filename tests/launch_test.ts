/** The world a child is started in: its environment, folder, user and stop signal. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { ask, receive, receiveAll, send, text } from "./_sockets.ts";
import { serveScript, Spawnd } from "./_spawnd.ts";
import { testAsRoot } from "./_test_with.ts";
import { until } from "./_waiting.ts";

Deno.test("--env adds variables, and the last of a name counts", async () => {
  for (const warm of ["0", "1"]) {
    await using spawnd = await serveScript(
      `cat; printf %s "$A|$B|$TCPREMOTEIP"`,
      ...["--warm", warm, "--env", "A=1", "--env", "A=two words=x", "--env", "B="],
      ...["--env", "TCPREMOTEIP=mine"],
    );
    assertEquals(text(await ask(spawnd.port, "")), "two words=x||mine");
  }
});

Deno.test("--clear-env keeps what every program needs, and no secret", async () => {
  const inherited = {
    SECRET: "s",
    LC_TIME: "C",
    TZ: "Europe/Oslo",
    LANG: "C.UTF-8",
    HOME: "/h\n2",
  };
  await using spawnd = await Spawnd.startIn(
    inherited,
    ...["--clear-env", "--env", "A=1", "--", "sh", "-c", "env -0; cat"],
  );
  const entries = text(await ask(spawnd.port, "")).split("\0").slice(0, -1);
  const { PATH, PWD: _, ...environment } = Object.fromEntries(entries.map((entry) => {
    const at = entry.indexOf("=");
    return [entry.slice(0, at), entry.slice(at + 1)];
  }));
  assertMatch(PATH!, /\/bin/);
  const own = Object.entries(environment).filter(([name]) =>
    !/^(TCP|REMOTE_|PROTO|SSL_)/.test(name)
  );
  assertEquals(Object.fromEntries(own), {
    ...{ A: "1", LC_TIME: "C", TZ: "Europe/Oslo", LANG: "C.UTF-8", HOME: "/h\n2" },
  });
});

Deno.test("a module with --clear-env starts, and sees no secret", async () => {
  const module = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(module, `console.log(Deno.env.get("SECRET"), Deno.env.get("A"));`);
  await using spawnd = await Spawnd.startIn(
    { SECRET: "s" },
    ...["--clear-env", "--env", "A=1", "--grant", "env", "--warm", "0", module],
  );
  assertEquals(text(await ask(spawnd.port, "")), "undefined 1\n");
  await Deno.remove(module);
});

Deno.test("--cwd is where the child runs, and where its program's path starts", async () => {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  await Deno.writeTextFile(`${folder}/here`, "#!/bin/sh\npwd -P\n");
  await Deno.chmod(`${folder}/here`, 0o755);
  await Deno.writeTextFile(`${folder}/here.ts`, `console.log("module");`);
  for (const [handler, answer] of [[["--", "./here"], folder], [["here.ts"], "module"]] as const) {
    await using spawnd = await Spawnd.start("--cwd", folder, "--warm", "0", ...handler);
    assertEquals(text(await ask(spawnd.port, "")), `${answer}\n`);
  }
  await Deno.remove(folder, { recursive: true });
});

const IDENTITY = `id -un; id -gn; id -G; printf '%s\\n' "$HOME" "$USER" "$LOGNAME"`;

testAsRoot("--user is looked up once, with its own group or another, and no others", async () => {
  for (
    const [user, answer] of [
      ["games", "games\ngames\n60\n/usr/games\ngames\ngames\n"],
      ["games:mail", "games\nmail\n8\n/usr/games\ngames\ngames\n"],
      ["5:8", "games\nmail\n8\n/usr/games\ngames\ngames\n"],
      ["games:no-such-group", undefined],
    ] as const
  ) {
    for (const warm of ["0", "1"]) {
      await using spawnd = Spawnd.startingAt(
        "/",
        ...["--user", user, "--warm", warm, "--", "sh", "-c", `cat; ${IDENTITY}`],
      );
      if (answer !== undefined) {
        assertEquals(text(await ask(await spawnd.listening(), "")), answer);
      } else {
        assertEquals((await spawnd.ended()).code, 1);
        assertEquals(spawnd.lines, ['spawnd: Cannot start "sh": there is no group no-such-group']);
      }
    }
  }
  for (
    const [user, missing] of [
      ["no-such-user", "user no-such-user"],
      ["games:ma.l", "group ma.l"],
      ["games:--help", "group --help"],
      ["-r", "user -r"],
      ["$(id)", "user $(id)"],
    ] as const
  ) {
    await using spawnd = Spawnd.startingAt("/", `--user=${user}`, "--", "cat");
    assertEquals((await spawnd.ended()).code, 1);
    assertEquals(spawnd.lines, [`spawnd: Cannot start "cat": there is no ${missing}`]);
  }
});

testAsRoot("without setpriv, Deno changes the user", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.chmod(folder, 0o755);
  for (const program of ["sh", "id", "cat", "setsid", "env"]) {
    const { stdout } = await new Deno.Command("sh", { args: ["-c", `command -v ${program}`] })
      .output();
    await Deno.symlink(text(stdout).trim(), `${folder}/${program}`);
  }
  await using spawnd = await Spawnd.startIn(
    { PATH: folder },
    ...["--cwd", "/", "--user", "games", "--", "sh", "-c", "cat; id -u; id -g; id -G"],
  );
  assertEquals(text(await ask(spawnd.port, "")), "5\n60\n60\n");
  await Deno.remove(folder, { recursive: true });
});

Deno.test("--stop-signal is the first signal of the ladder", async () => {
  for (const name of ["HUP", "SIGINT", "usr1"]) {
    const signal = name.toUpperCase().replace("SIG", "");
    await using spawnd = await serveScript(
      `trap 'echo saved; exit 0' ${signal}; echo ready; while :; do sleep 0.05; done`,
      ...["--stop-signal", name, "--kill-timeout", "0.3", "--drain-timeout", "0.1"],
    );
    using conn = await spawnd.connect();
    assertEquals(text(await receive(conn, 6)), "ready\n");
    spawnd.kill("SIGTERM");
    assertEquals(text(await receiveAll(conn)), "saved\n");
    conn.close();
    await spawnd.ended();
    assertEquals((await spawnd.record({ message: "end" })).exit, 0);
  }
});

Deno.test("--stderr client sends stderr in order with stdout", async () => {
  const script = "read -r line; for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done";
  for (const warm of ["0", "1"]) {
    await using spawnd = await serveScript(script, "--stderr", "client", "--warm", warm);
    const expected = [1, 2, 3, 4, 5].map((i) => `out${i}\nerr${i}\n`).join("");
    assertEquals(text(await ask(spawnd.port, "go\n")), expected);
  }
});

Deno.test("--stderr client works for a module", async () => {
  const module = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(module, `console.log("out"); console.error("err"); console.log("end");`);
  await using spawnd = await Spawnd.start("--stderr", "client", "--warm", "0", module);
  assertEquals(text(await ask(spawnd.port, "")), "out\nerr\nend\n");
  await Deno.remove(module);
});

Deno.test("a child without output is fed until it exits", async () => {
  const file = await Deno.makeTempFile();
  await using storing = await Spawnd.start("--", "sh", "-c", `exec >&-; exec cat >${file}`);
  using conn = await storing.connect();
  assertEquals(text(await receiveAll(conn)), ""); // the client sees the half-close first
  let sent = "";
  for (let line = 0; line < 16; line++) {
    await send(conn, `line ${line}\n`);
    sent += `line ${line}\n`;
    await until("the line to be stored", async () => (await Deno.readTextFile(file)) === sent);
  }
  await conn.closeWrite();
  const end = await storing.record({ message: "end" });
  assertEquals([end.in, end.dropped, end.exit, end.reason], [
    sent.length,
    undefined,
    0,
    "child-closed",
  ]);
  await Deno.remove(file);
});

Deno.test("a child without output ends when it takes no more input, or at the idle timeout", async () => {
  await using closing = await serveScript("exec >&-; read -r line; exec <&-; sleep 0.3");
  using conn = await closing.connect();
  await send(conn, "line\n");
  await until("the child to take no more", async () => {
    await send(conn, "more\n").catch(() => {});
    return closing.records({ message: "end" })[0];
  });
  const end = await closing.record({ message: "end" });
  assertEquals([end.exit, end.reason], [0, "child-closed"]);
  assert(Number(end.dropped) > 0);

  await using idle = await serveScript("exec >&-; exec cat >/dev/null", "--idle-timeout", "0.3");
  using silent = await idle.connect();
  assertEquals((await idle.record({ message: "end" })).reason, "idle-timeout");
  assertEquals(text(await receiveAll(silent)), "");
});

Deno.test("a child without output that reads late gets all of it", async () => {
  const file = await Deno.makeTempFile();
  await using spawnd = await serveScript(`exec >&-; sleep 3; exec cat >${file}`);
  using conn = await spawnd.connect();
  assertEquals(text(await receiveAll(conn)), "");
  await send(conn, new Uint8Array(10_000_000));
  await conn.closeWrite();
  const end = await spawnd.record({ message: "end" });
  assertEquals([end.in, end.dropped, end.reason], [10_000_000, undefined, "child-closed"]);
  assertEquals((await Deno.stat(file)).size, 10_000_000);
  await Deno.remove(file);
});

Deno.test("bytes that a child does not take are counted as dropped", async () => {
  await using spawnd = await serveScript("exec <&-; echo ready; sleep 0.3; echo bye");
  using conn = await spawnd.connect();
  assertEquals(text(await receive(conn, 6)), "ready\n");
  await send(conn, new Uint8Array(100_000));
  await conn.closeWrite();
  assertEquals(text(await receiveAll(conn)), "bye\n");
  const end = await spawnd.record({ message: "end" });
  assertEquals([end.in, end.dropped], [0, 100_000]);
});
