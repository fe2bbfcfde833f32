import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { MESSAGE_MODES, type MessageMode } from "../lib/net/message_mode.ts";
import { MessageEncoder } from "../lib/web/messages.ts";
import { BINARY, bytesOf, CONTINUATION, serverFrames, TEXT } from "./_frames.ts";
import { assertSameBytes, concat } from "./_sockets.ts";

/** The frames for what a child writes in these chunks. */
function framesOf(mode: MessageMode, chunks: readonly (string | Uint8Array)[]) {
  const encoder = new MessageEncoder(mode);
  const frames = chunks.map((chunk) => encoder.encode(bytesOf(chunk)));
  return serverFrames(concat([...frames, encoder.end()]));
}

/** The messages for what a child writes in these chunks, all of which are text. */
function textsOf(mode: "lines" | "text", ...chunks: (string | Uint8Array)[]): string[] {
  const texts: string[] = [];
  let fragments: Uint8Array[] = [];
  for (const { opcode, isFinal, payload } of framesOf(mode, chunks)) {
    assertEquals(opcode, fragments.length === 0 ? TEXT : CONTINUATION);
    fragments.push(payload);
    if (!isFinal) continue;
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    texts.push(decoder.decode(concat(fragments)));
    fragments = [];
  }
  assertEquals(fragments, []);
  return texts;
}

/** Each byte in a chunk of its own. */
function byBytes(text: string | Uint8Array): Uint8Array[] {
  return Array.from(bytesOf(text), (byte) => Uint8Array.of(byte));
}

/** The lines of a text as a client should see them. */
function linesOf(text: string): string[] {
  const [last, ...lines] = text.split("\n").toReversed();
  const whole = lines.toReversed().map((line) => line.endsWith("\r") ? line.slice(0, -1) : line);
  return last === "" ? whole : [...whole, last!];
}

Deno.test("a line is a message without its end, LF or CRLF, and so is a last one without one", () => {
  for (
    const [text, lines] of [
      ["a\nb\r\nc", ["a", "b", "c"]],
      ["\n\r\n\n", ["", "", ""]],
      ["a\rb\r\r\n", ["a\rb\r"]],
      ["a\n\r", ["a", "\r"]],
      ["", []],
      ["\n", [""]],
      ["\ufeffa\n\ufeff", ["\ufeffa", "\ufeff"]],
      ["grüße\n日本\n😀", ["grüße", "日本", "😀"]],
    ] as const
  ) {
    assertEquals(textsOf("lines", text), lines, text);
    assertEquals(textsOf("lines", ...byBytes(text)), lines, text);
  }
});

Deno.test("output of many short lines is as many messages", () => {
  for (const line of ["", "x", "x".repeat(125), "x".repeat(126)]) {
    for (const end of ["\n", "\r\n"]) {
      assertEquals(textsOf("lines", `${line}${end}`.repeat(999)), Array(999).fill(line));
    }
  }
});

Deno.test("what is no UTF-8 becomes U+FFFD, and line feeds stay line feeds", () => {
  const bytes = Uint8Array.of(
    0x41,
    0xff,
    0x0a,
    0xe2,
    0x82,
    0x0a,
    0xed,
    0xa0,
    0x80,
    0x0a,
    0xf0,
    0x9f,
  );
  const lines = ["A\ufffd", "\ufffd", "\ufffd\ufffd\ufffd", "\ufffd"];
  assertEquals(textsOf("lines", bytes), lines);
  assertEquals(textsOf("lines", ...byBytes(bytes)), lines);
  assertEquals(textsOf("text", ...byBytes(bytes)).join(""), lines.join("\n"));
});

Deno.test("text goes on as it comes, in whole characters", () => {
  const [first, second] = [bytesOf("a😀").subarray(0, 3), bytesOf("a😀").subarray(3)];
  assertEquals(textsOf("text", first, second, "b\r\n\n"), ["a", "😀", "b\r\n\n"]);
  assertEquals(textsOf("text", first), ["a", "\ufffd"]);
  assertEquals(textsOf("text", "\ufeff", "\ufeffx"), ["\ufeff", "\ufeffx"]);
});

Deno.test("bytes go on as they come", () => {
  const frames = framesOf("bytes", [Uint8Array.of(0, 255, 10), "x\n"]);
  assertEquals(frames, [
    { opcode: BINARY, isFinal: true, payload: Uint8Array.of(0, 255, 10) },
    { opcode: BINARY, isFinal: true, payload: Uint8Array.of(120, 10) },
  ]);
});

Deno.test("the end of nothing is nothing, and comes once", () => {
  for (const mode of MESSAGE_MODES) {
    assertEquals(framesOf(mode, []), []);
    const encoder = new MessageEncoder(mode);
    encoder.encode(bytesOf("x"));
    encoder.end();
    assertEquals(encoder.end(), new Uint8Array(0));
  }
  assertEquals(textsOf("lines", "a\n"), ["a"]);
});

/** Texts with many line ends, and bytes that are hardly text. */
const output = fc.oneof(
  fc.array(fc.constantFrom("a", "\n", "\r", "\r\n", "é", "😀", "\ufeff", "\0", "x".repeat(130)))
    .map((parts) => bytesOf(parts.join(""))),
  fc.array(fc.constantFrom(10, 13, 65, 0x80, 0xc3, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0xed, 0xa0, 0xff))
    .map((bytes) => Uint8Array.from(bytes)),
  fc.uint8Array(),
);

Deno.test("whatever the output and its chunks are, the messages are what it is split into", () => {
  fc.assert(
    fc.property(output, fc.array(fc.nat(), { maxLength: 5 }), (bytes, places) => {
      const ends = [...places.map((place) => place % (bytes.length + 1)), bytes.length];
      const cuts = [0, ...ends.sort((a, b) => a - b)];
      const chunks = cuts.slice(1).map((end, index) => bytes.subarray(cuts[index], end));
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
      assertEquals(textsOf("lines", ...chunks), linesOf(text));
      assertEquals(textsOf("text", ...chunks).join(""), text);
      assertEquals(concat(framesOf("bytes", chunks).map(({ payload }) => payload)), bytes);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("a line of 1 MB is one message, of which no more than 64 KiB are kept", () => {
  for (const unit of ["x", "é", "😀", "\r"]) {
    const line = bytesOf(unit.repeat(1_000_000 / bytesOf(unit).length));
    const encoder = new MessageEncoder("lines");
    const sent: Uint8Array<ArrayBuffer>[] = [];
    let [given, taken] = [0, 0];
    for (let at = 0; at < line.length; at += 9_999) {
      const chunk = line.subarray(at, at + 9_999);
      const frames = encoder.encode(chunk);
      sent.push(frames);
      given += chunk.length;
      taken += serverFrames(frames).reduce((sum, { payload }) => sum + payload.length, 0);
      assert(given - taken <= 64 * 1024 + 3, `${given - taken} bytes are kept`);
    }
    sent.push(encoder.encode(bytesOf("\r\nnext\n")), encoder.end());
    const frames = serverFrames(concat(sent));
    const end = frames.findIndex(({ isFinal }) => isFinal);
    const opcodes = frames.slice(0, end + 1).map(({ opcode }) => opcode);
    assertEquals(opcodes, [TEXT, ...Array(end).fill(CONTINUATION)]);
    assert(end > 10);
    assertSameBytes(concat(frames.slice(0, end + 1).map(({ payload }) => payload)), line);
    const others = frames.slice(end + 1).map(({ payload }) => new TextDecoder().decode(payload));
    assertEquals(others, ["next"]);
  }
});

Deno.test("a line that has been sent in fragments ends where its output does", () => {
  const long = "x".repeat(70_000);
  assertEquals(textsOf("lines", long), [long]);
  assertEquals(textsOf("lines", `${long}\r`), [`${long}\r`]);
  assertEquals(textsOf("lines", `${long}\r`, "\n"), [long]);
  assertEquals(textsOf("lines", `${long}\r`, "x\n"), [`${long}\rx`]);
  assertEquals(textsOf("lines", long, "\n"), [long]);
});
