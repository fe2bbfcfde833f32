import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { commandHandler, HandlerError, ListenError, moduleHandler, Server } from "../lib/mod.ts";
import { OPTIONS, type ServerOptions } from "../lib/server/options.ts";
import { StatusListener } from "../lib/status/listener.ts";
import { childrenOf, isAlive } from "./_processes.ts";
import { ask, receive, receiveAll, send, text } from "./_sockets.ts";
import { until, within } from "./_waiting.ts";

Deno.test("a server can be had in one statement and is gone after its block", async () => {
  let children: number[];
  {
    await using server = await Server.listen({
      handler: commandHandler("cat"),
      hostname: "127.0.0.1",
      port: 0,
      warm: 2,
    });
    assertEquals(text(await ask(server.addr.port, "hello")), "hello");
    await until("two warm children, and the end of the connection", () => {
      const { warm, ended } = server.status();
      return warm === 2 && ended === 1;
    });
    children = childrenOf(Deno.pid);
    assert(children.length >= 2);
    const { refused, endReasons, exits, killed, limits, ...facts } = server.status();
    assertEquals([endReasons["client-closed"], exits], [1, { 0: 1 }]);
    assertEquals(limits, { connections: 256, queue: 64, warm: 2 });
    assertEquals(facts, {
      ...{ accepted: 1, active: 0, waiting: 0, ended: 1, failed: 0 },
      ...{ warm: 2, spawned: 3, spawnFailures: 0, failing: false, bytesIn: 5, bytesOut: 5 },
    });
    assertEquals([...Object.values(refused), ...Object.values(killed)].filter(Boolean), []);
  }
  assert(!children.some(isAlive));
});

Deno.test("a program with an argument that no program can have is refused at once", async () => {
  for (
    const [arg, reason] of [
      ["x".repeat(131_072), "an argument has 131072 bytes, and may have 131071"],
      ["a\0", "an argument has a NUL character in it"],
    ] as const
  ) {
    const handler = commandHandler("cat", [arg]);
    await assertRejects(() => Server.listen({ handler, port: 0 }), HandlerError, reason);
  }
  const handler = commandHandler("printf", ["%s", "x".repeat(131_071)]);
  await using server = await Server.listen({ handler, hostname: "127.0.0.1", port: 0 });
  assertEquals((await ask(server.addr.port, "")).length, 131_071);
});

Deno.test("a status listener shows the server attached to it, and is gone after its block", async () => {
  const listen = { hostname: "127.0.0.1", port: 0 };
  await using status = StatusListener.listen(listen);
  const get = async (path: string) => {
    const response = await fetch(new URL(path, status.url));
    return [response.status, await response.text()] as const;
  };
  assertEquals(await get("healthz"), [200, "alive\n"]);
  for (const path of ["readyz", "status.json"]) {
    assertEquals(await get(path), [503, "starting\n"]);
  }
  const handler = commandHandler("cat");
  await using server = await Server.listen({ handler, ...listen }, { observer: status.observer });
  status.attach(server);
  assertEquals(await get("readyz"), [200, "ready\n"]);
  assertEquals(text(await ask(server.addr.port, "hello")), "hello");
  const [, metrics] = await get("metrics");
  assertMatch(metrics, /^spawnd_first_byte_duration_seconds_count 1$/m);
  assertThrows(() => StatusListener.listen({ ...listen, port: server.addr.port }), ListenError);
});

Deno.test("shutdown() says whether sessions had to be cut, however often it is asked", async () => {
  const server = await Server.listen({
    handler: commandHandler("cat"),
    hostname: "127.0.0.1",
    port: 0,
    drainTimeoutMs: 0,
  });
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: server.addr.port });
  await send(conn, "x");
  await receive(conn, 1);
  const first = server.shutdown();
  await receiveAll(conn);
  conn.close();
  assertEquals([await first, await server.shutdown(), await server.finished], [
    false,
    false,
    false,
  ]);
});

Deno.test("Server.listen() rejects with what a caller can act on, and leaves nothing behind", async () => {
  const handler = commandHandler("cat");
  const listen = { hostname: "127.0.0.1", port: 0 };
  const error = await assertRejects(
    () => Server.listen({ handler: commandHandler("no-such-program"), ...listen }),
    HandlerError,
  );
  assertEquals(error.message, 'Cannot start "no-such-program": there is no such program in PATH');
  await assertRejects(
    () => Server.listen({ handler: moduleHandler("/no/such.ts"), ...listen }),
    HandlerError,
  );
  await assertRejects(() => Server.listen({ handler, warm: -1, ...listen }), RangeError);
  await assertRejects(() => Server.listen({ handler, deny: ["10/8"], ...listen }), RangeError);
  await using server = await Server.listen({ handler, ...listen });
  await assertRejects(
    () => Server.listen({ handler, hostname: "127.0.0.1", port: server.addr.port }),
    ListenError,
  );
});

Deno.test("a library without a configured log prints nothing", async () => {
  const script = `
    import { commandHandler, Server } from "${new URL("../lib/mod.ts", import.meta.url)}";
    await using server = await Server.listen({ handler: commandHandler("true"), hostname: "127.0.0.1", port: 0 });
    using conn = await Deno.connect({ hostname: "127.0.0.1", port: server.addr.port });
    await conn.read(new Uint8Array(1));
  `;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--allow-net",
      "--allow-run",
      "--config=deno.json",
      `data:application/typescript,${encodeURIComponent(script)}`,
    ],
    cwd: new URL("../", import.meta.url),
  }).output();
  assertEquals([code, text(stdout), text(stderr)], [0, "", ""]);
});

Deno.test("an option that is explicitly undefined has its default", async () => {
  const undefinedOptions = Object.fromEntries(Object.keys(OPTIONS).map((key) => [key, undefined]));
  await using server = await Server.listen({
    ...undefinedOptions as unknown as Partial<ServerOptions>,
    handler: commandHandler("cat"),
    hostname: "127.0.0.1",
    port: 0,
  });
  assertEquals(text(await ask(server.addr.port, "hello")), "hello");
});

Deno.test("a signal ends a start, and shuts down a server that listens", async () => {
  const listen = { handler: commandHandler("cat"), hostname: "127.0.0.1", port: 0 };
  await assertRejects(
    () => Server.listen(listen, { signal: AbortSignal.abort(new Error("changed my mind")) }),
    Error,
    "changed my mind",
  );
  const stopping = new AbortController();
  const server = await Server.listen(listen, { signal: stopping.signal });
  stopping.abort();
  assertEquals(await server.finished, true);
});

Deno.test("a signal at any moment of a start is not lost", async () => {
  const folder = await Deno.makeTempDir();
  // Stale socket files, for which the start has to wait after it listens on its port.
  const script = `
    for (let i = 0; i < 30; i++) Deno.listen({ transport: "unix", path: "${folder}/" + i });
    Deno.kill(Deno.pid, "SIGKILL");`;
  await new Deno.Command(Deno.execPath(), { args: ["eval", script] }).output();
  for (let i = 0; i < 30; i++) {
    const stopping = new AbortController();
    const options = { hostname: "127.0.0.1", port: 0, unix: `${folder}/${i}` };
    const { signal } = stopping;
    const starting = Server.listen({ handler: commandHandler("cat"), ...options }, { signal });
    setTimeout(() => stopping.abort(), i / 3);
    await within("the end", starting.then((server) => server.finished, () => true));
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("kill() cuts a connection at once, and says so", async () => {
  const server = await Server.listen({
    ...{ handler: commandHandler("sh", ["-c", "trap '' TERM; while :; do sleep 1; done"]) },
    ...{ hostname: "127.0.0.1", port: 0 },
  });
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: server.addr.port });
  await until("its session", () => server.status().active === 1);
  assertEquals([await server.kill(), await server.finished], [false, false]);
  await receiveAll(conn).catch(() => {}); // reset, perhaps
});

Deno.test("lib/mod.ts re-exports and nothing else", async () => {
  const source = await Deno.readTextFile(new URL("../lib/mod.ts", import.meta.url));
  const code = source.replace(/\/\*\*.*?\*\//gs, "").trim();
  assertMatch(code, /^(export (type )?\{[^}]*\} from "[^"]*";\s*)+$/);
});
