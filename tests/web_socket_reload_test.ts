/**
 * WebSockets at SIGHUP: another path, and a service that serves TCP and then WebSockets on one port.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { descriptorsOf } from "./_processes.ts";
import { freePort } from "./_service.ts";
import { ConfiguredSpawnd } from "./_services.ts";
import { receive, send, text } from "./_sockets.ts";
import { until, untilSteady } from "./_waiting.ts";
import { frame } from "./_web_frames.ts";
import { fetchRaw, WebClient } from "./_web_socket.ts";

async function assertEchoes(client: WebClient, message: string): Promise<void> {
  await client.send(frame("text", message));
  assertEquals(await client.message(), message);
}

Deno.test("at a reload the path moves, and clients of the old one stay", async () => {
  const port = freePort();
  const at = (path: string) => ({
    chat: { listen: `ws://127.0.0.1:${port}${path}`, command: ["cat"] },
  });
  await using configured = await ConfiguredSpawnd.start(at("/old"));
  using old = await WebClient.connect({ port }, { target: "/old" });
  await assertEchoes(old, "one");
  assertEquals((await configured.reload(at("/new"))).message, "reloaded");
  await assertEchoes(old, "two");
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  assertMatch(await fetchRaw(conn, { target: "/old" }), /^HTTP\/1\.1 404 /);
  using renewed = await WebClient.connect({ port }, { target: "/new" });
  await assertEchoes(renewed, "three");
  await old.leave(1000);
  await renewed.leave(1000);
  const { accepted } = await configured.spawnd.status();
  assertEquals(accepted, 3);
});

Deno.test("a service of TCP serves WebSockets after a reload, and TCP again, and no client is lost", async () => {
  const port = freePort();
  const tcp = { chat: { listen: `127.0.0.1:${port}`, command: ["cat"] } };
  const web = { chat: { listen: `ws://127.0.0.1:${port}/`, command: ["cat"] } };
  await using configured = await ConfiguredSpawnd.start(tcp);
  using plain = await Deno.connect({ hostname: "127.0.0.1", port });
  const assertPlain = async (conn: Deno.Conn, message: string) => {
    await send(conn, message);
    assertEquals(text(await receive(conn, message.length)), message);
  };
  await assertPlain(plain, "one");
  assertEquals((await configured.reload(web)).message, "reloaded");
  using client = await WebClient.connect({ port });
  await assertEchoes(client, "two");
  await assertPlain(plain, "three");
  assertEquals((await configured.reload(tcp)).message, "reloaded");
  using again = await Deno.connect({ hostname: "127.0.0.1", port });
  await assertPlain(again, "four");
  await assertEchoes(client, "five");
  await client.leave(1000);
  plain.close();
  again.close();
  await until("all records", () => configured.spawnd.records({ message: "end" }).length === 3);
  const reasons = configured.spawnd.records({ message: "end" }).map(({ reason }) => reason);
  assertEquals(reasons, ["client-closed", "client-closed", "client-closed"]);
});

Deno.test("what a reload changes of WebSockets is for new clients", async () => {
  const services = (options: Record<string, unknown>) => ({
    chat: { websocket: "127.0.0.1:0", command: ["cat"], ...options },
  });
  await using configured = await ConfiguredSpawnd.start(services({}));
  const port = await configured.port("chat");
  using before = await WebClient.connect({ port });
  await assertEchoes(before, "lines");
  await configured.reload(services({ "ws-mode": "bytes", "ws-max-message": 3 }));
  using after = await WebClient.connect({ port });
  await after.send(frame("text", "abc"));
  assertEquals(await after.message(), new TextEncoder().encode("abc"));
  await after.send(frame("text", "abcd"));
  assertEquals((await after.closed())[0], 1009);
  await assertEchoes(before, "as it was");
  await before.leave(1000);
});

Deno.test("clients in the backlog of an address that is given up are answered as they were due to be", async () => {
  const [web, tcp] = [freePort(), freePort()];
  const chat = { command: ["cat"], "max-connections": 1, queue: 0, "max-per-source": 2 };
  await using configured = await ConfiguredSpawnd.start({
    chat: { ...chat, listen: `ws://127.0.0.1:${web}/` },
  });
  const { spawnd } = configured;
  using first = await WebClient.connect({ port: web });
  await assertEchoes(first, "one");
  const before = await untilSteady("descriptors", () => descriptorsOf(spawnd.pid));
  const waiting = await Promise.all(
    Array.from({ length: 20 }, () => Deno.connect({ hostname: "127.0.0.1", port: web })),
  );
  const reload = { chat: { ...chat, listen: `127.0.0.1:${tcp}` } };
  assertEquals((await configured.reload(reload)).message, "reloaded");
  const told = await Promise.all(waiting.map(async (conn) => {
    try {
      using client = await WebClient.open(conn);
      return (await client.closed())[0];
    } catch {
      return "closed"; // in the moment of the reload there was no room for it to be told
    }
  }));
  for (const code of told) assert([1008, 1013, "closed"].includes(code!), `${code}`);
  assert(told.includes(1008) || told.includes(1013), told.join());
  await until(
    "all to have gone",
    () => descriptorsOf(spawnd.pid) <= before,
  );
  assertEquals(spawnd.records({ message: "internal error" }), []);
  await first.leave(1000);
});
