/**
 * Random transfers over WebSockets: of every size, in random messages and fragments, with readers that
 * are slow, and with either side closing first. None may stall, and no byte may be lost or changed.
 *
 *     TRANSFERS=10000 deno test --allow-all tests/web_socket_transfers_test.ts
 */

import { assert, assertEquals } from "@std/assert";
import { Random } from "../bench/random.ts";
import { pause } from "./_load.ts";
import { assertSameBytes, concat, text } from "./_sockets.ts";
import type { Spawnd } from "./_spawnd.ts";
import { until, within } from "./_waiting.ts";
import { frame } from "./_web_frames.ts";
import { serveWebScript, WebClient } from "./_web_socket.ts";

const TRANSFERS = Number(Deno.env.get("TRANSFERS") ?? 200);
const CLIENTS = 8;
const MAX_BYTES = 2 ** 20;
/** Random bytes, which all data is cut from. */
const BYTES = new Uint8Array(MAX_BYTES + 2 ** 16);
for (let at = 0; at < BYTES.length; at += 2 ** 16) { // more is not given at once
  crypto.getRandomValues(BYTES.subarray(at, at + 2 ** 16));
}
/** What lines are cut from. */
const LETTERS = "line with some lëtters ßo€😀 ".repeat(MAX_BYTES / 24);

/** What a handler does, what a client of it does, and how the record says that it ended. */
interface Transfer {
  readonly mode: "bytes" | "lines";
  readonly script: string;
  readonly run: (client: WebClient, random: Random) => Promise<void>;
  readonly reason: "client-closed" | "child-closed";
}

const TRANSFERRED: Record<string, Transfer> = {
  "bytes that come back, closed by the client": {
    mode: "bytes",
    script: "exec cat",
    reason: "client-closed",
    async run(client, random) {
      const data = bytesFor(random);
      const sending = sendBytes(client, data, random);
      await expectBytes(client, data, random);
      await sending;
      await client.leave(4000);
    },
  },
  "bytes in both directions, closed by the child": {
    mode: "bytes",
    script: 'read -r n; head -c "$n" /dev/zero & head -c "$n" | wc -c; wait; printf end',
    reason: "child-closed",
    async run(client, random) {
      const { length } = bytesFor(random);
      await client.send(frame("binary", `${length}\n`));
      const sending = sendBytes(client, BYTES.subarray(0, length), random);
      // The child's two processes write as they come.
      const all = await receiveBytes(client, length + `${length}\nend`.length, random);
      assertEquals(all.filter((byte) => byte === 0).length, length);
      assertEquals(text(all.filter((byte) => byte !== 0)), `${length}\nend`);
      await sending;
      assertEquals(await client.closed(), [1000, ""]);
    },
  },
  "lines that come back, closed by the client": {
    mode: "lines",
    script: "exec cat",
    reason: "client-closed",
    async run(client, random) {
      const lines = linesFor(random);
      const sending = sendLines(client, lines, random);
      for (const line of lines) await expectLine(client, line, random);
      await sending;
      await client.leave(1000);
    },
  },
  "lines of a child that closes first": {
    mode: "lines",
    script:
      'while read -r line && [ "$line" != end ]; do printf "%s\\r\\n" "$line"; done; printf last',
    reason: "child-closed",
    async run(client, random) {
      const lines = linesFor(random).slice(0, 100);
      const sending = sendLines(client, [...lines, "end"], random);
      for (const line of [...lines, "last"]) await expectLine(client, line.trimEnd(), random);
      await sending;
      assertEquals(await client.closed(), [1000, ""]);
    },
  },
  "bytes that a client sends, and closes at once": {
    mode: "bytes",
    script: "exec wc -c >&2",
    reason: "client-closed",
    async run(client, random) {
      await sendBytes(client, bytesFor(random), random);
      await client.leave();
    },
  },
};

const each = Math.ceil(TRANSFERS / Object.keys(TRANSFERRED).length);

for (const [name, transfer] of Object.entries(TRANSFERRED)) {
  Deno.test(`random transfers of ${name}`, async () => {
    const { mode, script, run, reason } = transfer;
    await using spawnd = await serveWebScript(
      script,
      ...["--ws-mode", mode, "--ws-max-message", "2000000", "--kill-timeout", "10"],
    );
    await transferAll(spawnd, run);
    // One that sends nothing may have closed before its child could start.
    const status = await until("the end of all", async () => {
      const status = await spawnd.status();
      return Number(status.ended) + Number(status.left ?? 0) === each && status;
    });
    assertEquals([status[reason], status.accepted], [status.ended, each]);
    if (name.includes("at once")) { // what it has sent is all with the child
      const sizes = Array.from({ length: each }, (_, seed) => bytesFor(new Random(seed)).length);
      const counted = () => spawnd.lines.map(Number);
      await until("all counts", () => counted().length === status.ended);
      assertEquals(sorted(counted()), sorted(sizes));
    }
  });
}

/** Sizes that are not 0, in order. */
function sorted(sizes: number[]): number[] {
  return sizes.filter((size) => size > 0).sort((a, b) => a - b);
}

async function transferAll(spawnd: Spawnd, run: Transfer["run"]): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: CLIENTS }, async () => {
    while (next < each) {
      const seed = next++;
      using client = await WebClient.connect(spawnd);
      await within(`transfer ${seed}`, run(client, new Random(seed)), 60_000);
    }
  }));
}

/** A size from nothing to 1 MB, each order of magnitude as often as the others. */
function sizeFor(random: Random): number {
  return Math.floor(2 ** (random.next() * 20)) - 1;
}

function bytesFor(random: Random): Uint8Array<ArrayBuffer> {
  const length = sizeFor(random);
  const start = random.integer(0, 60_000);
  return BYTES.subarray(start, start + length);
}

/** Lines of up to 1 MB together. */
function linesFor(random: Random): string[] {
  const lines = [];
  for (let left = sizeFor(random); left > 0;) {
    // One that is empty, short, or longer than what is held of one.
    const length = Math.min(left, random.pick([0, 1, 10, 100, 5000, 200_000]));
    const start = random.integer(0, 100);
    const line = LETTERS.slice(start, start + length).toWellFormed().trim();
    lines.push(line);
    left -= length + 1;
  }
  return lines;
}

/** One message in random fragments, some of them empty, with pongs between them. */
function fragmentsOf(kind: "text" | "binary", payload: Uint8Array, random: Random): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0, isFinal = false; !isFinal;) {
    isFinal = random.chance(0.6);
    const end = isFinal ? payload.length : random.integer(at, payload.length);
    const part = payload.subarray(at, at = end);
    frames.push(frame(frames.length === 0 ? kind : "continuation", part, { isFinal }));
    if (random.chance(0.1)) frames.push(frame("pong", "unasked"));
  }
  return frames;
}

async function sendBytes(client: WebClient, data: Uint8Array, random: Random): Promise<void> {
  for (let sent = 0; sent < data.length;) {
    const size = random.pick([1, 100, 16_383, 65_535, 65_536, 200_000]);
    // Many small messages of a large transfer would only take long.
    const end = sent + Math.max(size, Math.floor(data.length / 50));
    await client.send(...fragmentsOf("binary", data.subarray(sent, end), random));
    sent = end;
    if (random.chance(0.1)) await pause(random.integer(0, 10));
  }
}

async function sendLines(client: WebClient, lines: string[], random: Random): Promise<void> {
  const encoder = new TextEncoder();
  for (let sent = 0; sent < lines.length;) {
    const count = random.integer(1, Math.max(5, lines.length / 20));
    const some = lines.slice(sent, sent += count);
    await client.send(
      ...some.flatMap((line) => fragmentsOf("text", encoder.encode(line), random)),
    );
    if (random.chance(0.1)) await pause(random.integer(0, 10));
  }
}

async function expectBytes(client: WebClient, data: Uint8Array, random: Random): Promise<void> {
  assertSameBytes(await receiveBytes(client, data.length, random), data);
}

/** Receives so many bytes in messages. */
async function receiveBytes(client: WebClient, length: number, random: Random) {
  const parts: Uint8Array[] = [];
  if (random.chance(0.3)) await pause(random.integer(0, 30));
  for (let have = 0; have < length;) {
    const part = await client.message() as Uint8Array;
    parts.push(part);
    have += part.length;
    if (random.chance(0.05)) await pause(random.integer(0, 10));
  }
  return concat(parts);
}

async function expectLine(client: WebClient, line: string, random: Random): Promise<void> {
  const message = await client.message();
  assert(message === line, `${message.length} instead of ${line.length} characters`);
  if (random.chance(0.02)) await pause(random.integer(0, 10));
}
