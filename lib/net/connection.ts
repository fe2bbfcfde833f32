/**
 * The connection: an accepted client, over TCP or a Unix socket, as an endpoint of the relay.
 *
 * It must never use `conn.readable`, which closes the whole socket at end of input and so makes
 * half-close impossible (seen on Deno 2.9). It calls `conn.read()` and `conn.write()` instead.
 *
 * @module
 */

import { formatSocketAddress, unmapIPv4 } from "./address.ts";
import type { ClientFacts } from "./client_facts.ts";
import { readProxyHeader } from "./proxy_protocol.ts";
import { discard, type Endpoint, MIN_BUFFER_BYTES } from "../base/relay.ts";
import { settlesWithin } from "../base/settles_within.ts";

/**
 * How long to go on reading a client's bytes after its last output, and how long output may take to
 * drain after its child was stopped, in milliseconds. Closing a socket with unread bytes resets it,
 * and a reset destroys output that the client has not read yet (RFC 1122, section 4.2.2.13).
 */
export const LINGER_MS = 2_000;

/**
 * How many bytes are still read from a client after its last output, so that it arrives. Without a
 * bound, clients that are refused would consume the processor.
 */
const MAX_DISCARDED_BYTES = 64 * 1024;

/**
 * A client that reads at this rate or faster is there. The kernel reports progress only when a third
 * of its send buffer is free (Linux: 1.4 of tcp_wmem's 4 MB, tcp(7)): gaps of 58 s were seen at
 * 20 kB/s. So while output may wait for a client, it is given what this rate takes for the bytes that
 * the buffer may hold.
 */
const MIN_READ_BYTES_PER_MS = 4;
const MAX_SEND_BUFFER_BYTES = 2 * 1024 * 1024;

/** How much longer a client may take to show that it is there after it was sent so much. */
export function readingTimeMs(sentBytes: number): number {
  return Math.min(sentBytes, MAX_SEND_BUFFER_BYTES) / MIN_READ_BYTES_PER_MS;
}

/** How often a client is probed while it is neither read nor written to, in milliseconds. */
export const PROBE_INTERVAL_MS = 1_000;

const EMPTY = new Uint8Array(0);
const encoder = new TextEncoder();

/** What carries a client's bytes: its socket, or TLS over it. */
export interface Transport {
  read(buffer: Uint8Array<ArrayBuffer>): Promise<number | null>;
  /** May write a part. Of no bytes, it only fails if the client has reset or vanished. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<number>;
  closeWrite(): Promise<void>;
  /** Tells the client why the connection ends; absent where the protocol has no way to. */
  end?(ending: Ending): Promise<void>;
  /**
   * Where a client cannot end its input alone: resolves when it has ended both directions, which is
   * before all that it has sent has been read; to an error if it has broken the protocol.
   */
  readonly ended?: Promise<ProtocolError | undefined>;
  close(): void;
}

/** Why a connection ends. */
export interface Ending {
  /** The reason for which it ends, or for which it is refused, as in the log. */
  readonly reason: string;
  /** The same for people. */
  readonly text?: string;
  /** Whether its child has failed. */
  readonly hasFailed?: boolean;
}

/** A client has broken the rules of its protocol. */
export class ProtocolError extends Error {}

/** A socket that has just been accepted. */
export type AcceptedConn = Transport & Pick<Deno.Conn, "remoteAddr" | "localAddr">;

/** An accepted connection. */
export class Connection implements Endpoint {
  readonly #transport: Transport;
  #facts: ClientFacts;
  /** A read that was started early, to see whether the client has left. */
  #readAhead: Promise<Uint8Array<ArrayBuffer> | null> | undefined;

  constructor(transport: Transport, facts: ClientFacts) {
    this.#transport = transport;
    this.#facts = facts;
  }

  /** A client that has just been accepted. */
  static accepted(conn: AcceptedConn, { keepAlive }: { keepAlive: boolean }): Connection {
    const { setNoDelay, setKeepAlive } = conn as Partial<Deno.TcpConn>; // Unix sockets have neither
    try {
      setNoDelay?.call(conn, true); // one write of a child is likely one message: do not delay it
      if (keepAlive) setKeepAlive?.call(conn, true); // a peer that lost power sends no FIN
    } catch {
      // Already reset; the first read will fail too.
    }
    return new Connection(conn, addressesOf(conn));
  }

  /** The peer's name in the log: `ip:port`, or `unix`. */
  get name(): string {
    return this.#facts.source ? formatSocketAddress(this.#facts.source) : "unix";
  }

  /** The peer's IP address; `undefined` over a Unix socket. */
  get address(): string | undefined {
    return this.#facts.source?.hostname;
  }

  /**
   * What is known of the client. Its endpoints are those of its own connection, to this server or to
   * the proxy in front of it; over a Unix socket there are none.
   */
  get facts(): ClientFacts {
    return this.#facts;
  }

  async read(buffer: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | null> {
    if (this.#readAhead !== undefined) {
      const readAhead = this.#readAhead;
      this.#readAhead = undefined;
      return await readAhead;
    }
    const length = await this.#transport.read(buffer);
    return length === null ? null : buffer.subarray(0, length);
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    for (let written = 0; written < bytes.length;) {
      written += await this.#transport.write(written === 0 ? bytes : bytes.subarray(written));
    }
  }

  closeWrite(): Promise<void> {
    return this.#transport.closeWrite();
  }

  /** Rejects if the client has reset the connection or vanished; sends nothing. */
  async probe(): Promise<void> {
    await this.#transport.write(EMPTY); // fails on a socket with an error pending (seen on Linux)
  }

  /**
   * Reads the PROXY header, which must come first. The connection then takes the addresses in it,
   * if there are any.
   *
   * @param isOptional Whether there may be none.
   * @throws {ProxyHeaderError} The connection does not start with a valid header.
   * @throws Whatever a read throws.
   */
  async readProxyHeader(isOptional = false): Promise<void> {
    const { header, rest } = await readProxyHeader(this, isOptional);
    if (header.source) this.#facts = header;
    if (rest.length > 0) this.unread(rest);
  }

  /** Puts back bytes that were read last: the next read resolves with them. */
  unread(bytes: Uint8Array<ArrayBuffer>): void {
    this.#readAhead = Promise.resolve(bytes);
  }

  /**
   * Whether a waiting client has left: it reset the connection, or ended its input without sending
   * a byte. Resolves when that is known; to `false` once the client sends something, since it may
   * then end its input and still wait for an answer.
   */
  async hasLeft(): Promise<boolean> {
    this.#readAhead ??= this.read(new Uint8Array(MIN_BUFFER_BYTES));
    try {
      return await this.#readAhead === null;
    } catch {
      return true;
    }
  }

  /** Whether the client can end its input and still be sent something. */
  get hasHalfClose(): boolean {
    return this.#transport.ended === undefined;
  }

  /** What {@linkcode Transport.ended} is; never resolves where there is half-close. */
  get ended(): Promise<ProtocolError | undefined> {
    return this.#transport.ended ?? new Promise(() => {});
  }

  /** Tells the client why its connection ends, if its protocol has a way to. */
  async end(ending: Ending): Promise<void> {
    await this.#transport.end?.(ending);
  }

  /** Closes as {@linkcode Connection.closeAfter}, with the words that its protocol has for `ending`. */
  async refuse(ending: Ending): Promise<void> {
    if (!this.#transport.end) return this.closeAfter(encoder.encode(ending.text));
    await this.#closeAfter(() => this.end(ending), LINGER_MS);
  }

  /**
   * Sends `bytes` and half-closes, then discards input until the client closes too, so that no reset
   * destroys what was sent. Closes after `timeoutMs` milliseconds, or some input, at the latest.
   */
  async closeAfter(bytes: Uint8Array<ArrayBuffer>, timeoutMs = LINGER_MS): Promise<void> {
    const send = async () => {
      await this.write(bytes);
      await this.closeWrite();
    };
    await this.#closeAfter(send, timeoutMs);
  }

  async #closeAfter(send: () => Promise<void>, timeoutMs: number): Promise<void> {
    const sendAndLinger = async () => {
      await send();
      let left = MAX_DISCARDED_BYTES;
      await discard(this, (bytes) => (left -= bytes) < 0);
    };
    await settlesWithin(sendAndLinger(), timeoutMs);
    this.close();
  }

  /** Closes the connection. Pending reads and writes fail. Idempotent. */
  close(): void {
    try {
      this.#transport.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}

function addressesOf({ remoteAddr, localAddr }: AcceptedConn): ClientFacts {
  if (remoteAddr.transport !== "tcp" || localAddr.transport !== "tcp") {
    return "path" in remoteAddr && remoteAddr.path ? { path: remoteAddr.path } : {};
  }
  return { source: unmapIPv4(remoteAddr), destination: unmapIPv4(localAddr) };
}
