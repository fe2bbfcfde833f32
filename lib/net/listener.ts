/**
 * The listener: a listening socket, over TCP, at a path in the file system, or inherited.
 *
 * A failed accept must never end it: the client may have left already, or descriptors may have run
 * out for a while. Nor may closing it reset clients: the kernel completes connections by itself and
 * resets those still in the backlog when the socket closes, so the backlog is accepted first. An
 * inherited socket does not close with the listener: the backlog is left to its next one.
 *
 * @module
 */

import { formatSocketAddress, type SocketAddress } from "./address.ts";
import { type AcceptedConn, Connection } from "./connection.ts";
import { addressProblem, formatSocket, type ListenAddress } from "./listen_address.ts";
import { ListenError } from "./listen_error.ts";
import { isTurnDue, nextTurn } from "../base/event_loop.ts";
import { log, type Logger, RECOVERIES } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";

export { ListenError } from "./listen_error.ts";

/** Options for {@linkcode Listener.open}. */
export interface ListenerOptions {
  /**
   * The backlog: how many connections the kernel holds until they are accepted. Unix sockets have
   * the system's own (seen on Deno 2.9), inherited ones what they were given.
   */
  readonly backlog: number;
  /** Whether other sockets may listen on the same TCP port (SO_REUSEPORT). */
  readonly reusePort: boolean;
  /** Whether the kernel probes TCP clients that say nothing. */
  readonly keepAlive: boolean;
}

/** Options for {@linkcode Listener.tcp}. */
export type TcpOptions = SocketAddress & ListenerOptions;

/** What clients are accepted from. */
interface AcceptingSocket {
  readonly addr: Deno.Addr;
  accept(): Promise<AcceptedConn>;
  /** Leaves the backlog to others; what was taken from it is still accepted. */
  stop?(mayReopen: boolean): void;
  close(): void;
}

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
  /** The address it listens on; of an inherited Unix socket the path is not known. */
  readonly addr: Deno.NetAddr | Deno.UnixAddr;
  /** The address as shown in the log: `ip:port`, `unix:path`, or `fd:3` for an inherited Unix socket. */
  readonly name: string;
  readonly #keepAlive: boolean;
  #socket: AcceptingSocket | undefined;
  /** Set while it is closing: closes it even if the backlog was never seen empty. */
  #closeTimer: ReturnType<typeof setTimeout> | undefined;
  #closeByMs = Infinity;
  /** How many accepts of this turn will still find the backlog as it is. */
  #acceptsLeft = 0;
  #isPaused = false;
  /** Whether the last accept has failed, by no client's doing. */
  #hasFailed = false;

  private constructor(socket: AcceptingSocket, keepAlive: boolean, name?: string) {
    this.#socket = socket;
    this.#keepAlive = keepAlive;
    this.addr = socket.addr as Deno.NetAddr | Deno.UnixAddr;
    this.name = this.addr.transport === "tcp" ? formatSocketAddress(this.addr) : name!;
  }

  /**
   * Listens on an address; an inherited socket is found by its number, see
   * {@linkcode resolveListenAddress}.
   *
   * @throws {ListenError} The address cannot be listened on.
   */
  static async open(address: ListenAddress, options: ListenerOptions): Promise<Listener> {
    const { keepAlive } = options;
    const name = formatSocket(address);
    switch (address.transport) {
      case "tcp":
        return Listener.tcp({ ...options, ...address });
      case "unix": {
        const { UnixListener } = await import("./unix_listener.ts");
        return new Listener(await UnixListener.open(address.path), keepAlive, name);
      }
      case "fd": {
        const { InheritedListener } = await import("./inherited_listener.ts");
        const socket = await InheritedListener.open(address.fd, { keepAlive });
        return new Listener(socket, keepAlive, name);
      }
    }
  }

  /**
   * Listens on a TCP port.
   *
   * @throws {ListenError} The address cannot be listened on.
   */
  static tcp({ hostname, port, backlog, reusePort, keepAlive }: TcpOptions): Listener {
    const listen = (hostname: string) =>
      new Listener(Deno.listen({ hostname, port, tcpBacklog: backlog, reusePort }), keepAlive);
    try {
      if (hostname !== "") return listen(hostname);
      try {
        return listen("::"); // IPv4 too
      } catch (error) {
        if ((error as { code?: string }).code !== "EAFNOSUPPORT") throw error;
        return listen("0.0.0.0"); // the kernel has no IPv6
      }
    } catch (error) {
      const problem = addressProblem({ transport: "tcp", hostname, port });
      throw new ListenError(
        formatSocketAddress({ hostname, port }),
        problem ?? explainListenError(error, { hostname, reusePort }),
      );
    }
  }

  /** Whether it would take a client now: it is open, and descriptors have not run out. */
  get isAccepting(): boolean {
    return this.#socket !== undefined && !this.#isPaused;
  }

  /**
   * Accepts the next client; resolves to `undefined` once it is closed. Never rejects.
   *
   * @param getLog The log of whoever has the listener at the time.
   */
  async accept(getLog: () => Logger = () => log): Promise<Connection | undefined> {
    while (this.#socket !== undefined) {
      try {
        const accepting = this.#socket.accept();
        if (this.#closeTimer) await this.#closeIfEmpty(accepting);
        const conn = await accepting;
        if (this.#hasFailed) getLog().info(RECOVERIES.accept);
        this.#hasFailed = false;
        return Connection.accepted(conn, { keepAlive: this.#keepAlive });
      } catch (error) {
        if (error instanceof Deno.errors.BadResource) return; // closed
        // A client's reset before accept (seen on 2.9 as NotConnected).
        if (error instanceof Deno.errors.NotConnected) {
          getLog().debug("connection reset before accept");
          if (isTurnDue()) await nextTurn();
          continue;
        }
        // For example EMFILE, out of descriptors: the connection stays in the backlog, and an
        // immediate retry would fail the same way.
        getLog().warn("cannot accept", { error: String(error) });
        this.#hasFailed = true;
        this.#isPaused = true;
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
        this.#isPaused = false;
      }
    }
  }

  /**
   * Lets {@linkcode Listener.accept} empty the backlog, then closes. An inherited socket is closed
   * immediately; only what had been taken from its backlog is still accepted.
   *
   * The backlog is known to be empty only right after a client was accepted, because only then has
   * the kernel just been asked. If clients connect often, the next one comes soon. If they connect
   * rarely, any moment will do, so a timer closes the socket after {@linkcode CLOSE_TIMEOUT_MS}.
   *
   * @param options Whether the process may listen on an inherited socket again.
   */
  close({ mayReopen = false }: { readonly mayReopen?: boolean } = {}): void {
    if (this.#socket?.stop) return this.#socket.stop(mayReopen);
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
  async #closeIfEmpty(accepting: Promise<AcceptedConn>): Promise<void> {
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
    this.#socket?.close();
    this.#socket = undefined;
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

/** Says why listening on a TCP port failed and what to do about it. */
function explainListenError(
  error: unknown,
  { hostname, reusePort }: Pick<TcpOptions, "hostname" | "reusePort">,
): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return reusePort
      ? "the port is in use by a program that does not share it. Give it --reuse-port too, or stop it"
      : "the port is in use. Stop the program that listens there, or choose another port";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "the system does not allow this port. Choose port 1024 or higher, or give the server CAP_NET_BIND_SERVICE or a socket of systemd";
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return "this machine does not have that address. Choose another one";
  }
  const message = messageOf(error);
  const isUnknown = message.startsWith("failed to lookup address");
  if (message.startsWith("No such device") || isUnknown && hostname.includes("%")) {
    return /^fe[89ab]/i.test(hostname)
      ? "this machine does not have that zone. Choose the name of one of its interfaces"
      : "only a link-local address (fe80::/10) has a zone. Write it without %";
  }
  const isNoName = isUnknown || message.startsWith("invalid host");
  return isNoName ? "the host name cannot be resolved. Choose another host" : message;
}
