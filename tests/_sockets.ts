/**
 * The clients of the end-to-end tests: real sockets, and the bytes they send and receive.
 *
 * @module
 */

import { assert } from "@std/assert";
import net from "node:net";
import { within } from "./_waiting.ts";

const encoder = new TextEncoder();

/** What clients use of a connection. */
export type Conn = Pick<
  Deno.Conn,
  "read" | "write" | "closeWrite" | "close" | "localAddr" | "remoteAddr"
>;

/** Writes all of `data`. */
export async function send(conn: Conn, data: string | Uint8Array): Promise<void> {
  let bytes = typeof data === "string" ? encoder.encode(data) : data;
  while (bytes.length > 0) bytes = bytes.subarray(await conn.write(bytes));
}

/** Reads to end of input. */
export async function receiveAll(conn: Conn): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  await receiveEach(conn, (chunk) => chunks.push(chunk.slice()));
  return concat(chunks);
}

/** Reads to end of input; a chunk is valid only until the callback returns. */
export async function receiveEach(
  conn: Conn,
  each: (chunk: Uint8Array<ArrayBuffer>) => void,
): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  for (;;) {
    const length = await within("the client's input", conn.read(buffer));
    if (length === null) return;
    each(buffer.subarray(0, length));
  }
}

/** Reads exactly `length` bytes. */
export async function receive(conn: Conn, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let have = 0; have < length;) {
    const got = await within("the client's input", conn.read(bytes.subarray(have)));
    if (got === null) throw new Error(`The connection ended after ${have} of ${length} bytes`);
    have += got;
  }
  return bytes;
}

/** Joins `chunks`. */
export function concat(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.length;
  }
  return all;
}

/** Sends `data`, half-closes, and reads the whole answer. */
export async function ask(
  port: number,
  data: string | Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const answer = receiveAll(conn);
  await send(conn, data);
  await conn.closeWrite();
  return await answer;
}

/** Talks to the counter service: two messages, a block for each, and a clean close. */
export async function converse(conn: Conn): Promise<void> {
  for (const index of [0, 1]) {
    await send(conn, "message");
    const start = `This is server send message:${index}\0`;
    assert(text(await receive(conn, 256)).startsWith(start));
  }
  await conn.closeWrite();
  assert((await receiveAll(conn)).length === 0);
}

/** Compares bytes. `assertEquals` takes seconds for a megabyte, and minutes to print it. */
export function assertSameBytes(actual: Uint8Array, expected: Uint8Array): void {
  const different = expected.findIndex((byte, index) => byte !== actual[index]);
  assert(different < 0, `byte ${different} is ${actual[different]}, not ${expected[different]}`);
  assert(actual.length === expected.length, `${actual.length} bytes, not ${expected.length}`);
}

/**
 * Connects, and returns a function that resets the connection; `Deno.Conn` cannot send RST.
 *
 * @param say What to send first.
 * @param answer What to wait for then.
 */
export async function connectToReset(
  port: number,
  say = "",
  answer = "",
): Promise<() => Promise<void>> {
  const socket = net.connect(port, "127.0.0.1");
  await within("a connection", new Promise((resolve) => socket.once("connect", resolve)));
  socket.on("error", () => {});
  if (say) socket.write(say);
  let heard = "";
  await within(
    JSON.stringify(answer),
    new Promise<void>((resolve) => {
      if (answer === "") return resolve();
      socket.on("data", (data) => (heard += data) === answer && resolve());
    }),
  );
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  return () => {
    socket.resetAndDestroy();
    return closed;
  };
}

/** Connects from a given local address, for which `Deno.connect` has no option. */
export async function connectFrom(localAddress: string, port: number): Promise<net.Socket> {
  const socket = net.connect({ host: "127.0.0.1", port, localAddress });
  await within("a connection", new Promise((resolve) => socket.once("connect", resolve)));
  return socket;
}

/** Decodes UTF-8. */
export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
