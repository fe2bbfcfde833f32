/**
 * A TCP client of an inherited listener: taken from the handle of `node:net` that accepted it, it is
 * read and written by the same calls that `Deno.TcpConn` is made of (seen on 2.9.6), and so behaves
 * like one.
 *
 * @module
 */

import type { Transport } from "./connection.ts";

/** What `node:net` accepts a client by (seen on Deno 2.9.6). */
export interface TcpHandle {
  getpeername(address: NodeAddress): number;
  getsockname(address: NodeAddress): number;
  setNoDelay(enable: boolean): number;
  /** With a delay of 0 the socket keeps the times that it has from its listener. */
  setKeepAlive(enable: boolean, delay: number): number;
  /** Turns the socket into a resource of Deno's. */
  takeStream(): number;
  close(): void;
}

/** Filled in by a handle. */
type NodeAddress = { address?: string; port?: number };

/** What Deno's own connections are made of. */
interface Core {
  read(rid: number, buffer: Uint8Array): Promise<number>;
  write(rid: number, bytes: Uint8Array): Promise<number>;
  shutdown(rid: number): Promise<void>;
  close(rid: number): void;
}

/** A client over TCP. */
export class InheritedTcpConn implements Transport {
  /** The client's address. */
  readonly remoteAddr: Deno.NetAddr;
  /** The address it connected to. */
  readonly localAddr: Deno.NetAddr;
  readonly #rid: number;

  /** @throws {Deno.errors.NotConnected} The client has reset the connection. */
  constructor(handle: TcpHandle, keepAlive: boolean) {
    const [remote, local]: [NodeAddress, NodeAddress] = [{}, {}];
    const isConnected = handle.getpeername(remote) === 0 && handle.getsockname(local) === 0;
    if (isConnected) {
      handle.setNoDelay(true);
      if (keepAlive) handle.setKeepAlive(true, 0);
      this.#rid = handle.takeStream();
    } else this.#rid = -1;
    handle.close();
    if (!isConnected) throw new Deno.errors.NotConnected("Transport endpoint is not connected");
    this.remoteAddr = { transport: "tcp", hostname: remote.address!, port: remote.port! };
    this.localAddr = { transport: "tcp", hostname: local.address!, port: local.port! };
  }

  async read(buffer: Uint8Array<ArrayBuffer>): Promise<number | null> {
    return await core().read(this.#rid, buffer) || null;
  }

  write(bytes: Uint8Array<ArrayBuffer>): Promise<number> {
    return core().write(this.#rid, bytes);
  }

  closeWrite(): Promise<void> {
    return core().shutdown(this.#rid);
  }

  close(): void {
    core().close(this.#rid);
  }
}

/** Whether this version of Deno has what a client is read and written by. */
export function hasCore(): boolean {
  try {
    const { read, write, shutdown, close } = core();
    return [read, write, shutdown, close].every((call) => typeof call === "function");
  } catch {
    return false;
  }
}

function core(): Core {
  const { internal } = Deno as unknown as { internal: string };
  return (Deno as unknown as Record<string, { core: Core }>)[internal]!.core;
}
