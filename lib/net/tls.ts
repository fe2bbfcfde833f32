/**
 * TLS: performs the handshake with clients and decrypts their bytes afterwards.
 *
 * Deno serves TLS only on connections that its own TLS listener has accepted. Such a connection
 * keeps its socket until the client finishes the handshake, even after `close()` (seen on 2.9). Its
 * listener cannot change its certificate, and no PROXY header can be read first. So clients must
 * never connect to the TLS listener: it listens on the loopback only, and their encrypted bytes are
 * pumped to it. A client's own socket stays an ordinary one; closing it ends everything.
 *
 * @module
 */

import { Connection } from "./connection.ts";
import { Flow, pump } from "../base/relay.ts";

/** The files of a server's certificate and key. */
export interface TlsFiles {
  /** Path of the certificate chain, in PEM format. */
  readonly cert: string;
  /** Path of its private key, in PEM format. */
  readonly key: string;
}

/** The TLS side of a server: its certificate and key, and the handshake with clients. */
export class Tls {
  readonly #files: TlsFiles;
  #listener: Deno.TlsListener;
  /** The last pairing. They run one at a time, so that each accept is matched to its connect. */
  #pairing: Promise<unknown> = Promise.resolve();

  /**
   * Reads the files. Needs `--allow-read` for them, and `--allow-net` for 127.0.0.1.
   *
   * @throws A file cannot be read, or the certificate or the key is not valid.
   */
  constructor(files: TlsFiles) {
    this.#files = files;
    this.#listener = listen(files);
  }

  /**
   * Reads the files again; new clients get the new certificate.
   *
   * @throws A file cannot be read or is not valid; the old certificate stays in use.
   */
  reload(): void {
    const old = this.#listener;
    this.#listener = listen(this.#files);
    this.#pairing.finally(() => old.close());
  }

  /** Closes the loopback listener. */
  close(): void {
    this.#listener.close();
  }

  /**
   * Performs the handshake; resolves to a connection that carries the decrypted bytes. There is no
   * timeout: close `client` to abort.
   *
   * @throws The client did not speak TLS, rejected the handshake, or left.
   */
  async handshake(client: Connection): Promise<Connection> {
    const pairing = this.#pairing.then(() => pair(this.#listener));
    this.#pairing = pairing.catch(() => {});
    const [conn, tlsConn] = await pairing;
    const inner = new Connection(conn);
    const carry = async (from: Connection, to: Connection) => {
      if (await pump(from, to, new Flow()) !== "ended") inner.close();
    };
    carry(client, inner);
    const flushed = carry(inner, client);
    const secured = new TlsConnection(tlsConn, client, inner, flushed);
    try {
      await tlsConn.handshake();
      return secured;
    } catch (error) {
      secured.close();
      throw error;
    }
  }
}

/** A client after its handshake. */
class TlsConnection extends Connection {
  readonly #outer: Connection;
  readonly #inner: Connection;
  readonly #flushed: Promise<void>;

  constructor(conn: Deno.TlsConn, outer: Connection, inner: Connection, flushed: Promise<void>) {
    super(conn, outer.addresses);
    this.#outer = outer;
    this.#inner = inner;
    this.#flushed = flushed;
  }

  /** Half-closes; resolves when all output has been written to the client's socket. */
  override async closeWrite(): Promise<void> {
    await super.closeWrite();
    await this.#flushed;
  }

  override probe(): Promise<void> {
    return this.#outer.probe();
  }

  override close(): void {
    super.close();
    this.#inner.close();
    this.#outer.close();
  }
}

function listen({ cert, key }: TlsFiles): Deno.TlsListener {
  return Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    cert: Deno.readTextFileSync(cert),
    key: Deno.readTextFileSync(key),
  });
}

/** Connects to the listener and returns both ends. Closes connections from other programs. */
async function pair(listener: Deno.TlsListener): Promise<[Deno.TcpConn, Deno.TlsConn]> {
  const { hostname, port } = listener.addr as Deno.NetAddr;
  const conn = await Deno.connect({ hostname, port });
  try {
    for (;;) {
      const tlsConn = await listener.accept();
      const { port } = tlsConn.remoteAddr as Deno.NetAddr;
      if (port === conn.localAddr.port) return [conn, tlsConn];
      tlsConn.close();
    }
  } catch (error) {
    conn.close();
    throw error;
  }
}
