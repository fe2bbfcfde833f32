/**
 * The listening sockets that the process was started with. They are taken before its first child
 * starts, so that no child gets one: a program could accept clients from it, and a module adopt it
 * without a permission.
 *
 * An inherited descriptor stays open in every program that this process starts, and Deno cannot
 * change that. But the handle of `node:net` gives a copy that does not (FD_CLOEXEC, seen on 2.9.6),
 * and closes the original immediately. From then on its number may be that of anything else, so it is
 * never used again.
 *
 * @module
 */

import { createServer, type Server } from "node:net";
import { FIRST_FD } from "./inherited_names.ts";
import { hasCore } from "./inherited_tcp_conn.ts";
import { ListenError } from "./listen_error.ts";
import { messageOf } from "../base/message_of.ts";

/** The copies by the original descriptors; `undefined` once one has been listened on. */
const copies = new Map<number, number | undefined>();
let takingAll: Promise<void> | undefined;

/**
 * Takes the socket of a descriptor. The first call takes, whether they will be used or not, all that
 * systemd passes: those in a row from {@linkcode FIRST_FD}.
 *
 * @throws {ListenError} It is not a socket to listen on.
 */
export async function takeSocket(fd: number | string): Promise<void> {
  try {
    if (typeof fd === "string") throw new Error("the name has not been looked up");
    if (fd < FIRST_FD) throw new Error("0, 1 and 2 are stdin, stdout and stderr");
    await (takingAll ??= takeAll());
    if (!copies.has(fd)) await take(fd);
  } catch (error) {
    throw new ListenError(`fd:${fd}`, isNoListener(error) ? NO_LISTENER : messageOf(error));
  }
}

/**
 * Takes the socket of a descriptor, if that has not been done, and listens on it.
 *
 * @throws {ListenError} It is not a socket to listen on, or has been listened on before.
 */
export async function listenOn<H extends object>(
  fd: number | string,
): Promise<[server: Server, handle: H]> {
  await takeSocket(fd);
  const copy = copies.get(Number(fd));
  if (copy === undefined) throw new ListenError(`fd:${fd}`, USED);
  copies.set(Number(fd), undefined);
  return await listen(copy);
}

const NO_LISTENER = "the descriptor is no listening TCP or Unix socket. " +
  "Start the server by systemd's socket activation, or whatever else passes one";
const USED = "the descriptor is in use already, or was until a reload. " +
  "Give every address once; to listen there again takes a restart";

async function takeAll(): Promise<void> {
  try {
    for (let fd = FIRST_FD;; fd++) await take(fd);
  } catch (error) {
    if (!isNoListener(error)) throw error;
  }
}

async function take(fd: number): Promise<void> {
  const [server, handle] = await listen<{ fdForIpc(): number }>(fd);
  const isUsable = ["fdForIpc", "accept", "readStart"].every((name) => name in handle) && hasCore();
  const copy = isUsable ? handle.fdForIpc() : -1;
  server.close(); // in the same turn of the event loop, so that no client has been accepted
  if (!isUsable) throw new Error(`Deno ${Deno.version.deno} has not what it takes. Use Deno 2.9`);
  if (copy < 0) throw new Error("no descriptor is left for it. Raise the limit (ulimit -n)");
  copies.set(fd, copy);
}

async function listen<H extends object>(fd: number): Promise<[Server, H]> {
  const server = createServer();
  server.listen({ fd });
  const { _handle: handle } = server as unknown as { _handle: H | null };
  if (handle === null) throw await new Promise((resolve) => server.once("error", resolve));
  return [server, handle];
}

function isNoListener(error: unknown): boolean {
  return ["EINVAL", "ENOTSOCK"].includes((error as { code?: string }).code!);
}
