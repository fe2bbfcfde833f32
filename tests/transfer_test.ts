/**
 * The bytes of a connection: intact, in order, and with bounded memory when a side does not read.
 */

import { assert, assertEquals } from "@std/assert";
import { memoryOf, untilOutputStops } from "./_processes.ts";
import { ask, assertSameBytes, receiveAll, receiveEach, send, text } from "./_sockets.ts";
import { serveScript, Spawnd } from "./_spawnd.ts";
import { within } from "./_waiting.ts";

const MB = 1024 * 1024;

/** Pseudo-random bytes, so that swapped or repeated buffers show. */
function pattern(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0, state = 1; i < length; i++) {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    bytes[i] = state >> 16;
  }
  return bytes;
}

Deno.test("64 MB go through and come back intact", async () => {
  await using spawnd = await Spawnd.start("--", "cat");
  const sent = pattern(64 * MB);
  assertSameBytes(await ask(spawnd.port, sent), sent);
  const end = await spawnd.record({ message: "end" });
  assertEquals([end.in, end.out], [64 * MB, 64 * MB]);
});

Deno.test("chunks of random sizes come back in order", async () => {
  await using spawnd = await Spawnd.start("--", "cat");
  using conn = await spawnd.connect();
  const sent = pattern(2 * MB);
  const answer = receiveAll(conn);
  for (let offset = 0; offset < sent.length;) {
    const length = Math.ceil(Math.random() ** 4 * 100_000) || 1;
    await send(conn, sent.subarray(offset, offset + length));
    offset += length;
  }
  await conn.closeWrite();
  assertSameBytes(await answer, sent);
});

Deno.test("a client that does not read blocks its child, and memory stays bounded", async () => {
  await using spawnd = await serveScript("exec head -c 100000000 /dev/zero");
  const before = memoryOf(spawnd.pid);
  using conn = await spawnd.connect();
  const { pid } = await spawnd.record({ message: "open" });
  await untilOutputStops(Number(pid));
  const grown = memoryOf(spawnd.pid) - before;
  assert(grown < 16 * MB, `grown by ${grown} bytes`);
  let length = 0;
  await receiveEach(conn, (chunk) => length += chunk.length);
  assertEquals(length, 100_000_000);
});

Deno.test("a child that does not read blocks its client, and memory stays bounded", async () => {
  await using spawnd = await serveScript(
    "exec sleep 60",
    "--drain-timeout",
    "0",
    "--kill-timeout",
    "0.1",
  );
  const before = memoryOf(spawnd.pid);
  using conn = await spawnd.connect();
  let sent = 0;
  const sending = (async () => {
    while (sent < 100 * MB) sent += await conn.write(new Uint8Array(64 * 1024));
  })().catch(() => {});
  await spawnd.record({ message: "open" });
  await untilOutputStops(spawnd.pid);
  assert(sent < 50 * MB, `${sent} bytes were taken`);
  const grown = memoryOf(spawnd.pid) - before;
  assert(grown < 16 * MB, `grown by ${grown} bytes`);
  assertEquals((await spawnd.stop()).code, 1);
  await sending;
});

Deno.test("300 connections at once are all served", async () => {
  await using spawnd = await Spawnd.start("--max-connections", "100", "--", "cat");
  const sent = Array.from({ length: 300 }, (_, index) => `${index} `.repeat(1000));
  const received = await within(
    "300 answers",
    Promise.all(sent.map(async (question) => text(await ask(spawnd.port, question)))),
    60_000,
  );
  assertEquals(received, sent);
});
