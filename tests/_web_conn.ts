/**
 * A WebSocket as a connection of bytes, for clients that do not care which they have: what is written
 * goes in binary messages of random fragments, and what is read is what messages contain.
 *
 * @module
 */

import { frame, type RequestOptions } from "./_web_frames.ts";
import { WebClient } from "./_web_socket.ts";

/** What it asks for a WebSocket with. */
export const REQUEST: RequestOptions = { headers: { "Sec-WebSocket-Protocol": "spawnd.bytes" } };

/** A client of a WebSocket in the mode `bytes`, over an open connection. */
export class WebConn {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  readonly #conn: Deno.Conn;
  readonly #client: WebClient;
  #rest = new Uint8Array(0);
  /** Whether a message is under way. */
  #isFragment = false;

  private constructor(conn: Deno.Conn, client: WebClient) {
    this.#conn = conn;
    this.#client = client;
    this.localAddr = conn.localAddr;
    this.remoteAddr = conn.remoteAddr;
  }

  /** Opens the WebSocket. */
  static async open(conn: Deno.Conn): Promise<WebConn> {
    return new WebConn(conn, await WebClient.open(conn, REQUEST));
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#rest.length === 0) {
      const next = await this.#client.receive();
      if (next === null || next.kind === "close") return null;
      if (next.kind === "ping") await this.#client.send(frame("pong", next.bytes));
      else if (next.kind !== "pong") this.#rest = next.bytes;
    }
    const part = this.#rest.subarray(0, buffer.length);
    buffer.set(part);
    this.#rest = this.#rest.subarray(part.length);
    return part.length;
  }

  async write(bytes: Uint8Array): Promise<number> {
    const part = bytes.subarray(0, Math.ceil(Math.random() * bytes.length));
    const isFinal = Math.random() < 0.7;
    const frames = [frame(this.#isFragment ? "continuation" : "binary", part, { isFinal })];
    if (Math.random() < 0.1) frames.push(frame("ping", "?"));
    this.#isFragment = !isFinal;
    await this.#client.send(...frames);
    return part.length;
  }

  /** Ends both directions: there is no half-close. */
  async closeWrite(): Promise<void> {
    await this.#client.send(frame("close"));
  }

  close(): void {
    this.#conn.close();
  }
}
