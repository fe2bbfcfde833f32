/**
 * The client: one accepted connection as an endpoint of the relay, over TCP or a Unix socket.
 *
 * It reads and writes the connection itself and never touches `conn.readable`, which closes the
 * whole socket at the end of input and so makes half-close impossible (seen on Deno 2.9).
 *
 * @module
 */

import { formatSocketAddress, unmapIPv4 } from "./address.ts";
import { type ProxyHeader, readProxyHeader } from "./proxy_protocol.ts";
import { discard, type Endpoint, SMALLEST_BUFFER } from "../base/relay.ts";
import { settlesWithin } from "../base/settles_within.ts";

/**
 * How long a client's bytes are still read after its last output, and how long output may still take
 * to leave after its child was stopped; milliseconds. A socket closed with bytes unread is reset, and
 * a reset destroys output that the client has not read yet (RFC 1122, section 4.2.2.13).
 */
export const LINGER_MS = 2_000;

/** An accepted connection. */
export class Connection implements Endpoint {
  readonly #conn: Deno.Conn;
  /** Both ends, as a proxy in between tells them where there is one; none for a Unix socket. */
  #ends: ProxyHeader;
  /** What was read before somebody wanted it. */
  #ahead: Promise<Uint8Array<ArrayBuffer> | null> | undefined;

  /** @param ends Both ends, where the connection's own are not those of the client. */
  constructor(conn: Deno.Conn, ends: ProxyHeader = endsOf(conn)) {
    this.#conn = conn;
    this.#ends = ends;
    // Neither a Unix socket nor one under TLS can be told.
    const { setNoDelay, setKeepAlive } = conn as Partial<Deno.TcpConn>;
    try {
      setNoDelay?.call(conn, true); // what a child writes at once is a message: do not hold it back
      setKeepAlive?.call(conn, true); // a peer that lost its power sends no FIN
    } catch {
      // Already reset: the first read will say so.
    }
  }

  /** The peer as the log has it: `ip:port`, or `unix`. */
  get name(): string {
    return this.#ends.source ? formatSocketAddress(this.#ends.source) : "unix";
  }

  /** Its address; none over a Unix socket. */
  get address(): string | undefined {
    return this.#ends.source?.hostname;
  }

  /** Both ends of the client's own connection, be it to this server or to a proxy. */
  get ends(): ProxyHeader {
    return this.#ends;
  }

  async read(buffer: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | null> {
    if (this.#ahead !== undefined) {
      const ahead = this.#ahead;
      this.#ahead = undefined;
      return await ahead;
    }
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

  /**
   * Reads the PROXY header that has to come first; from then on, the client is whom it names.
   *
   * @throws {ProxyHeaderError} There is none. And whatever a read throws.
   */
  async readProxyHeader(): Promise<void> {
    const { header, rest } = await readProxyHeader(this);
    if (header.source) this.#ends = header;
    if (rest.length > 0) this.#ahead = Promise.resolve(rest);
  }

  /**
   * Whether a client that has to wait has gone: it reset the connection, or ended it without having
   * said anything. Resolves when it is clear; to `false` once it says something, for then it may well
   * end its input and wait on for its answer.
   */
  async hasLeft(): Promise<boolean> {
    this.#ahead ??= this.read(new Uint8Array(SMALLEST_BUFFER));
    try {
      return await this.#ahead === null;
    } catch {
      return true;
    }
  }

  /** Says a last word, ends the output, and closes when the client has seen it, or soon. */
  async refuse(text: Uint8Array<ArrayBuffer>): Promise<void> {
    const farewell = async () => {
      await this.write(text);
      await this.closeWrite();
      await discard(this);
    };
    await settlesWithin(farewell(), LINGER_MS);
    this.close();
  }

  /** Closes the connection; what is still waiting in a read or a write fails. May be called twice. */
  close(): void {
    try {
      this.#conn.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}

function endsOf({ remoteAddr, localAddr }: Deno.Conn): ProxyHeader {
  if (remoteAddr.transport !== "tcp" || localAddr.transport !== "tcp") return {};
  return { source: unmapIPv4(remoteAddr), destination: unmapIPv4(localAddr) };
}
