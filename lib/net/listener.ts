/**
 * The listener: a socket that clients connect to, over TCP or at a path of the file system.
 *
 * An accept that fails is not the end of it: the client may have been gone already, or descriptors
 * may have run out for a while. And it ends well: the kernel completes connections on its own and
 * resets those that nobody has accepted when the socket closes, so what is in its queue comes out
 * first.
 *
 * @module
 */

import { formatSocketAddress } from "./address.ts";
import { Connection } from "./connection.ts";
import { log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";

/** A listener that cannot be had; the message says why and what to do, in one line. */
export class ListenError extends Error {
  /** Tells it from other errors. */
  override readonly name = "ListenError";

  /**
   * An error about an address.
   *
   * @param address What was to be listened on.
   * @param reason What is in the way.
   */
  constructor(address: string, reason: string) {
    super(`Cannot listen on ${address}: ${reason}`);
  }
}

/** Where to listen over TCP. */
export interface TcpOptions {
  /** The address, or a name to look up. */
  readonly hostname: string;
  /** The port; 0 takes a free one. */
  readonly port: number;
  /** How many connections the kernel holds until they are accepted. */
  readonly backlog: number;
  /** Whether others may listen on the same port. */
  readonly reusePort: boolean;
}

type Socket = Deno.Listener<Deno.TcpConn | Deno.UnixConn>;

/** Accepting stops for this long when descriptors ran out, or for a reason nobody knows. */
const ACCEPT_PAUSE_MS = 100;
/** How long a socket that is to close waits for one more client, to close right behind it. */
const LAST_CLIENT_MS = 100;

/** A socket that clients connect to. */
export class Listener {
  /** Where it listens. */
  readonly addr: Deno.NetAddr | Deno.UnixAddr;
  /** The same, as the log has it: `ip:port`, or `unix:path`. */
  readonly name: string;
  #socket: Socket | undefined;
  /** It closes when its queue is empty, and at the latest now. */
  #closing: ReturnType<typeof setTimeout> | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.addr = socket.addr as Deno.NetAddr | Deno.UnixAddr;
    this.name = "path" in this.addr ? `unix:${this.addr.path}` : formatSocketAddress(this.addr);
  }

  /**
   * Listens on a TCP port.
   *
   * @throws {ListenError} It cannot be had.
   */
  static tcp({ hostname, port, backlog, reusePort }: TcpOptions): Listener {
    try {
      return new Listener(Deno.listen({ hostname, port, tcpBacklog: backlog, reusePort }));
    } catch (error) {
      throw new ListenError(formatSocketAddress({ hostname, port }), explainListenError(error));
    }
  }

  /**
   * Listens at a path. A socket file that nobody listens on any more is replaced.
   *
   * @throws {ListenError} It cannot be had.
   */
  static async unix(path: string): Promise<Listener> {
    const listen = () => new Listener(Deno.listen({ transport: "unix", path }));
    try {
      try {
        return listen();
      } catch (error) {
        if (!(error instanceof Deno.errors.AddrInUse)) throw error;
      }
      if (!(await Deno.lstat(path)).isSocket) {
        throw new Error("the path is taken by a file that is no socket; choose another one");
      }
      if (await isListening(path)) {
        throw new Error("the path is taken; stop what listens there, or choose another one");
      }
      await Deno.remove(path);
      return listen();
    } catch (error) {
      throw new ListenError(`unix:${path}`, messageOf(error));
    }
  }

  /** The next client; `undefined` when it has been closed. Never rejects. */
  async accept(): Promise<Connection | undefined> {
    while (this.#socket !== undefined) {
      try {
        const accepting = this.#socket.accept();
        if (this.#closing && !await isReady(accepting)) this.closeNow();
        return new Connection(await accepting);
      } catch (error) {
        if (error instanceof Deno.errors.BadResource) return; // closed
        // The client was gone before it was accepted (seen on 2.9 as NotConnected).
        if (error instanceof Deno.errors.NotConnected) {
          log.debug("gone before it was accepted");
          continue;
        }
        // Out of descriptors, say (EMFILE): the connection stays in the backlog, the error would be
        // the same at once.
        log.warn("cannot accept", { error: String(error) });
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
      }
    }
  }

  /**
   * Accepts what the kernel has completed by now, then closes.
   *
   * The queue is known to be empty only right behind a client that was accepted, for then the kernel
   * has just been asked. Where clients come often there is one soon; where they come seldom, any
   * moment will do.
   */
  close(): void {
    this.#closing ??= setTimeout(() => this.closeNow(), LAST_CLIENT_MS);
  }

  /** Closes; whoever the kernel has completed is reset. */
  closeNow(): void {
    clearTimeout(this.#closing);
    this.#socket?.close();
    this.#socket = undefined;
  }
}

/** Whether a promise settles without anything from outside: by the microtasks that are due. */
async function isReady(promise: Promise<unknown>): Promise<boolean> {
  let ready = false;
  const settle = () => ready = true;
  promise.then(settle, settle);
  // An accept that finds a client takes two (seen on 2.9).
  for (let turn = 0; turn < 10 && !ready; turn++) await undefined;
  return ready;
}

async function isListening(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.ConnectionRefused);
  }
}

/** Why listening on a port failed, and what to do about it. */
export function explainListenError(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return "the port is taken; stop what listens there, or choose another one";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "the system does not allow this port; choose one from 1024 up";
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return "this machine has no such address; choose another one";
  }
  const message = messageOf(error);
  return message.startsWith("failed to lookup address")
    ? "there is no such host; choose another one"
    : message;
}
