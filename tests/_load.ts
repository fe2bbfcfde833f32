/**
 * Clients for servers under load, over every transport that a server offers.
 *
 * @module
 */

import { once } from "node:events";
import net from "node:net";
import { type Conn, send } from "./_sockets.ts";
import { WebConn } from "./_web_conn.ts";
import { within } from "./_waiting.ts";

/** Where a server is reached. */
export interface Target {
  readonly port: number;
  /** Its port for WebSockets, if it has one. */
  readonly webPort?: number | undefined;
  /** The path of its Unix socket, if it has one. */
  readonly unix?: string | undefined;
  /** Its certificate for `localhost` in PEM, if it speaks TLS. */
  readonly cert?: string | undefined;
}

/** How a client connects. */
export interface Way {
  readonly via: "tcp" | "unix" | "web";
  /** What it sends before TLS and before its own bytes. */
  readonly header?: Uint8Array<ArrayBuffer> | undefined;
  /** Whether it does a TLS handshake. */
  readonly tls?: boolean;
}

/** An open connection. */
export interface Client extends Disposable {
  readonly conn: Conn;
  /** Its own port; `undefined` over a Unix socket. */
  readonly port: number | undefined;
}

/**
 * Connects this way. Calls `opened` with every connection that can be closed meanwhile: the socket,
 * and then TLS over it, before its handshake.
 */
export async function connect(
  target: Target,
  { via, header, tls = false }: Way,
  opened: (conn: Conn) => void = () => {},
): Promise<Client> {
  const plain = via === "unix"
    ? await Deno.connect({ transport: "unix", path: target.unix! })
    : await Deno.connect({
      hostname: "127.0.0.1",
      port: via === "web" ? target.webPort! : target.port,
    });
  let conn: Conn = plain;
  opened(conn);
  const port = plain.localAddr.transport === "tcp" ? plain.localAddr.port : undefined;
  try {
    if (header) await send(plain, header);
    if (tls) {
      const options = { hostname: "localhost", caCerts: [target.cert!] };
      const secured = await Deno.startTls(plain as Deno.TcpConn, options);
      opened(conn = secured);
      await within("a handshake", secured.handshake());
    }
    if (via === "web") conn = await WebConn.open(conn as Deno.Conn);
  } catch (error) {
    close(conn);
    throw error;
  }
  return { conn, port, [Symbol.dispose]: () => close(conn) };
}

/** Closes a connection, even if it has been closed. */
export function close(conn: Pick<Conn, "close">): void {
  try {
    conn.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** Connects from `address`, sends `data`, and resets the connection after `ms` milliseconds. */
export async function sendAndReset(
  { address, port, data, ms }: { address: string; port: number; data: Uint8Array; ms: number },
): Promise<void> {
  const socket = net.connect({ host: "127.0.0.1", port, localAddress: address });
  await within("a connection", once(socket, "connect"));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.on("error", () => {}); // the server may be first
  socket.write(data);
  await pause(ms);
  socket.resetAndDestroy();
  await closed;
}

/** Fetches a page of a status listener, and leaves no connection open. */
export async function fetchStatus(
  url: URL,
  path: string,
  init: RequestInit = {},
): Promise<{ status: number; body: string }> {
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  const response = await within(
    "the status listener",
    fetch(new URL(path, url), { ...init, client }),
  );
  return { status: response.status, body: await response.text() };
}

/** Waits; for clients that are slow on purpose. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
