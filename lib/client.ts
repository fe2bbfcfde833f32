/**
 * The client: one accepted socket as an endpoint of the relay.
 *
 * It reads and writes the connection itself and never touches `conn.readable`, which closes the
 * whole socket at the end of input and so makes half-close impossible (seen on Deno 2.9).
 *
 * @module
 */

import type { Endpoint } from "./relay.ts";

/** An accepted TCP connection. */
export class Client implements Endpoint {
  /** The peer as `ip:port`, with an IPv6 address in brackets (RFC 3986, section 3.2.2). */
  readonly name: string;
  readonly #conn: Deno.TcpConn;

  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    this.name = formatAddress(conn.remoteAddr);
    try {
      conn.setNoDelay(true); // what a child writes at once is a message: do not hold it back
      conn.setKeepAlive(true); // a peer that lost its power sends no FIN
    } catch {
      // Already reset: the first read will say so.
    }
  }

  async read(buffer: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | null> {
    const length = await this.#conn.read(buffer);
    return length === null ? null : buffer.subarray(0, length);
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    for (let written = 0; written < bytes.length;) {
      written += await this.#conn.write(written === 0 ? bytes : bytes.subarray(written));
    }
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  /** Closes the socket; what is still waiting in a read or a write fails. May be called twice. */
  close(): void {
    try {
      this.#conn.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}

/** `127.0.0.1:9527`, or `[::1]:9527`. */
export function formatAddress({ hostname, port }: Deno.NetAddr): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
