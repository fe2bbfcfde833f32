/** The time to the first byte: what of it counts for the server, and what for its client. */

import { assert, assertEquals } from "@std/assert";
import { NO_OBSERVER } from "../lib/base/observer.ts";
import { commandHandler, Server } from "../lib/mod.ts";
import type { ServerOptions } from "../lib/server/options.ts";
import { receive, send } from "./_sockets.ts";
import { until } from "./_waiting.ts";

/** How long a client or a child is silent: much longer than an answer takes. */
const SILENCE_MS = 500;

const CAT: ServerOptions = { handler: commandHandler("cat") };

/** A server, and the times to a first byte that it has reported, in seconds. */
async function start(options: ServerOptions): Promise<[Server, answered: number[]]> {
  const answered: number[] = [];
  const observer = { ...NO_OBSERVER, answered: (seconds: number) => void answered.push(seconds) };
  return [
    await Server.listen({ hostname: "127.0.0.1", port: 0, ...options }, { observer }),
    answered,
  ];
}

const connect = (server: Server) => Deno.connect({ hostname: "127.0.0.1", port: server.addr.port });

/** Resolves when `server` has served somebody for a while who is silent. */
const untilSilent = (server: Server) =>
  until("silence", () => server.connections().some((one) => one.seconds * 1000 > SILENCE_MS));

for (const warm of [0, 1]) {
  Deno.test(`a silent client does not count as a slow first byte, warm ${warm}`, async () => {
    const [server, answered] = await start({ ...CAT, warm });
    await using _ = server;
    using conn = await connect(server);
    await untilSilent(server);
    await send(conn, "a");
    await receive(conn, 1);
    await send(conn, "b"); // what comes later does not count at all
    await receive(conn, 1);
    assertEquals(answered.length, 1);
    assert(answered[0]! > 0 && answered[0]! * 1000 < SILENCE_MS, `${answered[0]} s`);
  });
}

Deno.test("a silent client that half-closes does not count as a slow first byte", async () => {
  const handler = commandHandler("sh", ["-c", "cat; echo bye"]);
  const [server, answered] = await start({ handler });
  await using _ = server;
  using conn = await connect(server);
  await untilSilent(server);
  await conn.closeWrite();
  await receive(conn, 4);
  assert(answered[0]! > 0 && answered[0]! * 1000 < SILENCE_MS, `${answered[0]} s`);
});

Deno.test("the time of a child that greets first counts from accept", async () => {
  const handler = commandHandler("sh", ["-c", "sleep 0.6; echo hello; cat"]);
  const [server, answered] = await start({ handler });
  await using _ = server;
  using conn = await connect(server);
  await receive(conn, 6);
  assert(answered[0]! > 0.55, `${answered[0]} s`);
});

Deno.test("the time of a child that is slow to answer counts from its client's first byte", async () => {
  const handler = commandHandler("sh", ["-c", "read -r _; sleep 0.6; echo hello; cat"]);
  const [server, answered] = await start({ handler });
  await using _ = server;
  using conn = await connect(server);
  await untilSilent(server);
  await send(conn, "a\n");
  await receive(conn, 6);
  assert(answered[0]! > 0.55 && answered[0]! < 1, `${answered[0]} s`);
});

Deno.test("the time that a client takes for the rest of what it asks counts", async () => {
  const [server, answered] = await start({ handler: commandHandler("head", ["-c", "2"]) });
  await using _ = server;
  using conn = await connect(server);
  await send(conn, "a");
  await until("a while", () => server.connections().some((one) => one.idleSeconds > 0.5));
  await send(conn, "b");
  await receive(conn, 2);
  assert(answered[0]! > 0.45, `${answered[0]} s`);
});

Deno.test("the time that a client waits for a slot counts", async () => {
  const [server, answered] = await start({ ...CAT, maxConnections: 1 });
  await using _ = server;
  using first = await connect(server);
  await send(first, "a");
  await receive(first, 1);
  using second = await connect(server);
  await send(second, "b");
  await until("it to wait", () => server.status().waiting === 1);
  const { seconds } = server.connections()[0]!;
  await until("a while", () => server.connections()[0]!.seconds > seconds + SILENCE_MS / 1000);
  first.close();
  await receive(second, 1);
  assert(answered[1]! * 1000 > SILENCE_MS, `${answered[1]} s`);
});

Deno.test("the time that a client takes for its handshake does not count", async () => {
  const [server, answered] = await start({ ...CAT, acceptProxy: ["127.0.0.0/8"] });
  await using _ = server;
  using conn = await connect(server);
  await until("it to be accepted", () => server.status().accepted === 1);
  const atMs = performance.now();
  await until("a while", () => performance.now() - atMs > SILENCE_MS);
  await send(conn, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello");
  await receive(conn, 5);
  assert(answered[0]! * 1000 < SILENCE_MS, `${answered[0]} s`);
});
