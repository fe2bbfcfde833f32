/**
 * The frames of a WebSocket (RFC 6455, section 5), in the order of the Autobahn test suite, which
 * the numbers in brackets refer to.
 */

import { assertEquals } from "@std/assert";
import { FrameDecoder } from "../lib/web/frames.ts";
import { concat } from "./_sockets.ts";
import {
  BINARY,
  bytesOf,
  CLOSE,
  CONTINUATION,
  decode,
  frame,
  type FrameOptions,
  hex,
  message,
  PING,
  PONG,
  TEXT,
} from "./_frames.ts";

/** The code of the error that these bytes end with, and how many events come before. */
function failure(...chunks: Uint8Array[]): [code: number | undefined, events: number] {
  const { error, events } = decode(chunks);
  return [error?.code, events.length];
}

/** A close frame's payload. */
function closing(code: number, reason: Uint8Array | string = ""): Uint8Array {
  return Uint8Array.of(code >> 8, code & 255, ...bytesOf(reason));
}

Deno.test("messages of every length of length come out whole, text or binary (1)", () => {
  for (const length of [0, 1, 125, 126, 127, 128, 65_535, 65_536]) {
    const payload = new Uint8Array(length).fill(0x2a);
    for (const opcode of [TEXT, BINARY]) {
      const { events } = decode([frame(opcode, payload)]);
      assertEquals(events, [["message", payload.toHex()]]);
    }
  }
});

Deno.test("a length may take more bytes than it has to", () => {
  for (const lengthBytes of [2, 8] as const) {
    const bytes = frame(TEXT, "x", { lengthBytes });
    assertEquals(decode([bytes]).events, [["message", hex("x")]]);
  }
  const bytes = frame(PING, "x", { lengthBytes: 2 });
  assertEquals(decode([bytes]).events, [["ping", hex("x")]]);
});

Deno.test("pings and pongs come out with their payloads, in their order (2)", () => {
  const binary = Uint8Array.of(0, 255, 254, 128);
  for (const payload of ["", "x", binary, "y".repeat(125)]) {
    const { events } = decode([frame(PING, payload), frame(PONG, payload)]);
    const value = bytesOf(payload).toHex();
    assertEquals(events, [["ping", value], ["pong", value]]);
  }
});

Deno.test("a control frame of more than 125 bytes is an error before its payload (2.5)", () => {
  for (const opcode of [CLOSE, PING, PONG]) {
    for (const length of [126, 65_536, 2n ** 63n]) {
      assertEquals(failure(frame(opcode, "", { length })), [1002, 0]);
    }
  }
});

Deno.test("reserved bits are an error, after what came before (3)", () => {
  for (const opcode of [TEXT, BINARY, CLOSE, PING]) {
    for (const reserved of [0x10, 0x20, 0x30, 0x40, 0x70]) {
      assertEquals(failure(frame(TEXT, "x"), frame(opcode, "", { reserved })), [1002, 1]);
    }
  }
});

Deno.test("unknown opcodes are an error (4)", () => {
  for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
    assertEquals(failure(frame(TEXT, "x"), frame(opcode, "")), [1002, 1]);
    const begun = frame(TEXT, "x", { isFinal: false });
    assertEquals(failure(begun, frame(opcode, "")), [1002, 1]);
  }
});

Deno.test("a frame without a mask is an error before its payload", () => {
  for (const opcode of [TEXT, BINARY, CLOSE, PING, PONG]) {
    assertEquals(failure(frame(opcode, "", { isMasked: false, length: 5 })), [1002, 0]);
  }
});

Deno.test("a message in fragments is one, whatever control frames stand between (5)", () => {
  const controls = concat([frame(PING, "1"), frame(PONG, "2")]);
  const between: [string, string][] = [["ping", hex("1")], ["pong", hex("2")]];
  const first = frame(TEXT, "a", { isFinal: false });
  const middle = frame(CONTINUATION, "b", { isFinal: false });
  const last = frame(CONTINUATION, "c");
  const { events } = decode([first, controls, middle, controls, last, frame(TEXT, "d")]);
  assertEquals(events, [...between, ...between, ["message", hex("abc")], ["message", hex("d")]]);
});

Deno.test("a fragmented control frame is an error (5.1)", () => {
  for (const opcode of [CLOSE, PING, PONG]) {
    assertEquals(failure(frame(opcode, "", { isFinal: false })), [1002, 0]);
  }
});

Deno.test("a fragment without a start is an error, and so is a start within a message (5.9)", () => {
  const begun = frame(TEXT, "x", { isFinal: false });
  for (const isFinal of [true, false]) {
    assertEquals(failure(frame(CONTINUATION, "x", { isFinal })), [1002, 0]);
    assertEquals(failure(frame(TEXT, "x"), frame(CONTINUATION, "x", { isFinal })), [1002, 1]);
    for (const opcode of [TEXT, BINARY]) {
      assertEquals(failure(begun, frame(opcode, "x", { isFinal })), [1002, 1]);
    }
  }
});

Deno.test("a close frame has no code, or one that may be sent (7)", () => {
  assertEquals(decode([frame(CLOSE)]).events, [["close", 1005]]);
  for (const code of [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999]) {
    const { events } = decode([frame(CLOSE, closing(code, "é".repeat(61)))]);
    assertEquals(events, [["close", code]]);
  }
  for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]) {
    assertEquals(failure(frame(CLOSE, closing(code))), [1002, 0], String(code));
  }
});

Deno.test("a close frame with half a code, or a reason that is not UTF-8, is an error (7.3, 7.5)", () => {
  assertEquals(failure(frame(CLOSE, Uint8Array.of(3))), [1002, 0]);
  assertEquals(failure(frame(CLOSE, closing(1000, Uint8Array.of(0xce, 0xba, 0xed)))), [1007, 0]);
});

Deno.test("a close frame ends a message that has begun, with the text of its own", () => {
  const begun = frame(TEXT, Uint8Array.of(0xc3), { isFinal: false }); // half a character
  const { events, error } = decode([begun, frame(CLOSE, closing(1000, "é"))]);
  assertEquals(events, [["close", 1000], ["part", "c3"]]);
  assertEquals(error, undefined);
});

Deno.test("nothing that follows a close frame in its chunk is looked at (7.1)", () => {
  const after = [frame(PING, "x"), frame(TEXT, "x"), Uint8Array.of(255, 255, 255)];
  assertEquals(decode([concat([frame(CLOSE), ...after])]).events, [["close", 1005]]);
});

Deno.test("a message may be as long as the limit, over all its fragments (9)", () => {
  const [part, rest, more] = ["x".repeat(60), "x".repeat(40), "x".repeat(41)];
  const whole: [string, string][] = [["message", hex(part + rest)]];
  assertEquals(decode([message(BINARY, part + rest)], 100).events, whole);
  assertEquals(decode([message(BINARY, part, "", rest)], 100).events, whole);
  const twice = concat([message(TEXT, part, rest), message(TEXT, part, rest)]);
  assertEquals(decode([twice], 100).events, [...whole, ...whole]);
  const { error, events } = decode([message(BINARY, part, more)], 100);
  assertEquals([error?.code, error?.message], [1009, "a message is larger than 100 bytes"]);
  assertEquals(events, [["part", hex(part)]]);
});

Deno.test("a message that would be too long is an error before its payload", () => {
  const lengths: FrameOptions[] = [
    { length: 101 },
    { length: 101, lengthBytes: 8 },
    { length: 65_535 },
    { length: 65_536 },
    { length: 2n ** 32n },
    { length: 2n ** 32n + 1n },
    { length: 2n ** 53n + 1n },
    { length: 2n ** 63n },
    { length: 2n ** 64n - 1n },
  ];
  for (const options of lengths) {
    assertEquals(decode([frame(BINARY, "", options)], 100).error?.code, 1009);
    const begun = frame(BINARY, "x", { isFinal: false });
    assertEquals(decode([begun, frame(CONTINUATION, "", options)], 100).error?.code, 1009);
  }
});

Deno.test("a flood of empty fragments gives nothing, and one of empty messages no bytes", () => {
  const flood = (frame: Uint8Array) => concat(Array<Uint8Array>(10_000).fill(frame));
  const decoder = new FrameDecoder(1);
  const take = (bytes: Uint8Array) => [...decoder.decode(bytes)].map(({ kind }) => kind);
  assertEquals(take(frame(TEXT, "a", { isFinal: false })), ["data"]);
  assertEquals(take(flood(frame(CONTINUATION, "", { isFinal: false }))), []);
  assertEquals(take(frame(CONTINUATION)), ["data"]);
  const { events, length } = decode([flood(frame(TEXT))], 1);
  assertEquals([events.length, length], [10_000, 0]);
});

Deno.test("however the bytes are cut, the same comes out", () => {
  const sequences = [
    [
      message(TEXT, "grüße", "", " 日本"),
      frame(PING, "x".repeat(125)),
      frame(CLOSE, closing(1000)),
    ],
    [frame(BINARY, "y".repeat(126)), message(BINARY, "a", "b"), frame(PONG), frame(CLOSE)],
    [frame(TEXT, "z", { lengthBytes: 8 }), frame(TEXT, "€"), frame(TEXT, Uint8Array.of(255))],
    [frame(TEXT, "", { isFinal: false }), frame(PING), frame(CONTINUATION), frame(CONTINUATION)],
  ];
  for (const bytes of sequences.map(concat)) {
    const { error, ...whole } = decode([bytes]);
    const same = (chunks: Uint8Array[]) => {
      const { error: other, ...decoded } = decode(chunks);
      assertEquals([other?.code, decoded], [error?.code, whole]);
    };
    same(Array.from(bytes, (byte) => Uint8Array.of(byte)));
    for (let at = 0; at <= bytes.length; at++) {
      same([bytes.subarray(0, at), new Uint8Array(0), bytes.subarray(at)]);
    }
  }
});
