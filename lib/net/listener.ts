/**
 * The listener: a listening socket, over TCP or at a path in the file system.
 *
 * A failed accept must never end it: the client may have left already, or descriptors may have run
 * out for a while. Nor may closing it reset clients: the kernel completes connections by itself and
 * resets those still in the backlog when the socket closes, so the backlog is accepted first.
 *
 * @module
 */

import { formatSocketAddress } from "./address.ts";
import type { ListenAddress } from "./listen_address.ts";
import { Connection } from "./connection.ts";
import { isTurnDue, nextTurn } from "../base/event_loop.ts";
import { log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";

/** An address cannot be listened on. The message says why and what to do, in one line. */
export class ListenError extends Error {
  /** Always `ListenError`. */
  override readonly name = "ListenError";

  /**
   * Creates an error for one address.
   *
   * @param address The address to listen on, as it is shown in the message.
   * @param reason What is wrong and what to do about it.
   */
  constructor(address: string, reason: string) {
    super(`Cannot listen on ${address}: ${reason}`);
  }
}

/** Options for {@linkcode Listener.tcp}. */
export interface TcpOptions {
  /** The address, or a host name to resolve. */
  readonly hostname: string;
  /** The port, from 0 to 65535; 0 picks a free one. */
  readonly port: number;
  /** The backlog: how many connections the kernel holds until they are accepted. */
  readonly backlog: number;
  /** Whether other sockets may listen on the same port (SO_REUSEPORT). */
  readonly reusePort: boolean;
}

type Socket = Deno.Listener<Deno.TcpConn | Deno.UnixConn>;

/** How long accepting pauses after an error such as EMFILE. */
const ACCEPT_PAUSE_MS = 100;
/** How long a closing socket waits for one more client; see {@linkcode Listener.close}. */
const CLOSE_TIMEOUT_MS = 100;
/** How long closing may take while clients keep coming. */
const MAX_CLOSE_MS = 2_000;
/**
 * After many calls in one turn of the event loop the runtime puts off even what is ready (tokio's
 * cooperative budget, seen on 2.9): so many accepts in a turn do find the backlog as it is.
 */
const ACCEPTS_PER_TURN = 4;

/** A listening socket. */
export class Listener {
  /** The address it listens on. */
  readonly addr: Deno.NetAddr | Deno.UnixAddr;
  /** The address as shown in the log: `ip:port` or `unix:path`. */
  readonly name: string;
  #socket: Socket | undefined;
  /** Set while it is closing: closes it even if the backlog was never seen empty. */
  #closeTimer: ReturnType<typeof setTimeout> | undefined;
  #closeByMs = Infinity;
  /** How many accepts of this turn will still find the backlog as it is. */
  #acceptsLeft = 0;
  #isPaused = false;
  /** Rejects the pending accept, for a socket that is left open. */
  #cancelAccept: (() => void) | undefined;
  /** The device and inode of the socket file, by which it is told from another one at its path. */
  readonly #file: string | undefined;

  private constructor(socket: Socket, file?: string) {
    this.#socket = socket;
    this.#file = file;
    this.addr = socket.addr as Deno.NetAddr | Deno.UnixAddr;
    this.name = "path" in this.addr ? `unix:${this.addr.path}` : formatSocketAddress(this.addr);
  }

  /** Stop-gap. */
  static async open(
    address: ListenAddress,
    options: { backlog: number; reusePort: boolean; keepAlive: boolean },
  ): Promise<Listener> {
    if (address.transport === "tcp") {
      return Listener.tcp({ ...options, hostname: address.hostname || "::", port: address.port });
    }
    if (address.transport === "unix") return await Listener.unix(address.path);
    throw new ListenError("fd", "not yet");
  }

  /**
   * Listens on a TCP port.
   *
   * @throws {ListenError} The address cannot be listened on.
   */
  static tcp({ hostname, port, backlog, reusePort }: TcpOptions): Listener {
    try {
      return new Listener(Deno.listen({ hostname, port, tcpBacklog: backlog, reusePort }));
    } catch (error) {
      throw new ListenError(formatSocketAddress({ hostname, port }), explainListenError(error));
    }
  }

  /**
   * Listens on a Unix socket. A stale socket file, on which no program listens, is replaced.
   *
   * @throws {ListenError} The path cannot be listened on.
   */
  static async unix(path: string): Promise<Listener> {
    const listen = () => {
      const socket = Deno.listen({ transport: "unix", path });
      return new Listener(socket, identityOf(path));
    };
    try {
      try {
        return listen();
      } catch (error) {
        if (!(error instanceof Deno.errors.AddrInUse)) throw error;
      }
      if (!(await Deno.lstat(path)).isSocket) {
        throw new Error("the path exists and is not a socket. Choose another path");
      }
      if (await isListening(path)) {
        throw new Error(
          "the path is in use. Stop the program that listens there, or choose another path",
        );
      }
      await Deno.remove(path);
      return listen();
    } catch (error) {
      throw new ListenError(`unix:${path}`, messageOf(error));
    }
  }

  /** Whether it would take a client now: it is open, and descriptors have not run out. */
  get isAccepting(): boolean {
    return this.#socket !== undefined && !this.#isPaused;
  }

  /** Accepts the next client; resolves to `undefined` once it is closed. Never rejects. */
  async accept(): Promise<Connection | undefined> {
    while (this.#socket !== undefined) {
      try {
        const accepting = this.#file === undefined
          ? this.#socket.accept()
          : this.#acceptOrCancel(this.#socket);
        if (this.#closeTimer) await this.#closeIfEmpty(accepting);
        return Connection.accepted(await accepting);
      } catch (error) {
        if (error instanceof Deno.errors.BadResource) return; // closed
        // A client's reset before accept (seen on 2.9 as NotConnected).
        if (error instanceof Deno.errors.NotConnected) {
          log.debug("connection reset before accept");
          if (isTurnDue()) await nextTurn();
          continue;
        }
        // For example EMFILE, out of descriptors: the connection stays in the backlog, and an
        // immediate retry would fail the same way.
        log.warn("cannot accept", { error: String(error) });
        this.#isPaused = true;
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
        this.#isPaused = false;
      }
    }
  }

  /** Accepts as the socket does, until the listener is closed, even if the socket is not. */
  #acceptOrCancel(socket: Socket): Promise<Deno.Conn> {
    return new Promise((resolve, reject) => {
      this.#cancelAccept = () => reject(new Deno.errors.BadResource("Listener has been closed"));
      socket.accept().then(resolve, reject);
    });
  }

  /**
   * Lets {@linkcode Listener.accept} empty the backlog, then closes.
   *
   * The backlog is known to be empty only right after a client was accepted, because only then has
   * the kernel just been asked. If clients connect often, the next one comes soon. If they connect
   * rarely, any moment will do, so a timer closes the socket after {@linkcode CLOSE_TIMEOUT_MS}.
   */
  close(): void {
    if (this.#closeTimer !== undefined) return;
    this.#closeByMs = performance.now() + MAX_CLOSE_MS;
    this.#waitForClient();
  }

  #waitForClient(): void {
    clearTimeout(this.#closeTimer);
    const leftMs = this.#closeByMs - performance.now();
    // When the timer fires, late perhaps, clients may be there: they have one more turn.
    this.#closeTimer = setTimeout(() => {
      this.#closeTimer = setTimeout(() => this.closeNow());
    }, Math.min(CLOSE_TIMEOUT_MS, leftMs));
  }

  /** Closes the socket if `accepting` finds no client, or else waits for another one. */
  async #closeIfEmpty(accepting: Promise<Deno.Conn>): Promise<void> {
    let isEmpty = !await settlesAtOnce(accepting);
    if (isEmpty && this.#acceptsLeft <= 0) {
      await new Promise((resolve) => setTimeout(resolve)); // a turn of its own
      this.#acceptsLeft = ACCEPTS_PER_TURN;
      isEmpty = !await settlesAtOnce(accepting);
    }
    this.#acceptsLeft--;
    if (isEmpty) this.closeNow();
    else this.#waitForClient();
  }

  /** Closes immediately; the kernel resets the connections in the backlog. */
  closeNow(): void {
    clearTimeout(this.#closeTimer);
    const socket = this.#socket;
    this.#socket = undefined;
    // Closing unlinks whatever is at the path (seen on 2.9). If that is another server's socket, ours
    // cannot be reached any more, and is left to the end of the process.
    const { path } = this.addr as Deno.UnixAddr;
    const file = identityOf(path);
    if (file === undefined || file === this.#file) socket?.close();
    else socket?.unref();
    this.#cancelAccept?.();
    // The process may end before a pending accept lets go of the socket, and so of its file.
    if (file === undefined || identityOf(path) !== this.#file) return;
    try {
      Deno.removeSync(path);
    } catch {
      // It has just gone, or may not be removed: the next server replaces a stale file.
    }
  }
}

/** The device and inode of the file at a path, if there is one. */
function identityOf(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    const { dev, ino } = Deno.lstatSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

/** Whether a promise settles by pending microtasks alone, without the event loop. */
async function settlesAtOnce(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = () => settled = true;
  promise.then(settle, settle);
  // An accept that finds a client takes two turns (seen on 2.9).
  for (let turn = 0; turn < 10 && !settled; turn++) await undefined;
  return settled;
}

async function isListening(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.ConnectionRefused);
  }
}

/** Says why listening on a TCP port failed and what to do about it. */
function explainListenError(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return "the port is in use. Stop the program that listens there, or choose another port";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "the system does not allow this port. Choose port 1024 or higher";
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return "this machine does not have that address. Choose another one";
  }
  const message = messageOf(error);
  return message.startsWith("failed to lookup address")
    ? "the host name cannot be resolved. Choose another host"
    : message;
}
