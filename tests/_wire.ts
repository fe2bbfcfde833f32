/**
 * Connections of tests that Deno's own cannot make.
 *
 * @module
 */

import net from "node:net";
import { within } from "./_waiting.ts";

/** What carries a client's bytes; a `Deno.Conn` is one. */
export type Wire = Pick<Deno.Conn, "read" | "write" | "close">;

/** A connection that can be reset, and that can come from another address of the loopback. */
export class NodeWire implements Wire {
  readonly #socket: net.Socket;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #closed: Promise<void>;
  #rest: Uint8Array = new Uint8Array();

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on("error", () => {});
    this.#closed = new Promise((resolve) => socket.once("close", () => resolve()));
    this.#chunks = socket[Symbol.asyncIterator]();
  }

  static async connect(port: number, localAddress = "127.0.0.1"): Promise<NodeWire> {
    const socket = net.connect({ host: "127.0.0.1", port, localAddress });
    await within("a connection", new Promise((resolve) => socket.once("connect", resolve)));
    return new NodeWire(socket);
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#rest.length === 0) {
      const { value, done } = await this.#chunks.next();
      if (done) return null;
      this.#rest = value;
    }
    const part = this.#rest.subarray(0, buffer.length);
    buffer.set(part);
    this.#rest = this.#rest.subarray(part.length);
    return part.length;
  }

  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => error ? reject(error) : resolve(bytes.length));
    });
  }

  /** Resets the connection (RST). */
  async reset(): Promise<void> {
    this.#socket.resetAndDestroy();
    await within("the reset", this.#closed);
  }

  close(): void {
    this.#socket.destroy();
  }
}
