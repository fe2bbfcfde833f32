/**
 * A client of the load: opens a connection, over which messages are exchanged. It checks every byte
 * that comes back; a wrong or missing one is an error, not a fast answer.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** The server answered, but not what is due. */
export class WrongAnswer extends Error {}

/** A client with an open connection. */
export interface Client {
  /** Sends a message, and checks that the answer is what is due. */
  exchange(message: Uint8Array, due: Uint8Array): Promise<void>;
  /** Ends its input, checks that nothing more comes, and closes. */
  end(): Promise<void>;
  close(): void;
}

/** A client that sends and receives bytes as they are. */
export class StreamClient implements Client {
  readonly #conn: Deno.TcpConn | Deno.TlsConn;

  constructor(conn: Deno.TcpConn | Deno.TlsConn) {
    this.#conn = conn;
  }

  async exchange(message: Uint8Array, due: Uint8Array): Promise<void> {
    await send(this.#conn, message);
    const got = new Uint8Array(due.length);
    for (let have = 0; have < due.length;) {
      const length = await this.#conn.read(got.subarray(have));
      if (length === null) {
        throw new Error(`the connection ended after ${have} of ${due.length} bytes`);
      }
      have += length;
    }
    compare(got, due);
  }

  async end(): Promise<void> {
    await this.#conn.closeWrite();
    if (await this.#conn.read(new Uint8Array(1)) !== null) {
      throw new WrongAnswer("the server sent too much");
    }
    this.#conn.close();
  }

  close(): void {
    this.#conn.close();
  }
}

/** Sends all of `bytes`. */
export async function send(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
}

/** @throws {WrongAnswer} What came is not what is due. */
export function compare(got: Uint8Array, due: Uint8Array): void {
  if (Buffer.compare(got, due) === 0) return;
  if (got.length !== due.length) {
    throw new WrongAnswer(`${got.length} bytes came, not ${due.length}`);
  }
  const wrong = got.findIndex((byte, i) => byte !== due[i]);
  throw new WrongAnswer(`byte ${wrong} is ${got[wrong]}, not ${due[wrong]}`);
}
