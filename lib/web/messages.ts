/**
 * The messages of a WebSocket: how the bytes that a child writes become messages. What a client
 * sends is the reverse and simple: a message is its bytes, in the mode `lines` with a line feed.
 *
 * @module
 */

import type { MessageMode } from "../net/message_mode.ts";
import { encodeFrame, encodeFrameInto, MAX_FRAME_HEADER_BYTES, OPCODE } from "./frames.ts";

/** What is kept of a line that has not ended; more of it is sent as a fragment of its message. */
const MAX_REST = 64 * 1024;
const LF = 10;
const CR = 13;

const encoder = new TextEncoder();

/** Makes frames of what one child writes. Text that is not valid UTF-8 is made so (U+FFFD). */
export class MessageEncoder {
  readonly #mode: MessageMode;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** What has come of a line, in whole characters, and whether the start of it has been sent. */
  #rest = new Uint8Array(0);
  #isFragmented = false;

  constructor(mode: MessageMode) {
    this.#mode = mode;
  }

  /** The frames for the next bytes, which may be none. */
  encode(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    if (this.#mode === "bytes") return encodeFrame(OPCODE.binary, bytes);
    return this.#encodeText(this.#decoder.decode(bytes, { stream: true }), false);
  }

  /** The frames for what is left at the end: a line without an end is one, too. */
  end(): Uint8Array<ArrayBuffer> {
    return this.#encodeText(this.#decoder.decode(), true);
  }

  #encodeText(text: string, isEnd: boolean): Uint8Array<ArrayBuffer> {
    const bytes = encoder.encode(text);
    if (this.#mode === "lines") {
      const all = this.#rest.length === 0 ? bytes : concat([this.#rest, bytes]);
      return this.#encodeLines(all, isEnd);
    }
    return text === "" ? bytes : encodeFrame(OPCODE.text, bytes);
  }

  #encodeLines(bytes: Uint8Array<ArrayBuffer>, isEnd: boolean): Uint8Array<ArrayBuffer> {
    // A frame's header has at most one byte more than its payload and the line feed.
    const frames = new Uint8Array(2 * bytes.length + MAX_FRAME_HEADER_BYTES);
    let length = 0;
    const add = (line: Uint8Array, isFinal: boolean) => {
      const opcode = this.#isFragmented ? OPCODE.continuation : OPCODE.text;
      this.#isFragmented = !isFinal;
      length = encodeFrameInto(frames, length, opcode, line, isFinal);
    };
    let start = 0;
    for (let end; (end = bytes.indexOf(LF, start)) >= 0; start = end + 1) {
      add(bytes.subarray(start, bytes[end - 1] === CR ? end - 1 : end), true);
    }
    if (isEnd && (start < bytes.length || this.#isFragmented)) {
      add(bytes.subarray(start), true);
      start = bytes.length;
    } else if (bytes.length - start > MAX_REST) {
      const end = bytes.at(-1) === CR ? bytes.length - 1 : bytes.length; // it may be that of a CRLF
      add(bytes.subarray(start, end), false);
      start = end;
    }
    this.#rest = bytes.slice(start);
    return frames.subarray(0, length);
  }
}

/** Joins frames. */
export function concat(parts: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
