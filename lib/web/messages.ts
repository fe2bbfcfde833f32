/**
 * The messages of a WebSocket: how the bytes that a child writes become messages. What a client
 * sends is the reverse and simple: a message is its bytes, in the mode `lines` with a line feed.
 *
 * @module
 */

import type { MessageMode } from "../net/message_mode.ts";
import { encodeFrame, OPCODE } from "./frames.ts";

/** What is kept of a line that has not ended; more of it is sent as a fragment of its message. */
const MAX_REST = 64 * 1024;

const encoder = new TextEncoder();

/** Makes frames of what one child writes. Text that is not valid UTF-8 is made so (U+FFFD). */
export class MessageEncoder {
  readonly #mode: MessageMode;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** What has come of a line, and whether the start of it has been sent. */
  #rest = "";
  #isFragmented = false;

  constructor(mode: MessageMode) {
    this.#mode = mode;
  }

  /** The frames for the next bytes, which may be none. */
  encode(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    if (this.#mode === "bytes") return encodeFrame(OPCODE.binary, bytes);
    return this.#encodeText(this.#decoder.decode(bytes, { stream: true }));
  }

  /** The frames for what is left at the end: a line without an end is one, too. */
  end(): Uint8Array<ArrayBuffer> {
    const frames = this.#encodeText(this.#decoder.decode());
    if (this.#rest === "" && !this.#isFragmented) return frames;
    const last = this.#line(this.#rest);
    this.#rest = "";
    return concat([frames, last]);
  }

  #encodeText(text: string): Uint8Array<ArrayBuffer> {
    if (this.#mode === "bytes" || text === "") return new Uint8Array(0);
    if (this.#mode === "text") return encodeFrame(OPCODE.text, encoder.encode(text));
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop()!;
    const frames = lines.map((line) => this.#line(line.replace(/\r$/, "")));
    if (this.#rest.length > MAX_REST) {
      const end = this.#rest.endsWith("\r") ? -1 : undefined; // it may be that of a CRLF
      frames.push(this.#line(this.#rest.slice(0, end), false));
      this.#rest = this.#rest.slice(-1).replace(/[^\r]/s, "");
    }
    return concat(frames);
  }

  /** A line as a message, or what comes of one that has been begun. */
  #line(text: string, isFinal = true): Uint8Array<ArrayBuffer> {
    const opcode = this.#isFragmented ? OPCODE.continuation : OPCODE.text;
    this.#isFragmented = !isFinal;
    return encodeFrame(opcode, encoder.encode(text), isFinal);
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
