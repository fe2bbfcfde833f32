/**
 * TLS: takes clients through their handshake, and carries their bytes from then on.
 *
 * Deno speaks TLS as a server only on connections that a TLS listener has accepted itself, and such
 * a connection keeps its socket until its client is done with the handshake, closed or not (seen on
 * 2.9); nor can its listener get another certificate, or a PROXY header be read first. So there is a
 * TLS listener that nobody outside can reach, on the loopback, and a client's encrypted bytes are
 * carried to it. The client's own socket stays an ordinary one, and closing that ends everything.
 *
 * @module
 */

import { Connection } from "./connection.ts";
import { Flow, pump } from "../base/relay.ts";

/** The files of a server's identity. */
export interface TlsFiles {
  /** The certificate chain in PEM. */
  readonly cert: string;
  /** Its private key in PEM. */
  readonly key: string;
}

/** A server's identity, which clients shake hands with. */
export class Tls {
  readonly #files: TlsFiles;
  #listener: Deno.TlsListener;
  /** Connections to the listener are made one at a time, so that each is known. */
  #pairing: Promise<unknown> = Promise.resolve();

  /**
   * Reads the files. Needs `--allow-read` for them, and `--allow-net` for 127.0.0.1.
   *
   * @throws A file cannot be read, or the certificate and the key are not good.
   */
  constructor(files: TlsFiles) {
    this.#files = files;
    this.#listener = listen(files);
  }

  /**
   * Reads the files again, for the clients to come.
   *
   * @throws They are not good; it goes on with what it had.
   */
  renew(): void {
    const old = this.#listener;
    this.#listener = listen(this.#files);
    this.#pairing.finally(() => old.close());
  }

  /** Gives the listener back. */
  close(): void {
    this.#listener.close();
  }

  /**
   * Takes a client through the handshake, and gives it back with its bytes in plain. That takes as
   * long as the client likes; closing the client ends it.
   *
   * @throws What it sent was no TLS, it did not like ours, or it has gone.
   */
  async handshake(client: Connection): Promise<Connection> {
    const pairing = this.#pairing.then(() => pair(this.#listener));
    this.#pairing = pairing.catch(() => {});
    const [conn, secured] = await pairing;
    const inner = new Connection(conn);
    const carry = async (from: Connection, to: Connection) => {
      if (await pump(from, to, new Flow()) !== "ended") inner.close();
    };
    carry(client, inner);
    const flushed = carry(inner, client);
    const shaken = new TlsConnection(secured, client, inner, flushed);
    try {
      await secured.handshake();
      return shaken;
    } catch (error) {
      shaken.close();
      throw error;
    }
  }
}

/** A client behind its handshake. */
class TlsConnection extends Connection {
  readonly #outer: Connection;
  readonly #inner: Connection;
  readonly #flushed: Promise<void>;

  constructor(conn: Deno.TlsConn, outer: Connection, inner: Connection, flushed: Promise<void>) {
    super(conn, outer.ends);
    this.#outer = outer;
    this.#inner = inner;
    this.#flushed = flushed;
  }

  /** Ends the output; resolves when all of it is on its way to the client. */
  override async closeWrite(): Promise<void> {
    await super.closeWrite();
    await this.#flushed;
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

/** Both ends of a new connection to a listener; what else may have connected there is closed. */
async function pair(listener: Deno.TlsListener): Promise<[Deno.TcpConn, Deno.TlsConn]> {
  const { hostname, port } = listener.addr as Deno.NetAddr;
  const conn = await Deno.connect({ hostname, port });
  try {
    for (;;) {
      const secured = await listener.accept();
      const { port } = secured.remoteAddr as Deno.NetAddr;
      if (port === conn.localAddr.port) return [conn, secured];
      secured.close();
    }
  } catch (error) {
    conn.close();
    throw error;
  }
}
