/**
 * The protocol of WebSockets over the wire: fragments, control frames between them, and what clients
 * do that they must not (RFC 6455, section 5).
 */

import { assert, assertEquals } from "@std/assert";
import { Random } from "../bench/random.ts";
import { pause } from "./_load.ts";
import { concat, text } from "./_sockets.ts";
import type { Spawnd } from "./_spawnd.ts";
import { until, within } from "./_waiting.ts";
import { closeFrame, frame } from "./_web_frames.ts";
import { endOf, serveWeb, serveWebScript, stoppedOf, WebClient } from "./_web_socket.ts";

/** Frames, in pieces of random sizes from one byte on. */
async function sendInPieces(client: WebClient, bytes: Uint8Array, random: Random): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const end = at + random.integer(1, random.pick([1, 3, 10, 100, 1000]));
    await client.send(bytes.subarray(at, at = end));
  }
}

Deno.test("fragments of every size are one message, with pings answered between them in order", async () => {
  await using spawnd = await serveWeb("--", "cat");
  for (let seed = 0; seed < 10; seed++) {
    const random = new Random(seed);
    using client = await WebClient.connect(spawnd);
    const pings: string[] = [];
    const messages: string[] = [];
    const frames: Uint8Array[] = [];
    const ping = () => {
      if (!random.chance(0.3)) return;
      pings.push(
        "p".repeat(random.pick([0, 1, 124, 125])).replace(/^p/, String(pings.length % 10)),
      );
      frames.push(frame("ping", pings.at(-1)!));
    };
    for (let count = 0; count < 20; count++) {
      // Cut in the middle of characters, too.
      const message = "aäß€😀".repeat(random.integer(0, random.pick([1, 30, 3000])));
      messages.push(message);
      const bytes = new TextEncoder().encode(message);
      let at = 0;
      for (let kind = "text" as "text" | "continuation";; kind = "continuation") {
        ping();
        const end = at + random.integer(0, Math.max(5, bytes.length / 3));
        frames.push(frame(kind, bytes.subarray(at, end), { isFinal: end >= bytes.length }));
        at = end;
        if (end >= bytes.length) break;
      }
    }
    const sending = sendInPieces(client, concat(frames), random);
    const [pongs, lines]: [string[], string[]] = [[], []];
    while (pongs.length < pings.length || lines.length < messages.length) {
      const next = (await client.receive())!;
      if (next.kind === "pong") pongs.push(text(next.bytes));
      else if (next.kind === "text") lines.push(text(next.bytes));
      else lines[lines.length - 1] += text(next.bytes);
    }
    await sending;
    assertEquals(pongs, pings);
    assertEquals(lines, messages);
    await client.leave(1000);
  }
  await until("all records", () => spawnd.records({ message: "end" }).length === 10);
  assertEquals(await stoppedOf(spawnd), { accepted: 10, ended: 10, cut: 0 });
});

/** What a client must not do, and the code that it is closed with. */
const WRONG: Record<string, [frames: Uint8Array[], code: number]> = {
  "a first reserved bit": [[frame("text", "x", { reserved: 0x40 })], 1002],
  "a second reserved bit": [[frame("text", "x", { reserved: 0x20 })], 1002],
  "a third reserved bit of a ping": [[frame("ping", "x", { reserved: 0x10 })], 1002],
  "the opcode 3": [[frame(3, "x")], 1002],
  "the opcode 15": [[frame(15)], 1002],
  "a frame without a mask": [[frame("text", "x", { isMasked: false })], 1002],
  "a continuation of nothing": [[frame("continuation", "x")], 1002],
  "a message within a message": [
    [frame("text", "x", { isFinal: false }), frame("text", "y")],
    1002,
  ],
  "a ping in fragments": [[frame("ping", "x", { isFinal: false })], 1002],
  "a ping of 126 bytes": [[frame("ping", "x".repeat(126))], 1002],
  "a close frame of 126 bytes": [[closeFrame(1000, "x".repeat(124))], 1002],
  "half a code": [[frame("close", "x")], 1002],
  "the code 999": [[closeFrame(999)], 1002],
  "the code 1005": [[closeFrame(1005)], 1002],
  "the code 1016": [[closeFrame(1016)], 1002],
  "the code 5000": [[closeFrame(5000)], 1002],
  "a reason that is not UTF-8": [[frame("close", Uint8Array.of(3, 232, 0xff))], 1007],
  "a byte that is never UTF-8": [[frame("text", Uint8Array.of(0xff))], 1007],
  "a surrogate": [[frame("text", Uint8Array.of(0xed, 0xa0, 0x80))], 1007],
  "half a character at the end": [[frame("text", Uint8Array.of(0xc3))], 1007],
  "a character cut by the end of the second fragment": [[
    frame("text", "x", { isFinal: false }),
    frame("continuation", Uint8Array.of(0xe2, 0x82)),
  ], 1007],
  "UTF-8 that goes wrong before its message ends": [[
    frame("text", Uint8Array.of(0xc3), { isFinal: false }),
    frame("continuation", Uint8Array.of(0xc3), { isFinal: false }),
  ], 1007],
  "a message that is too large": [[frame("binary", new Uint8Array(1001))], 1009],
  "fragments that are too large together": [[
    frame("binary", new Uint8Array(1000), { isFinal: false }),
    frame("continuation", "x", { isFinal: false }),
  ], 1009],
  "the header of a message of 8 EB": [[
    Uint8Array.of(0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4),
  ], 1009],
};

Deno.test("a client that breaks the protocol is closed with the code for that, after its answers", async () => {
  await using spawnd = await serveWeb("--ws-max-message", "1000", "--", "cat");
  let id = 0;
  for (const [name, [frames, expected]] of Object.entries(WRONG)) {
    id++;
    using client = await WebClient.connect(spawnd);
    await client.send(frame("ping", "first"), ...frames);
    assertEquals(text((await client.receive())!.bytes), "first", name);
    const [code, reason] = await client.closing();
    assertEquals(code, expected, `${name}: ${reason}`);
    assert(reason !== "", name);
    assertEquals(await client.receive(), null, name); // although it has not answered
    client[Symbol.dispose]();
    assertEquals((await endOf(spawnd, id))[0], "protocol-error", name);
  }
  const status = await spawnd.status();
  assertEquals([status.ended, status["protocol-error"]], [id, id]);
});

Deno.test("messages before the error reach the child", async () => {
  await using spawnd = await serveWeb("--", "sh", "-c", "cat >&2");
  using client = await WebClient.connect(spawnd);
  await client.send(frame("text", "before"), frame("text", "wrong", { reserved: 0x40 }));
  assertEquals((await client.closed())[0], 1002);
  assertEquals(await endOf(spawnd), ["protocol-error", 0]);
  assert(spawnd.lines.includes("before"), spawnd.lines.join("\n"));
});

for (const child of ["exec cat >/dev/null", "exec cat", "exec sleep 60", "cat; exec sleep 60"]) {
  Deno.test(`a close frame arrives although its client goes on sending (${child})`, async () => {
    await using spawnd = await serveWebScript(child, "--kill-timeout", "0.2");
    using client = await WebClient.connect(spawnd);
    // 64 MB are announced, 8 are sent before anything is read.
    const sending = client.send(frame("binary", new Uint8Array(8e6), { length: 64e6 }));
    const [code, reason] = await client.closing();
    assertEquals([code, reason], [1009, "a message is larger than 1048576 bytes"]);
    await within("all to be sent", sending);
    assertEquals(await client.receive(), null);
    client[Symbol.dispose]();
    assertEquals((await endOf(spawnd))[0], "protocol-error");
  });
}

Deno.test("what follows a close frame is ignored", async () => {
  await using spawnd = await serveWeb("--", "cat");
  using client = await WebClient.connect(spawnd);
  await client.send(
    frame("text", "x"),
    closeFrame(1000),
    frame("text", "y"),
    Uint8Array.of(255, 255),
  );
  let next = await client.receive();
  if (next?.kind === "text") next = await client.receive(); // the child may have been faster
  assertEquals(next?.kind, "close");
  assertEquals(await client.receive(), null);
  assertEquals((await endOf(spawnd))[0], "client-closed");
  assertEquals((await spawnd.record({ message: "end" })).in, 2);
});

/** Closes from both sides at moments that differ a little. */
async function race(spawnd: Spawnd, ms: number): Promise<number | undefined> {
  using client = await WebClient.connect(spawnd);
  await client.send(frame("text", "end"));
  await pause(ms);
  const sent = client.send(closeFrame(4000)).catch(() => {});
  let next = await client.receive();
  while (next?.kind === "text") next = await client.receive();
  assertEquals(next?.kind, "close");
  assertEquals(await client.receive(), null);
  await sent;
  return next!.bytes[0]! << 8 | next!.bytes[1]!;
}

Deno.test("close frames that cross each other end a WebSocket cleanly", async () => {
  await using spawnd = await serveWebScript("read -r _; echo done");
  const codes = new Set<number | undefined>();
  for (let round = 0; round < 60; round++) codes.add(await race(spawnd, round % 12));
  for (const code of codes) assert(code === 1000 || code === 4000, `${code}`);
  await until("all records", () => spawnd.records({ message: "end" }).length === 60);
  const reasons = new Set(spawnd.records({ message: "end" }).map(({ reason }) => reason));
  assert(
    [...reasons].every((reason) => /^(client|child)-closed$/.test(String(reason))),
    `${[...reasons]}`,
  );
});
