/**
 * A Unix client of an inherited listener, over a socket of `node:net`.
 *
 * Unlike a connection of Deno's own, it does not notice that a client has vanished while it neither
 * reads nor writes: `node:net` writes no empty message (seen on 2.9.6).
 *
 * @module
 */

import { Socket, type SocketConstructorOpts } from "node:net";
import type { Transport } from "./connection.ts";

const UNIX: Deno.UnixAddr = { transport: "unix", path: "" };

/** A client over a Unix socket. */
export class InheritedUnixConn implements Transport {
  /** Without a path: `node:net` does not tell it. */
  readonly remoteAddr = UNIX;
  readonly localAddr = UNIX;
  readonly #socket: Socket;
  #error: unknown;
  /** Set once the first read has begun: until then the kernel holds all input. */
  #isReading = false;
  #change = Promise.withResolvers<void>();

  /** @param handle What `node:net` accepted the client by. */
  constructor(handle: unknown) {
    const options = { handle, allowHalfOpen: true, pauseOnCreate: true };
    this.#socket = new Socket(options as SocketConstructorOpts);
    this.#socket.on("error", (error) => this.#error = error);
    this.#socket.on("close", () => this.#changed());
  }

  async read(buffer: Uint8Array<ArrayBuffer>): Promise<number | null> {
    const socket = this.#socket;
    if (!this.#isReading) {
      this.#isReading = true;
      for (const event of ["readable", "end"]) socket.on(event, () => this.#changed());
    }
    for (;;) {
      const bytes = socket.read(Math.min(buffer.length, socket.readableLength));
      if (bytes !== null) {
        buffer.set(bytes);
        return bytes.length;
      }
      if (socket.readableEnded) return null;
      this.#throwIfClosed();
      await this.#change.promise;
    }
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<number> {
    this.#throwIfClosed();
    if (bytes.length > 0) await this.#done((done) => this.#socket.write(bytes, done));
    return bytes.length;
  }

  async closeWrite(): Promise<void> {
    await this.#done((done) => this.#socket.end(done));
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Waits for what calls back when it is done or has failed. */
  #done(act: (done: (error?: Error | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) =>
      act((error) => error ? reject(this.#error ?? error) : resolve())
    );
  }

  #throwIfClosed(): void {
    if (this.#error !== undefined) throw this.#error;
    if (this.#socket.destroyed) throw new Deno.errors.BadResource("The connection has been closed");
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }
}
