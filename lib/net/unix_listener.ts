/**
 * The Unix listener: a listening socket at a path in the file system, and the file that it has there.
 *
 * A server that was killed leaves its file behind, so a file is replaced if it is a socket that no
 * program listens on. No other file may ever be removed.
 *
 * @module
 */

import { messageOf } from "../base/message_of.ts";
import { addressProblem } from "./listen_address.ts";
import { ListenError } from "./listen_error.ts";

/** A listening socket at a path. */
export class UnixListener {
  /** The path it listens at. */
  readonly addr: Deno.UnixAddr;
  readonly #socket: Deno.Listener<Deno.UnixConn>;
  /** The device and inode of its file, by which that is told from another one at the path. */
  readonly #file: string | undefined;
  /** Rejects the pending accept, for a socket that is left open. */
  #cancel: (() => void) | undefined;

  private constructor(path: string) {
    this.#socket = Deno.listen({ transport: "unix", path });
    this.#file = identityOf(path);
    this.addr = { transport: "unix", path };
  }

  /**
   * Listens at a path. A stale socket file, on which no program listens, is replaced.
   *
   * @throws {ListenError} The path cannot be listened on.
   */
  static async open(path: string): Promise<UnixListener> {
    try {
      const problem = addressProblem({ transport: "unix", path });
      if (problem !== undefined) throw new Error(problem);
      try {
        return new UnixListener(path);
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
      return new UnixListener(path);
    } catch (error) {
      throw new ListenError(`unix:${path}`, explain(error));
    }
  }

  /** As that of `Deno.Listener`, but rejects as soon as it is closed. */
  accept(): Promise<Deno.UnixConn> {
    return new Promise((resolve, reject) => {
      this.#cancel = () => reject(new Deno.errors.BadResource("Listener has been closed"));
      this.#socket.accept().then(resolve, reject);
    });
  }

  /** Closes it and removes its file. */
  close(): void {
    // Closing unlinks whatever is at the path (seen on 2.9). If that is another server's socket, ours
    // cannot be reached any more, and is left to the end of the process.
    const { path } = this.addr;
    const file = identityOf(path);
    if (file === undefined || file === this.#file) this.#socket.close();
    else this.#socket.unref();
    this.#cancel?.();
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
function identityOf(path: string): string | undefined {
  try {
    const { dev, ino } = Deno.lstatSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

/**
 * Whether a program listens at a path. A connection would be served, with a child of its own; a
 * datagram is only refused, in another way by a socket of another kind than by a stale file.
 */
async function isListening(path: string): Promise<boolean> {
  try {
    using probe = openProbe();
    if (probe) await probe.send(new Uint8Array(0), { transport: "unixpacket", path });
    else (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.ConnectionRefused);
  }
}

/** A socket to send a datagram from; it takes `--unstable-net`, and an `--allow-net` without a list. */
function openProbe(): (Deno.DatagramConn & Disposable) | undefined {
  try {
    const socket = Deno.listenDatagram({
      transport: "unixpacket",
      path: `\0spawnd-${crypto.randomUUID()}`,
    });
    return Object.assign(socket, { [Symbol.dispose]: () => socket.close() });
  } catch {
    return undefined;
  }
}

/** Says why listening at a path failed and what to do about it. */
function explain(error: unknown): string {
  if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
    return "the folder of the path does not exist. Create it, or choose another path";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "the system does not allow it. Let the server's user write the folder, " +
      "or choose another path";
  }
  return messageOf(error);
}
