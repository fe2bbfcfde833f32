/**
 * A TLS connection: carries the bytes of a client between its socket and node's TLS engine.
 *
 * The engine wants a stream of node's for the encrypted side and is one for the plain side. Neither
 * bounds what it holds, both report a truncated input as a regular end, and both give up what is not
 * yet sent when they are destroyed (seen on Deno 2.9). So here the encrypted side is read only while
 * someone waits for plain bytes, the end of the socket's input counts only after the engine has seen
 * the end of TLS, and what the engine sends goes out, whatever becomes of the engine.
 *
 * @module
 */

import { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { nextTurn } from "../base/event_loop.ts";
import { MIN_BUFFER_BYTES, nextBuffer } from "../base/relay.ts";
import type { Connection, Transport } from "./connection.ts";

/** The encrypted side of the engine, which cannot destroy it. */
class Wire extends Duplex {
  override destroy(): this {
    return this;
  }

  /** Destroys it, and the engine with it. */
  close(): void {
    super.destroy();
  }
}

/** One client's TLS, over its connection. */
export class TlsStream implements Transport {
  /** The encrypted side, for the engine to use. */
  readonly wire: Duplex;
  readonly #client: Connection;
  readonly #wire: Wire;
  /** The plain side, once the handshake is complete. */
  #socket: TLSSocket | undefined;
  /** Decrypted bytes that have not been read. */
  readonly #plain: Uint8Array[] = [];
  /** Whether the client has ended its side of TLS. */
  #ended = false;
  #error: unknown;
  #receiving = false;
  /** Where encrypted bytes are read into. */
  #buffer = new Uint8Array(MIN_BUFFER_BYTES);
  /** Encrypted writes in progress, and those completed. */
  #sending = 0;
  #sent = 0;
  #change = Promise.withResolvers<void>();

  constructor(client: Connection) {
    this.#client = client;
    this.wire = this.#wire = new Wire({
      read: () => {}, // it is given what has come, see #receive()
      write: (bytes, _encoding, callback) => void this.#send(bytes).then(() => callback()),
    });
  }

  /** Whether anything has been sent to the client. */
  get hasSent(): boolean {
    return this.#sent > 0;
  }

  /** Takes the plain side from the engine: the handshake is complete. */
  attach(socket: TLSSocket): void {
    this.#socket = socket;
    socket.on("error", (error) => this.fail(error));
    socket.on("data", (bytes: Uint8Array) => {
      this.#plain.push(bytes);
      this.#changed();
    });
    socket.on("end", () => {
      this.#ended = true;
      this.#changed();
    });
    this.#changed();
  }

  /** Ends it: what waits now or later rejects with `error`. The first error counts. */
  fail(error: unknown): void {
    this.#error ??= error;
    this.#changed();
  }

  /** Performs the handshake: reads until the engine has called attach() or fail(). */
  async handshake(): Promise<TLSSocket> {
    await this.#until(() => this.#socket !== undefined, true);
    return this.#socket!;
  }

  /** Resolves when the engine has nothing more to send and the socket has taken all of it. */
  async flush(): Promise<void> {
    for (let sent = -1; sent !== this.#sent;) {
      sent = this.#sent;
      await nextTurn(); // the engine sends from callbacks
      while (this.#sending > 0) await this.#change.promise;
    }
  }

  async read(buffer: Uint8Array<ArrayBuffer>): Promise<number | null> {
    await this.#until(() => this.#plain.length > 0 || this.#ended, true);
    const bytes = this.#plain.shift();
    if (bytes === undefined) return null;
    const part = bytes.subarray(0, buffer.length);
    buffer.set(part);
    if (part.length < bytes.length) this.#plain.unshift(bytes.subarray(part.length));
    return part.length;
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<number> {
    if (bytes.length === 0) {
      await this.#client.probe();
      return 0;
    }
    let isTaken = false;
    this.#socket!.write(bytes, (error) => {
      isTaken = true;
      if (error) this.fail(error);
      else this.#changed();
    });
    await this.#until(() => isTaken);
    if (this.#error !== undefined) throw this.#error;
    return bytes.length;
  }

  /** Ends this side of TLS, and then of the connection. */
  async closeWrite(): Promise<void> {
    this.#socket!.end();
    await this.flush();
    await this.#client.closeWrite();
  }

  close(): void {
    this.#client.close();
    this.abandon();
  }

  /** Ends the engine, and leaves the client to the caller. */
  abandon(): void {
    this.fail(new Deno.errors.BadResource("The connection has been closed"));
    this.#wire.close();
  }

  /** Waits for a condition; reads from the client meanwhile, if `receives`. */
  async #until(isMet: () => boolean, receives = false): Promise<void> {
    while (!isMet()) {
      if (this.#error !== undefined) throw this.#error;
      if (receives) this.#receive();
      await this.#change.promise;
    }
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  /** Reads encrypted bytes once, for the engine. */
  async #receive(): Promise<void> {
    if (this.#receiving) return;
    this.#receiving = true;
    try {
      const bytes = await this.#client.read(this.#buffer);
      if (bytes === null) {
        await nextTurn(); // the end of TLS may be on its way through the engine
        if (!this.#ended) throw new Error("the input ended without a close_notify");
      } else {
        this.#wire.push(bytes);
        const isTaken = this.#wire.readableLength === 0;
        this.#buffer = isTaken ? nextBuffer(bytes) : new Uint8Array(MIN_BUFFER_BYTES);
      }
    } catch (error) {
      this.fail(error);
    }
    this.#receiving = false;
    this.#changed();
  }

  /** Sends encrypted bytes. Never rejects: the engine would drop what comes after. */
  async #send(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#sending++;
    try {
      await this.#client.write(bytes);
    } catch (error) {
      this.fail(error);
    }
    this.#sending--;
    this.#sent++;
    this.#changed();
  }
}
