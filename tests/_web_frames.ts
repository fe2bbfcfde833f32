/**
 * What a client of a WebSocket sends: the request, and frames of every kind, as a test wants them
 * (RFC 6455).
 *
 * @module
 */

import { concat } from "./_sockets.ts";

const encoder = new TextEncoder();
const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** What a frame is. */
export type Kind = keyof typeof OPCODES;

/** A frame that a server has sent. */
export interface Frame {
  readonly kind: Kind;
  readonly isFinal: boolean;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What a frame with this opcode is. */
export function kindOf(opcode: number): Kind {
  return Object.entries(OPCODES).find(([, value]) => value === opcode)![0] as Kind;
}

/** What is in the head of a request; a header that is `undefined` is left out. */
export interface RequestOptions {
  readonly method?: string;
  readonly target?: string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

/** The head of a request for a WebSocket, with the key of RFC 6455's example. */
export function requestHead(
  { method = "GET", target = "/", headers = {} }: RequestOptions = {},
): string {
  const fields = Object.entries({
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    ...headers,
  }).filter(([, value]) => value !== undefined);
  const lines = [
    `${method} ${target} HTTP/1.1`,
    ...fields.map(([name, value]) => `${name}: ${value}`),
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** A frame as a client sends it. `length` can be another one than that of its payload. */
export function frame(
  kind: Kind | number,
  payload: string | Uint8Array = "",
  { isFinal = true, isMasked = true, reserved = 0, length }: {
    isFinal?: boolean;
    isMasked?: boolean;
    reserved?: number;
    length?: number;
  } = {},
): Uint8Array<ArrayBuffer> {
  const bytes = typeof payload === "string" ? encoder.encode(payload) : payload;
  const size = length ?? bytes.length;
  const start = size < 126 ? 2 : size < 2 ** 16 ? 4 : 10;
  const made = new Uint8Array(start + (isMasked ? 4 : 0) + bytes.length);
  const view = new DataView(made.buffer);
  made[0] = (isFinal ? 0x80 : 0) | reserved | (typeof kind === "number" ? kind : OPCODES[kind]);
  made[1] = (isMasked ? 0x80 : 0) | (start === 2 ? size : start === 4 ? 126 : 127);
  if (start === 4) view.setUint16(2, size);
  if (start === 10) view.setBigUint64(2, BigInt(size));
  made.set(bytes, made.length - bytes.length);
  if (!isMasked) return made;
  const mask = crypto.getRandomValues(new Uint8Array(4));
  made.set(mask, start);
  const masked = made.subarray(start + 4);
  for (let index = 0; index < masked.length; index++) masked[index]! ^= mask[index & 3]!;
  return made;
}

/** A close frame with a code and a reason, or with neither. */
export function closeFrame(code?: number, reason = ""): Uint8Array<ArrayBuffer> {
  if (code === undefined) return frame("close");
  return frame("close", concat([Uint8Array.of(code >> 8, code), encoder.encode(reason)]));
}
