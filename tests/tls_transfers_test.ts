/**
 * Random transfers over TLS: of every size, in both directions at once, with either side ending first,
 * and with readers that are slow. None may stall, and no byte may be lost or changed.
 *
 *     TRANSFERS=10000 deno test --allow-all tests/tls_transfers_test.ts
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Random } from "../bench/random.ts";
import { Certificates, testTls } from "./_certificates.ts";
import { memoryOf } from "./_processes.ts";
import { assertSameBytes, receive, receiveEach, send } from "./_sockets.ts";
import type { Spawnd } from "./_spawnd.ts";
import { until, within } from "./_waiting.ts";

const TRANSFERS = Number(Deno.env.get("TRANSFERS") ?? 300);
const CLIENTS = 8;
const MAX_BYTES = 2 ** 21;
/** Random bytes, which all data is cut from. */
const BYTES = new Uint8Array(MAX_BYTES + 2 ** 16);
for (let at = 0; at < BYTES.length; at += 2 ** 16) { // more is not given at once
  crypto.getRandomValues(BYTES.subarray(at, at + 2 ** 16));
}

/** What a handler does, and what a client of it does. */
const HANDLERS: Record<string, [string, (conn: Deno.TlsConn, random: Random) => Promise<void>]> = {
  "an echo": ["cat", async (conn, random) => {
    const data = bytesFor(random);
    const sending = sendSlowly(conn, data, random).then(() => conn.closeWrite());
    await expectSlowly(conn, data, random);
    await sending;
  }],
  "an answer at the end of input": ["wc -c", async (conn, random) => {
    const data = bytesFor(random);
    await sendSlowly(conn, data, random);
    await conn.closeWrite();
    await expectSlowly(conn, new TextEncoder().encode(`${data.length}\n`), random);
  }],
  "a service that ends its output first": [
    'read -r n; head -c "$n" /dev/zero; exec >&-; test "$(wc -c)" -eq "$n"',
    async (conn, random) => {
      const { length } = bytesFor(random);
      await send(conn, `${length}\n`);
      await expectSlowly(conn, new Uint8Array(length), random);
      await sendSlowly(conn, BYTES.subarray(0, length), random);
      await conn.closeWrite();
    },
  ],
  "a service that ends its input first": [
    "exec <&-; sleep 0.02; echo done",
    async (conn, random) => {
      const sending = sendSlowly(conn, bytesFor(random), random).then(() => conn.closeWrite());
      await expectSlowly(conn, new TextEncoder().encode("done\n"), random);
      await sending;
    },
  ],
};

for (const [name, [script, transfer]] of Object.entries(HANDLERS)) {
  testTls(`random transfers with ${name}`, async () => {
    await using certificates = await Certificates.make();
    await using spawnd = await certificates.serve("--", "sh", "-c", script);
    await transferAll(certificates, spawnd, transfer);
    const isServed = async () => (await spawnd.status()).ended === Math.ceil(TRANSFERS / 4);
    await until("the end of all", isServed);
    assertEquals((await spawnd.status())["client-reset"], undefined);
  });
}

async function transferAll(
  certificates: Certificates,
  spawnd: Spawnd,
  transfer: (conn: Deno.TlsConn, random: Random) => Promise<void>,
): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: CLIENTS }, async () => {
    while (next < Math.ceil(TRANSFERS / 4)) {
      const seed = next++;
      using conn = await certificates.connect(spawnd);
      await within(`transfer ${seed}`, transfer(conn, new Random(seed)), 30_000);
    }
  }));
}

/** Of a size from nothing to 2 MB, each order of magnitude as often as the others. */
function bytesFor(random: Random): Uint8Array<ArrayBuffer> {
  const length = Math.floor(2 ** (random.next() * 22)) - 1;
  const start = random.integer(0, 60_000);
  return BYTES.subarray(start, start + Math.min(length, MAX_BYTES));
}

async function sendSlowly(conn: Deno.Conn, data: Uint8Array, random: Random): Promise<void> {
  for (let sent = 0; sent < data.length;) {
    const size = random.pick([1, 100, 16_383, 16_384, 50_000, 200_000]);
    // Many small writes of a large transfer would only take long.
    const end = sent + Math.max(size, Math.floor(data.length / 50));
    await send(conn, data.subarray(sent, end));
    sent = end;
    if (random.chance(0.1)) await pause(random.integer(0, 10));
  }
}

async function expectSlowly(conn: Deno.Conn, data: Uint8Array, random: Random): Promise<void> {
  const prefix = data.subarray(0, random.integer(0, Math.min(data.length, 1000)));
  assertSameBytes(await receive(conn, prefix.length), prefix);
  if (random.chance(0.3)) await pause(random.integer(0, 30));
  let have = prefix.length;
  await receiveEach(conn, (chunk) => {
    assertSameBytes(chunk, data.subarray(have, have += chunk.length));
  });
  assertEquals(have, data.length);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Handlers that would fill an unbounded buffer, with clients that send and do not read. */
const BLOCKED = {
  "a child that does not read": "exec sleep 60",
  "a client that does not read": "read -r _; exec cat /dev/zero",
  "a client that does not read, of a child that does": "cat /dev/zero & exec cat >/dev/null",
};

for (const [name, script] of Object.entries(BLOCKED)) {
  testTls(`memory stays bounded with ${name}`, async () => {
    await using certificates = await Certificates.make();
    await using spawnd = await certificates.serve("--stderr", "null", "--", "sh", "-c", script);
    using conn = await certificates.connect(spawnd);
    await send(conn, "begin\n");
    const before = memoryOf(spawnd.pid);
    const isOver = AbortSignal.timeout(1500);
    const sending = (async () => {
      while (!isOver.aborted) await send(conn, BYTES);
    })().catch(() => {}); // when it is closed
    await until("the time to be over", () => isOver.aborted);
    const grown = memoryOf(spawnd.pid) - before;
    // Garbage of the engine: 13 to 70 MB in this time. Without back-pressure it would be 590 and more.
    assert(grown < 150e6, `${grown} bytes more`);
    conn.close();
    await sending;
  });
}

testTls("a client whose server is killed knows that its input is not complete", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await certificates.serve("--", "sh", "-c", "echo half; exec sleep 60");
  using conn = await certificates.connect(spawnd);
  await receive(conn, 5);
  spawnd.kill("SIGTERM");
  await spawnd.record({ message: "draining" });
  spawnd.kill("SIGTERM");
  await assertRejects(() => receiveEach(conn, () => {}), Deno.errors.UnexpectedEof);
});
