/**
 * WebSocket frames as a client writes and reads them, from RFC 6455 and not from lib/web.
 *
 * @module
 */

import { FrameDecoder, type Received, WebSocketError } from "../lib/web/frames.ts";
import { concat } from "./_sockets.ts";

export const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10] as const;

/** What is not as usual about a client's frame. */
export interface FrameOptions {
  readonly isFinal?: boolean;
  readonly mask?: Uint8Array;
  readonly isMasked?: boolean;
  /** The reserved bits that are set. */
  readonly reserved?: number;
  /** The length that the header gives. */
  readonly length?: bigint | number;
  /** How many bytes the length has besides the first: 0, 2 or 8. */
  readonly lengthBytes?: 0 | 2 | 8;
}

/** A frame as a client sends it, with a payload of bytes or text. */
export function frame(
  opcode: number,
  payload: Uint8Array | string = "",
  options: FrameOptions = {},
): Uint8Array<ArrayBuffer> {
  const bytes = bytesOf(payload);
  const { isFinal = true, isMasked = true, reserved = 0, length = bytes.length } = options;
  const { mask = Uint8Array.of(0x37, 0xfa, 0x21, 0x3d) } = options;
  const shortest = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const { lengthBytes = shortest } = options;
  const digits = BigInt(length).toString(16).padStart(2 * lengthBytes, "0");
  return Uint8Array.from([
    (isFinal ? 0x80 : 0) | reserved | opcode,
    (isMasked ? 0x80 : 0) | (lengthBytes === 0 ? Number(length) : lengthBytes === 2 ? 126 : 127),
    ...(lengthBytes === 0 ? [] : Uint8Array.fromHex(digits)),
    ...(isMasked ? mask : []),
    ...(isMasked ? bytes.map((byte, index) => byte ^ mask[index % 4]!) : bytes),
  ]);
}

/** A message in fragments. */
export function message(
  opcode: number,
  ...fragments: (Uint8Array | string)[]
): Uint8Array<ArrayBuffer> {
  return concat(fragments.map((payload, index) => {
    const isFinal = index === fragments.length - 1;
    return frame(index === 0 ? opcode : CONTINUATION, payload, { isFinal });
  }));
}

/** What came of a client's bytes. */
export interface Decoded {
  /** Whole messages and control frames, and what there was of a last message, bytes as hex. */
  readonly events: (readonly [kind: string, value: string | number])[];
  /** The error that ended it. */
  readonly error?: WebSocketError;
  /** How many bytes of messages came out. */
  readonly length: number;
}

/** Decodes a client's bytes, which come in these chunks. */
export function decode(chunks: readonly Uint8Array[], limit = 2 ** 20): Decoded {
  const decoder = new FrameDecoder(limit);
  const events: [string, string | number][] = [];
  let [hex, length] = ["", 0];
  const take = (received: Received) => {
    if (received.kind === "close") return events.push(["close", received.code]);
    if (received.kind !== "data") return events.push([received.kind, received.bytes.toHex()]);
    hex += received.bytes.toHex();
    length += received.bytes.length;
    if (!received.isEnd) return;
    events.push(["message", hex]);
    hex = "";
  };
  let error: WebSocketError | undefined;
  try {
    for (const chunk of chunks) {
      for (const received of decoder.decode(chunk.slice())) take(received);
    }
  } catch (thrown) {
    if (!(thrown instanceof WebSocketError)) throw thrown;
    error = thrown;
  }
  if (hex !== "") events.push(["part", hex]);
  return { events, length, ...(error && { error }) };
}

/** A frame that a server has sent. */
export interface ServerFrame {
  readonly opcode: number;
  readonly isFinal: boolean;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** The frames that a server has sent, which must be whole, unmasked, and as short as possible. */
export function serverFrames(bytes: Uint8Array<ArrayBuffer>): ServerFrame[] {
  const frames: ServerFrame[] = [];
  for (let at = 0; at < bytes.length;) {
    const [first, second] = [bytes[at]!, bytes[at + 1]!];
    if ((first & 0x70) !== 0 || second > 127) throw new Error(`no header at ${at}`);
    const lengthBytes = second === 126 ? 2 : second === 127 ? 8 : 0;
    const start = at + 2 + lengthBytes;
    const length = lengthBytes === 0 ? second : parseInt(bytes.slice(at + 2, start).toHex(), 16);
    if (lengthBytes > 0 && length < 126 || lengthBytes === 8 && length < 65_536) {
      throw new Error(`a length of ${length} has ${lengthBytes} bytes`);
    }
    const payload = bytes.slice(start, start + length);
    if (payload.length < length) throw new Error(`the frame at ${at} is not whole`);
    frames.push({ opcode: first & 15, isFinal: first > 127, payload });
    at = start + length;
  }
  return frames;
}

/** UTF-8 as bytes, and bytes as they are. */
export function bytesOf(payload: Uint8Array | string): Uint8Array {
  return typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
}

/** UTF-8 as hex. */
export function hex(text: string): string {
  return bytesOf(text).toHex();
}
