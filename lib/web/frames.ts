/**
 * WebSocket frames (RFC 6455, section 5): takes apart what a client sends, and puts together what it
 * is sent.
 *
 * A frame's bytes are passed on as they come, and nothing of a message is kept. So the memory that a
 * client takes is that of one read, however long its messages are and however many fragments they
 * have. (A library that collects messages took 67 bytes for each byte of a flood of empty fragments.)
 *
 * @module
 */

import { ProtocolError } from "../net/connection.ts";

/** What a frame is. */
export const OPCODE = {
  continuation: 0x0,
  text: 0x1,
  binary: 0x2,
  close: 0x8,
  ping: 0x9,
  pong: 0xa,
} as const;

const OPCODES: ReadonlySet<number> = new Set(Object.values(OPCODE));

/** Why a WebSocket is closed (RFC 6455, section 7.4.1, and its registry at IANA). */
export const CLOSE_CODE = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  noCode: 1005,
  invalidText: 1007,
  policy: 1008,
  tooBig: 1009,
  failed: 1011,
  tryLater: 1013,
} as const;

/** A client has broken the protocol, or a limit. */
export class WebSocketError extends ProtocolError {
  override readonly name = "WebSocketError";
  /** The code that the connection is closed with. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Something that a client sent. Its bytes are a view of those that were decoded. */
export type Received =
  /** A part of a message, perhaps empty. */
  | { readonly kind: "data"; readonly bytes: Uint8Array; readonly isEnd: boolean }
  | { readonly kind: "ping" | "pong"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "close"; readonly code: number };

const FINAL = 0x80;
const RESERVED = 0x70;
const MASKED = 0x80;
const MAX_CONTROL_BYTES = 125;
const MASK_BYTES = 4;
/** Fewer are unmasked faster byte for byte. */
const MIN_BYTES_FOR_WORDS = 1024;
/** The longest header of a frame without a mask. */
export const MAX_FRAME_HEADER_BYTES = 2 + 8;
const EMPTY = new Uint8Array(0);

/** Takes apart what one client sends. */
export class FrameDecoder {
  readonly #maxMessageBytes: number;
  readonly #header = new Uint8Array(MAX_FRAME_HEADER_BYTES + MASK_BYTES);
  /** How much of the header is there; once it is all, what is left of the payload counts. */
  #headerBytes = 0;
  #left = 0;
  /** How much of the payload has been unmasked. */
  #unmasked = 0;
  readonly #control = new Uint8Array(MAX_CONTROL_BYTES);
  /** The size so far of the message that is under way, if one is, and whether it is text. */
  #message: { bytes: number; readonly isText: boolean } | undefined;
  readonly #utf8 = newDecoder();
  /** Whether a close frame has come. */
  #hasEnded = false;

  /** @param maxMessageBytes The size of the largest message that a client may send. */
  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /**
   * Unmasks `bytes`, in place, and yields what they contain; after a close frame, nothing.
   *
   * @throws {WebSocketError} The client has broken the protocol, or its message is too large.
   */
  *decode(bytes: Uint8Array): Generator<Received, void, void> {
    for (let at = 0; !this.#hasEnded;) {
      while (this.#headerBytes < this.#headerLength) {
        if (at === bytes.length) return;
        this.#header[this.#headerBytes++] = bytes[at++]!;
        if (this.#headerBytes === this.#headerLength) this.#begin();
      }
      const part = this.#left === 0 ? EMPTY : this.#take(bytes.subarray(at, at + this.#left));
      at += part.length;
      const received = this.#isControl ? this.#takeControl(part) : this.#takeData(part);
      this.#hasEnded = received?.kind === "close";
      if (received) yield received;
      if (this.#left > 0) return;
      this.#headerBytes = 0;
    }
  }

  /** Unmasks a part of the payload. */
  #take(part: Uint8Array): Uint8Array {
    const mask = this.#header.subarray(this.#headerLength - MASK_BYTES, this.#headerLength);
    unmask(part, mask, this.#unmasked);
    this.#unmasked += part.length;
    this.#left -= part.length;
    return part;
  }

  get #opcode(): number {
    return this.#header[0]! & 0xf;
  }

  get #isControl(): boolean {
    return this.#opcode >= OPCODE.close;
  }

  get #isFinal(): boolean {
    return (this.#header[0]! & FINAL) !== 0;
  }

  /** How long the header is, as far as its first two bytes have come. */
  get #headerLength(): number {
    if (this.#headerBytes < 2) return 2;
    const length = this.#header[1]! & 0x7f;
    return 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) +
      (this.#header[1]! & MASKED ? MASK_BYTES : 0);
  }

  /** A header is complete. */
  #begin(): void {
    const opcode = this.#opcode;
    const length = this.#payloadLength;
    if (this.#header[0]! & RESERVED) throw broken("a reserved bit is set");
    if (!(this.#header[1]! & MASKED)) throw broken("a frame is not masked");
    if (!OPCODES.has(opcode)) throw broken(`a frame has the unknown opcode ${opcode}`);
    this.#left = length;
    this.#unmasked = 0;
    if (this.#isControl) {
      if (!this.#isFinal) throw broken("a control frame is fragmented");
      if (length > MAX_CONTROL_BYTES) throw broken("a control frame is too long");
      return;
    }
    if ((opcode === OPCODE.continuation) !== (this.#message !== undefined)) {
      throw broken("a fragment is out of order");
    }
    this.#message ??= { bytes: 0, isText: opcode === OPCODE.text };
    if ((this.#message.bytes += length) > this.#maxMessageBytes) {
      throw new WebSocketError(
        CLOSE_CODE.tooBig,
        `a message is larger than ${this.#maxMessageBytes} bytes`,
      );
    }
  }

  get #payloadLength(): number {
    const length = this.#header[1]! & 0x7f;
    if (length < 126) return length;
    const view = new DataView(this.#header.buffer);
    return length === 126 ? view.getUint16(2) : Number(view.getBigUint64(2));
  }

  #takeData(part: Uint8Array): Received | undefined {
    const isEnd = this.#left === 0 && this.#isFinal;
    if (part.length === 0 && !isEnd) return undefined;
    if (this.#message!.isText) checkText(this.#utf8, part, isEnd);
    if (isEnd) this.#message = undefined;
    return { kind: "data", bytes: part, isEnd };
  }

  /** Collects a control frame, and returns it when it is complete. */
  #takeControl(part: Uint8Array): Received | undefined {
    this.#control.set(part, this.#unmasked - part.length);
    if (this.#left > 0) return undefined;
    const bytes = this.#control.slice(0, this.#unmasked);
    if (this.#opcode !== OPCODE.close) {
      return { kind: this.#opcode === OPCODE.ping ? "ping" : "pong", bytes };
    }
    if (bytes.length === 0) return { kind: "close", code: CLOSE_CODE.noCode };
    if (bytes.length === 1) throw broken("a close frame has half a code");
    const code = bytes[0]! << 8 | bytes[1]!;
    if (!isValidCode(code)) throw broken(`a close frame has the invalid code ${code}`);
    checkText(newDecoder(), bytes.subarray(2), true);
    return { kind: "close", code };
  }
}

/** Unmasks bytes in place, from a place in the payload on; many by words, in a fifth of the time. */
function unmask(bytes: Uint8Array, mask: Uint8Array, from: number): void {
  let at = 0;
  const unmaskTo = (end: number) => {
    for (; at < end; at++) bytes[at]! ^= mask[(from + at) & 3]!;
  };
  if (bytes.length >= MIN_BYTES_FOR_WORDS) {
    unmaskTo(-bytes.byteOffset & 3);
    const rotated = Uint8Array.from(mask, (_, index) => mask[(from + at + index) & 3]!);
    const [word] = new Uint32Array(rotated.buffer);
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset + at, (bytes.length - at) >> 2);
    for (let index = 0; index < words.length; index++) words[index]! ^= word!;
    at += words.byteLength;
  }
  unmaskTo(bytes.length);
}

function newDecoder(): TextDecoder {
  return new TextDecoder("utf-8", { fatal: true });
}

function checkText(decoder: TextDecoder, part: Uint8Array, isEnd: boolean): void {
  try {
    decoder.decode(part, { stream: !isEnd });
  } catch {
    throw new WebSocketError(CLOSE_CODE.invalidText, "a text is not valid UTF-8");
  }
}

/** Whether a close frame can have this code. */
function isValidCode(code: number): boolean {
  return code >= 3000 && code <= 4999 ||
    code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code);
}

function broken(message: string): WebSocketError {
  return new WebSocketError(CLOSE_CODE.protocolError, message);
}

/** A frame as a server sends it, without a mask. */
export function encodeFrame(opcode: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(MAX_FRAME_HEADER_BYTES + payload.length);
  return frame.subarray(0, encodeFrameInto(frame, 0, opcode, payload));
}

/** Writes a frame into `target` at a place that has room for it; returns where it ends. */
export function encodeFrameInto(
  target: Uint8Array,
  at: number,
  opcode: number,
  payload: Uint8Array,
  isFinal = true,
): number {
  const { length } = payload;
  const lengthBytes = length < 126 ? 0 : length < 2 ** 16 ? 2 : 8;
  const start = at + 2 + lengthBytes;
  target[at] = (isFinal ? FINAL : 0) | opcode;
  target[at + 1] = lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127;
  for (let index = 1; index <= lengthBytes; index++) {
    target[start - index] = length / 256 ** (index - 1); // of which it keeps the last byte
  }
  target.set(payload, start);
  return start + length;
}

/** A close frame, with a reason of at most 123 bytes; a longer one is cut. */
export function encodeClose(code: number, reason = ""): Uint8Array<ArrayBuffer> {
  if (code === CLOSE_CODE.noCode) return encodeFrame(OPCODE.close, EMPTY);
  const payload = new Uint8Array(MAX_CONTROL_BYTES);
  const { written } = new TextEncoder().encodeInto(reason, payload.subarray(2));
  new DataView(payload.buffer).setUint16(0, code);
  return encodeFrame(OPCODE.close, payload.subarray(0, 2 + written));
}
