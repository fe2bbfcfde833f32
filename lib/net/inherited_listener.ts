/**
 * The inherited listener: a listening socket that the process was started with (sd_listen_fds(3)).
 *
 * Deno can adopt one by `node:net` alone, which needs no permission. But a `net.Server` accepts
 * whatever comes, at once, and its TCP sockets cannot write to a client that has half-closed without
 * sending a byte (EPIPE, seen on 2.9.6). So only the server's handle is used here, which gives
 * one client at a time, and the TCP sockets continue as Deno's own. None of that is a public
 * interface: tests hold it in place.
 *
 * Once the handle has nothing left, it takes what is in the backlog, up to 128 clients at a time.
 * These cannot be given back, so whoever closes it has to serve them.
 *
 * @module
 */

import type { Server } from "node:net";
import { InheritedTcpConn, type TcpHandle } from "./inherited_tcp_conn.ts";
import { type CopyingHandle, type InheritedSocket, takeSocket } from "./inherited_sockets.ts";
import { InheritedUnixConn } from "./inherited_unix_conn.ts";
import { ListenError } from "./listen_error.ts";

/** An accepted client. */
export type InheritedConn = InheritedTcpConn | InheritedUnixConn;

/** What `node:net` listens by (seen on Deno 2.9.6). */
interface ListeningHandle extends CopyingHandle {
  constructor: new (type: 0) => TcpHandle;
  onconnection: (status: number) => void;
  onread: () => void;
  /** Gives the client to a new handle; not 0 if there is none. */
  accept(client: TcpHandle): number;
  readStart(): number;
  readStop(): number;
}

/**
 * How often accepting is tried anew while no client comes, in milliseconds: after an error, such as
 * no descriptor left, the handle would wait for ever.
 */
const RETRY_MS = 1_000;

const IN_USE = "the descriptor is in use already. Give every address once";

/** A listening socket that somebody else has opened, and may keep open. */
export class InheritedListener {
  readonly #socket: InheritedSocket;
  readonly #keepAlive: boolean;
  /** Set from the first accept on: until then its clients stay in the backlog. */
  #server: Server | undefined;
  #handle: ListeningHandle | undefined;
  /** The accept that waits for a client. */
  #waiting: PromiseWithResolvers<InheritedConn> | undefined;
  /** Clients that were left when it closed. */
  readonly #rest: TcpHandle[] = [];
  #isClosed = false;

  private constructor(socket: InheritedSocket, keepAlive: boolean) {
    this.#socket = socket;
    this.#keepAlive = keepAlive;
    socket.isInUse = true;
  }

  /**
   * Opens the socket of a descriptor.
   *
   * @throws {ListenError} It is in use, or as {@linkcode takeSocket} does.
   */
  static async open(
    fd: number | string,
    { keepAlive }: { keepAlive: boolean },
  ): Promise<InheritedListener> {
    const socket = await takeSocket(fd);
    if (socket.isInUse) throw new ListenError(`fd:${fd}`, IN_USE);
    return new InheritedListener(socket, keepAlive);
  }

  /** The address; without a path over a Unix socket. */
  get addr(): Deno.NetAddr | Deno.UnixAddr {
    return this.#socket.addr;
  }

  /**
   * Resolves to the next client. One accept may wait at a time.
   *
   * @throws {Deno.errors.BadResource} It is closed, and what it had taken has been accepted.
   * @throws {Deno.errors.NotConnected} A client has reset its connection already.
   */
  async accept(): Promise<InheritedConn> {
    const client = this.#take();
    if (client !== undefined) return this.#connOf(client);
    if (this.#isClosed) throw new Deno.errors.BadResource("Listener has been closed");
    this.#waiting = Promise.withResolvers();
    this.#look();
    const retrying = setInterval(() => this.#look(), RETRY_MS);
    try {
      return await this.#waiting.promise;
    } finally {
      clearInterval(retrying);
    }
  }

  /**
   * Stops listening immediately. Who is in the kernel's backlog waits for whoever else has the
   * socket; what was taken from there can still be accepted.
   *
   * @param mayReopen Whether the process may listen on the socket again.
   */
  stop(mayReopen: boolean): void {
    if (this.#isClosed) return;
    for (let client; (client = this.#take()) !== undefined;) this.#rest.push(client);
    this.#isClosed = true;
    if (mayReopen) {
      if (this.#handle) this.#socket.keep(this.#handle);
      this.#socket.isInUse = false;
    }
    this.#server?.close();
    this.#waiting?.reject(new Deno.errors.BadResource("Listener has been closed"));
  }

  /** Stops listening, and closes what was not accepted. The process may listen there again. */
  close(): void {
    this.stop(true);
    for (const client of this.#rest.splice(0)) client.close();
  }

  #listen(): ListeningHandle {
    const [server, handle] = this.#socket.listen<ListeningHandle>();
    handle.onconnection = () => this.#give();
    handle.onread = () => {}; // for #look()
    this.#server = server;
    return handle;
  }

  /** Makes the handle look for clients: it may have missed some while it had others. */
  #look(): void {
    this.#handle ??= this.#listen();
    this.#handle.readStop();
    this.#handle.readStart();
  }

  /** Gives a client to the accept that waits. */
  #give(): void {
    if (this.#waiting === undefined) return; // it stays where it is
    const client = this.#take();
    if (client === undefined) return;
    const { resolve, reject } = this.#waiting;
    this.#waiting = undefined;
    try {
      resolve(this.#connOf(client));
    } catch (error) {
      reject(error);
    }
  }

  #take(): TcpHandle | undefined {
    if (this.#isClosed) return this.#rest.shift();
    if (!this.#handle) return undefined;
    const client = new this.#handle.constructor(0);
    if (this.#handle.accept(client) === 0) return client;
    client.close();
    return undefined;
  }

  #connOf(client: TcpHandle): InheritedConn {
    return this.addr.transport === "tcp"
      ? new InheritedTcpConn(client, this.#keepAlive)
      : new InheritedUnixConn(client);
  }
}
