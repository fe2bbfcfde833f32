import { assert, assertEquals } from "@std/assert";
import { childrenOf, isAlive } from "./_processes.ts";
import { ask, connectFrom, receive, receiveAll, send, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { Terminal } from "./_terminal.ts";
import { testWith } from "./_test_with.ts";
import { until, within } from "./_waiting.ts";

const MAIN = new URL("../main.ts", import.meta.url).pathname;

/** Waits until the server has `count` children, and returns them. */
async function untilChildren(spawnd: Spawnd, count: number): Promise<number[]> {
  await until(`${count} children`, () => childrenOf(spawnd.pid).length === count);
  return childrenOf(spawnd.pid);
}

async function untilGone(pids: number[]): Promise<void> {
  await until("the children to be gone", () => !pids.some(isAlive), 5000);
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`${signal} ends an idle server with exit code 0 and no child left`, async () => {
    await using spawnd = await Spawnd.start("--warm", "4");
    const children = await untilChildren(spawnd, 4);
    assertEquals((await spawnd.stop(signal)).code, 0);
    assert(!children.some(isAlive));
    assertEquals(spawnd.records({ message: "stopped" }).length, 1);
  });

  Deno.test(`${signal} lets open connections finish, and accepts no others`, async () => {
    await using spawnd = await Spawnd.start("--stderr", "null");
    using conn = await spawnd.connect();
    await send(conn, "one");
    await receive(conn, 256);
    spawnd.kill(signal);
    await spawnd.record({ message: "draining", active: 1, timeout: 30 });
    await until("a late connection to be refused", async () => {
      try {
        (await spawnd.connect()).close();
        return false;
      } catch (error) {
        return error instanceof Deno.errors.ConnectionRefused;
      }
    });
    await send(conn, "two");
    assertEquals(text(await receive(conn, 28)), "This is server send message:");
    await conn.closeWrite();
    await receiveAll(conn);
    assertEquals((await spawnd.ended()).code, 0);
    assertEquals((await spawnd.record({ message: "end" })).reason, "client-closed");
  });
}

Deno.test("after the drain timeout open connections are cut, and the exit code is 1", async () => {
  await using spawnd = await Spawnd.start(
    ...["--drain-timeout", "0.3", "--kill-timeout", "0.2", "--warm", "1"],
    ...["--", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"],
  );
  using conn = await spawnd.connect();
  assertEquals(text(await receive(conn, 6)), "ready\n");
  const { pid } = await spawnd.record({ message: "open" });
  spawnd.kill("SIGTERM");
  await receiveAll(conn);
  conn.close();
  assertEquals((await spawnd.ended()).code, 1);
  const end = await spawnd.record({ message: "end" });
  assertEquals([end.exit, end.reason], ["SIGKILL", "drain-timeout"]);
  assertEquals((await spawnd.record({ message: "stopped" })).cut, 1);
  await untilGone([Number(pid)]);
});

Deno.test("a child that is cut can still send its last output", async () => {
  await using spawnd = await Spawnd.start(
    "--drain-timeout",
    "0",
    "--",
    "sh",
    "-c",
    "cat; echo bye",
  );
  using conn = await spawnd.connect();
  await send(conn, "hello\n");
  assertEquals(text(await receive(conn, 6)), "hello\n");
  spawnd.kill("SIGTERM");
  assertEquals(text(await receiveAll(conn)), "bye\n");
  conn.close();
  assertEquals((await spawnd.ended()).code, 1);
});

for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
  Deno.test(`a second signal, ${signal}, kills every child at once and exits ${code}`, async () => {
    await using spawnd = await Spawnd.start(
      "--",
      "sh",
      "-c",
      "trap '' TERM INT; echo ready; while :; do sleep 0.05; done",
    );
    using conn = await spawnd.connect();
    assertEquals(text(await receive(conn, 6)), "ready\n");
    const { pid } = await spawnd.record({ message: "open" });
    spawnd.kill("SIGTERM");
    await spawnd.record({ message: "draining" });
    assertEquals((await spawnd.stop(signal)).code, code);
    await untilGone([Number(pid)]);
    assertEquals((await spawnd.record({ message: "end" })).reason, "killed");
    assertEquals((await spawnd.record({ message: "stopped" })).cut, 1);
  });
}

for (const handler of [[], ["--", "cat"]]) {
  const name = handler.at(-1) ?? "the counter";
  testWith("script", "bsdutils", `Ctrl-C reaches only the server: ${name}`, async () => {
    const log = await Deno.makeTempFile();
    const command = [
      ...[Deno.execPath(), "run", "--allow-net", "--allow-run", MAIN, "--host", "127.0.0.1"],
      ...["--port", "0", "--warm", "2", ...handler, `2>${log}`],
    ].join(" ");
    await using terminal = new Deno.Command("script", {
      args: ["-qefc", command, "/dev/null"],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const keyboard = terminal.stdin.getWriter();
    const press = () => keyboard.write(new Uint8Array([3]));
    let shown = "";
    const showing = (async () => {
      for await (const part of terminal.stdout.pipeThrough(new TextDecoderStream())) shown += part;
    })();
    const [, port] = await until("the port", () => /:(\d+)\r\n/.exec(shown));
    using conn = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
    await send(conn, "one");
    await receive(conn, handler.length ? 3 : 256);
    await press();
    const logged = (text: RegExp) =>
      until(`${text} in the log`, async () => text.test(await Deno.readTextFile(log)));
    await logged(/draining active=1/);
    await send(conn, "two"); // the child lives, and the client is served on
    await receive(conn, handler.length ? 3 : 256);
    await press();
    assertEquals((await within("the end", terminal.status)).code, 130);
    await logged(/ exit=SIGKILL reason=killed/);
    await Promise.allSettled([showing, keyboard.close()]);
    await Deno.remove(log);
  });
}

Deno.test("children that a signal to all reaches are not taken for failures", async () => {
  await using spawnd = await Spawnd.start("--warm", "4");
  const children = await untilChildren(spawnd, 4);
  for (const child of children) Deno.kill(child, "SIGINT");
  await until(
    "the children to be reaped",
    () => !childrenOf(spawnd.pid).some((child) => children.includes(child)),
  );
  assertEquals((await spawnd.stop("SIGINT")).code, 0);
  assertEquals(spawnd.records({ level: "WARN" }), []);
});

Deno.test("children that die of Ctrl-C are cut connections: the exit code is 1", async () => {
  await using spawnd = await Spawnd.start("--no-group", "--warm", "0", "--", "cat");
  using conn = await spawnd.connect();
  await send(conn, "x");
  await receive(conn, 1);
  Deno.kill(childrenOf(spawnd.pid)[0]!, "SIGINT");
  assertEquals((await spawnd.stop("SIGINT")).code, 1);
  assertEquals((await spawnd.record({ message: "end" })).exit, "SIGINT");
  assertEquals((await spawnd.record({ message: "stopped" })).cut, 1);
});

Deno.test("a second signal records waiting and handshaking clients too", async () => {
  await using spawnd = await Spawnd.start(
    ...["--max-connections", "1", "--accept-proxy", "127.0.0.2", "--", "cat"],
  );
  using first = await spawnd.connect();
  await spawnd.record({ message: "open", id: 1 });
  using waiting = await spawnd.connect();
  await spawnd.record({ message: "waiting", id: 2 });
  const handshaking = await connectFrom("127.0.0.2", spawnd.port);
  await until("three clients", async () => (await spawnd.status()).accepted === 3);
  spawnd.kill("SIGTERM");
  await spawnd.record({ message: "draining" });
  assertEquals((await spawnd.stop("SIGTERM")).code, 143);
  assertEquals((await spawnd.record({ message: "end", id: 1 })).reason, "killed");
  assertEquals((await spawnd.record({ message: "refused", id: 2 })).reason, "busy");
  assertEquals((await spawnd.record({ message: "refused", id: 3 })).reason, "handshake");
  assertEquals((await spawnd.record({ message: "stopped" })).cut, 3);
  for (const conn of [first, waiting]) conn.close();
  handshaking.destroy();
});

for (const signal of ["SIGUSR2", "SIGUSR1"] as const) {
  Deno.test(`${signal} logs the counters and changes nothing`, async () => {
    await using spawnd = await Spawnd.start("--warm", "2", "--", "cat");
    await untilChildren(spawnd, 2);
    await ask(spawnd.port, "hello");
    using conn = await spawnd.connect();
    await send(conn, "x");
    await receive(conn, 1);
    await untilChildren(spawnd, 3);
    spawnd.kill(signal);
    const { active, warm, ended, failed } = await spawnd.record({ message: "status" });
    assertEquals({ active, warm, ended, failed }, { active: 1, warm: 2, ended: 1, failed: 0 });
    await send(conn, "y");
    assertEquals(text(await receive(conn, 1)), "y");
  });
}

Deno.test("SIGKILL of the server leaves no child, idle or serving", async () => {
  await using spawnd = await Spawnd.start("--warm", "4");
  await untilChildren(spawnd, 4);
  using conn = await spawnd.connect();
  await send(conn, "hello");
  await receive(conn, 256);
  const children = await untilChildren(spawnd, 5);
  spawnd.kill("SIGKILL");
  await untilGone(children);
});

Deno.test("SIGTERM at any time ends the server without a hang, stack trace or orphan", async () => {
  for (let round = 0; round < 20; round++) {
    await using spawnd = Spawnd.run(
      "--host",
      "127.0.0.1",
      "--port",
      `${21_000 + round}`,
      "--kill-timeout",
      "1",
    );
    const deadline = performance.now() + Math.random() * 250; // the moments differ on purpose
    const conns: Deno.Conn[] = [];
    while (performance.now() < deadline && !spawnd.exited) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      const connecting = Deno.connect({ hostname: "127.0.0.1", port: 21_000 + round });
      await connecting.then(async (conn) => {
        conns.push(conn);
        if (conns.length % 2) await send(conn, "hello");
      }).catch(() => {}); // not yet listening
      if (conns.length > 3) conns.shift()!.close();
    }
    const children = childrenOf(spawnd.pid);
    spawnd.kill("SIGTERM");
    for (const conn of conns) conn.close();
    const { code, signal } = await spawnd.ended();
    assert(code === 0 || signal === "SIGTERM", `exit code ${code}, signal ${signal}`);
    await untilGone(children);
    const odd = spawnd.lines.filter((line) => /^\s+at |error/i.test(line));
    assertEquals(odd, []);
  }
});

testWith(
  "script",
  "bsdutils",
  "SIGHUP reloads, unless it tells that the terminal is gone",
  async () => {
    const terminal = new Terminal("-- cat");
    const [, port] = await terminal.untilShown(/listening on \S+:(\d+)\r\n/);
    Deno.kill(terminal.pid, "SIGHUP");
    await terminal.untilShown(/reloaded/);
    assertEquals(text(await ask(Number(port), "hello")), "hello");
    await terminal.hangUp();
  },
);
