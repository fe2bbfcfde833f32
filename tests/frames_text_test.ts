/**
 * The text of WebSocket frames, which must be UTF-8 (RFC 6455, section 8.1; 6 in the Autobahn test
 * suite), and what holds for frames of any kind.
 */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { encodeClose, encodeFrame, encodeFrameInto, FrameDecoder } from "../lib/web/frames.ts";
import {
  BINARY,
  bytesOf,
  CLOSE,
  CONTINUATION,
  decode,
  frame,
  message,
  PING,
  PONG,
  serverFrames,
  TEXT,
} from "./_frames.ts";
import { assertSameBytes, concat } from "./_sockets.ts";

/** What no text may have, by the byte with which that is certain, counted from 1. */
const INVALID: Readonly<Record<string, number>> = {
  "80": 1, // a continuation of nothing
  "bf": 1,
  "c0af": 1, // longer than it has to be
  "c1bf": 1,
  "e080af": 2,
  "e09fbf": 2,
  "f08080af": 2,
  "f08fbfbf": 2,
  "eda080": 2, // halves of surrogate pairs
  "edbfbf": 2,
  "eda080edb080": 2,
  "f4908080": 2, // beyond U+10FFFF
  "f5808080": 1,
  "f888808080": 1,
  "fc8480808080": 1,
  "fe": 1,
  "ff": 1,
  "c341": 2, // a character that something else interrupts
  "e28241": 3,
  "f09f9841": 4,
  "e2c3a9": 2,
};

const VALID = ["", "κόσμε", "\0", "\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\u{10000}\u{10ffff}"]
  .concat("\ufeff", "\ufeffx", "\ufffe", "😀".repeat(40));

Deno.test("valid UTF-8 comes out as it came in, wherever it is cut (6.2, 6.5 to 6.23)", () => {
  for (const text of VALID) {
    const bytes = bytesOf(text);
    const expected = [["message", bytes.toHex()]];
    const ofBytes = message(TEXT, ...Array.from(bytes, (byte) => Uint8Array.of(byte)), "");
    assertEquals(decode([ofBytes]).events, expected);
    for (let at = 0; at <= bytes.length; at++) {
      const fragments = message(TEXT, bytes.subarray(0, at), "", bytes.subarray(at));
      assertEquals(decode([fragments]).events, expected);
    }
  }
});

Deno.test("invalid UTF-8 is an error with the byte that makes it certain (6.4, 6.6 to 6.22)", () => {
  for (const [hex, certain] of Object.entries(INVALID)) {
    const bytes = Uint8Array.from([0x41, ...Uint8Array.fromHex(hex)]);
    const whole = frame(TEXT, bytes, { isFinal: false });
    const header = whole.length - bytes.length;
    for (const end of [certain, certain + 1]) {
      const chunks = Array.from(whole.subarray(0, header + end), (byte) => Uint8Array.of(byte));
      assertEquals(decode(chunks).error?.code, end > certain ? 1007 : undefined, hex);
      const fragments = Array.from(
        bytes.subarray(0, end),
        (byte, index) =>
          frame(index === 0 ? TEXT : CONTINUATION, Uint8Array.of(byte), { isFinal: false }),
      );
      assertEquals(decode([concat(fragments)]).error?.code, end > certain ? 1007 : undefined, hex);
    }
    assertEquals(decode([frame(TEXT, bytes)]).error?.code, 1007, hex);
    assertEquals(decode([frame(BINARY, bytes)]).events, [["message", bytes.toHex()]]);
  }
});

Deno.test("a text that ends within a character is an error (6.1, 6.20)", () => {
  for (const character of ["é", "€", "😀"]) {
    const bytes = bytesOf(character);
    for (let end = 1; end < bytes.length; end++) {
      const part = bytes.subarray(0, end);
      for (const text of [message(TEXT, part), message(TEXT, "x", part, "")]) {
        const { error } = decode([text, frame(TEXT, bytes.subarray(end))]);
        assertEquals([error?.code, error?.message], [1007, "a text is not valid UTF-8"]);
      }
    }
  }
});

const payload = fc.oneof(
  fc.record({
    opcode: fc.constant(TEXT),
    bytes: fc.string({ unit: "binary", maxLength: 200 }).map((text) =>
      bytesOf(text.toWellFormed())
    ),
  }),
  fc.record({ opcode: fc.constant(BINARY), bytes: fc.uint8Array({ maxLength: 200 }) }),
);
const control = fc.record({
  opcode: fc.constantFrom(PING, PONG),
  bytes: fc.uint8Array({ maxLength: 125 }),
});
const mask = fc.uint8Array({ minLength: 4, maxLength: 4 });
const cuts = fc.array(fc.nat(200), { maxLength: 4 });

/** Cuts bytes at these places, which need not be in order. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [0, ...places.map((n) => n % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

Deno.test("random messages, fragments, masks and control frames come out in any chunks", () => {
  const step = fc.record({
    payload,
    cuts,
    masks: fc.array(mask, { minLength: 1 }),
    controls: fc.array(control, { maxLength: 2 }),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 6 }), fc.array(fc.nat()), (steps, places) => {
    const expected: [string, string][] = [];
    const frames = steps.flatMap(({ payload: { opcode, bytes }, cuts, masks, controls }) => {
      const parts = cut(bytes, cuts);
      const frames = parts.map((part, index) =>
        frame(index === 0 ? opcode : CONTINUATION, part, {
          isFinal: index === parts.length - 1,
          mask: masks[index % masks.length]!,
        })
      );
      for (const { opcode, bytes } of controls) {
        expected.push([opcode === PING ? "ping" : "pong", bytes.toHex()]);
      }
      expected.push(["message", bytes.toHex()]);
      return frames.toSpliced(-1, 0, ...controls.map(({ opcode, bytes }) => frame(opcode, bytes)));
    });
    const { events, error } = decode(cut(concat(frames), places));
    assertEquals(error, undefined);
    assertEquals(events, expected);
  }));
});

Deno.test("of random bytes no more comes out than came in, and nothing else is thrown", () => {
  const start = fc.record({ opcode: fc.nat(255), length: fc.nat(255), rest: fc.uint8Array() })
    .map(({ opcode, length, rest }) => Uint8Array.from([opcode, length, ...rest]));
  const plausible = fc.tuple(fc.constantFrom(0, 1, 2, 8, 9, 10), fc.boolean(), fc.uint8Array())
    .map(([opcode, isFinal, bytes]) => frame(opcode, bytes, { isFinal }));
  const part = fc.oneof(fc.uint8Array(), start, plausible);
  fc.assert(
    fc.property(fc.array(part), fc.array(fc.nat()), (parts, places) => {
      const bytes = concat(parts);
      const { events, length, error } = decode(cut(bytes, places), 300);
      const controls = events.filter(([kind]) => kind === "ping" || kind === "pong");
      const inControls = controls.reduce((sum, [, value]) => sum + String(value).length / 2, 0);
      assert(length + inControls <= bytes.length);
      assert(events.length <= bytes.length / 6 + 1);
      assert(error === undefined || [1002, 1007, 1009].includes(error.code));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("a long payload is unmasked wherever it is in memory and in its frame", () => {
  const payload = Uint8Array.from({ length: 5000 }, (_, index) => index * 7 & 255);
  const mask = Uint8Array.of(1, 20, 130, 240);
  const bytes = frame(BINARY, payload, { mask });
  for (let offset = 0; offset < 4; offset++) {
    for (const at of [0, 1, 2, 3, 2000]) {
      const memory = new Uint8Array(offset + bytes.length); // which is unmasked in place
      memory.set(bytes, offset);
      const decoder = new FrameDecoder(5000);
      const chunks = [memory.subarray(offset, offset + 8 + at), memory.subarray(offset + 8 + at)];
      const parts = chunks.flatMap((chunk) => [...decoder.decode(chunk)])
        .map((received) => received.kind === "data" ? received.bytes : bytesOf(""));
      assertSameBytes(concat(parts), payload);
    }
  }
});

Deno.test("a frame that a server sends is as short as possible, whole, and where it has to be", () => {
  for (const length of [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]) {
    const payload = new Uint8Array(length).fill(7);
    const [sent, ...others] = serverFrames(encodeFrame(BINARY, payload));
    assertEquals([sent!.opcode, sent!.isFinal, others.length], [BINARY, true, 0]);
    assertSameBytes(sent!.payload, payload);
    const target = new Uint8Array(length + 20);
    const end = encodeFrameInto(target, 3, TEXT, payload, false);
    const [fragment] = serverFrames(target.slice(3, end));
    assertEquals([fragment!.opcode, fragment!.isFinal], [TEXT, false]);
    assertSameBytes(fragment!.payload, payload);
    assert([...target.subarray(0, 3), ...target.subarray(end)].every((byte) => byte === 0));
  }
});

Deno.test("a close frame has its code and reason, which is cut between characters at 123 bytes", () => {
  const reasons: Readonly<Record<string, string>> = {
    "": "",
    "busy": "busy",
    ["x".repeat(123)]: "x".repeat(123),
    ["x".repeat(124)]: "x".repeat(123),
    ["é".repeat(62)]: "é".repeat(61),
    ["x" + "é".repeat(61)]: "x" + "é".repeat(61),
    ["€".repeat(99)]: "€".repeat(41),
    ["x" + "😀".repeat(40)]: "x" + "😀".repeat(30),
    "\ud800": "\ufffd",
  };
  for (const [reason, expected] of Object.entries(reasons)) {
    const [close, ...others] = serverFrames(encodeClose(1013, reason));
    const { opcode, isFinal, payload } = close!;
    assertEquals([opcode, isFinal, others.length], [CLOSE, true, 0]);
    assertEquals(payload, Uint8Array.from([1013 >> 8, 1013 & 255, ...bytesOf(expected)]));
  }
});

Deno.test("the answer to a close frame without a code has none", () => {
  assertEquals(encodeClose(1005, "x"), Uint8Array.of(0x88, 0));
});
