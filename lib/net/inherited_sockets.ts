/**
 * The listening sockets that the process was started with. All are taken as soon as one of them is
 * to be listened on, so that no child that starts from then on gets one: a program could accept
 * clients from it, and a module adopt it without a permission.
 *
 * An inherited descriptor stays open in every program that this process starts, and Deno cannot
 * change that. But the handle of `node:net` gives a copy that does not (FD_CLOEXEC, seen on 2.9.6),
 * and closes the original immediately. From then on its number may be that of anything else, so it is
 * never used again.
 *
 * Nor is any other number that was not inherited: `node:net` closes a socket that it cannot listen
 * on, and Deno depends on its own ones. Those follow the first descriptor that it opens for itself,
 * which is an epoll instance, and that `node:net` refuses by its kind and leaves alone (2.9.6).
 *
 * @module
 */

import { createServer, type Server } from "node:net";
import { FIRST_FD } from "./inherited_names.ts";
import { hasCore } from "./inherited_tcp_conn.ts";
import { ListenError } from "./listen_error.ts";
import { messageOf } from "../base/message_of.ts";

/** What `node:net` listens by, as far as it gives copies (seen on Deno 2.9.6). */
export interface CopyingHandle {
  /** A copy of its descriptor, or -1 if none is left. */
  fdForIpc(): number;
}

/** A listening socket that the process was started with. */
export class InheritedSocket {
  /** The address; without a path over a Unix socket, which does not tell it. */
  readonly addr: Deno.NetAddr | Deno.UnixAddr;
  /** Whether a listener has it. */
  isInUse = false;
  /** The descriptor that keeps it open while it is not listened on; -1 if none was left. */
  #copy: number;

  constructor(server: Server, copy: number) {
    const address = server.address();
    this.addr = address !== null && typeof address === "object"
      ? { transport: "tcp", hostname: address.address, port: address.port }
      : { transport: "unix", path: "" };
    this.#copy = copy;
  }

  /** Whether it is still open. */
  get isOpen(): boolean {
    return this.#copy >= 0;
  }

  /** Listens on it; closing the server closes it, unless it is kept first. */
  listen<H extends CopyingHandle>(): [server: Server, handle: H] {
    const [server, handle] = listen<H>(this.#copy);
    return [server, handle!];
  }

  /** Keeps what is listened on open, so that it can be listened on again. */
  keep(handle: CopyingHandle): void {
    this.#copy = handle.fdForIpc();
  }
}

/** By the descriptors that they were passed as. */
const sockets = new Map<number, InheritedSocket>();
let takingAll: Promise<void> | undefined;

/**
 * The socket of a descriptor. The first call takes, whether they will be used or not, all that
 * systemd passes: those in a row from {@linkcode FIRST_FD}.
 *
 * @throws {ListenError} It is none of these.
 */
export async function takeSocket(fd: number | string): Promise<InheritedSocket> {
  try {
    if (typeof fd === "string") throw new Error("the name has not been looked up");
    if (fd < FIRST_FD) throw new Error("0, 1 and 2 are stdin, stdout and stderr");
    await (takingAll ??= takeAll());
    const socket = sockets.get(fd);
    if (socket === undefined) throw new Error(NOT_PASSED);
    if (!socket.isOpen) throw new Error(NO_DESCRIPTOR);
    return socket;
  } catch (error) {
    throw new ListenError(`fd:${fd}`, messageOf(error));
  }
}

const NOT_PASSED = "no listening TCP or Unix socket with this number was passed to the server. " +
  "Start it by systemd's socket activation, or whatever else passes sockets as 3, 4 and so on";
const NO_DESCRIPTOR = "no descriptor was left for it. Raise the limit (ulimit -n), and restart";

async function takeAll(): Promise<void> {
  for (let fd = FIRST_FD; await take(fd); fd++);
}

/** Takes a socket; resolves to `false` if there is none to listen on. */
async function take(fd: number): Promise<boolean> {
  const [server, handle] = listen<CopyingHandle>(fd);
  if (handle === null) {
    const error = await new Promise<{ code?: string }>((resolve) => server.once("error", resolve));
    if (["EINVAL", "ENOTSOCK"].includes(error.code!)) return false;
    throw error;
  }
  const isUsable = ["fdForIpc", "accept", "readStart"].every((name) => name in handle) && hasCore();
  if (isUsable) sockets.set(fd, new InheritedSocket(server, handle.fdForIpc()));
  server.close(); // in the same turn of the event loop, so that no client has been accepted
  if (!isUsable) throw new Error(`Deno ${Deno.version.deno} has not what it takes. Use Deno 2.9`);
  return true;
}

/** Listens on a descriptor; without a handle the server will emit an error. */
function listen<H extends object>(fd: number): [Server, H | null] {
  const server = createServer();
  server.listen({ fd });
  return [server, (server as unknown as { _handle: H | null })._handle];
}
