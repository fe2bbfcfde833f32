/**
 * Servers of WebSockets, and a client that sends whatever frames a test wants (RFC 6455).
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { isAlive } from "./_processes.ts";
import { concat, text } from "./_sockets.ts";
import { type LogRecord, Spawnd } from "./_spawnd.ts";
import { within } from "./_waiting.ts";
import { closeFrame, type Frame, kindOf, requestHead, type RequestOptions } from "./_web_frames.ts";
import type { Wire } from "./_wire.ts";

const encoder = new TextEncoder();

/** Starts a server of WebSockets on a free port of the loopback, at the path `/`. */
export function serveWeb(...args: string[]): Promise<Spawnd> {
  return serveWebAt("127.0.0.1:0", {}, ...args);
}

/** Starts a server of WebSockets at this address, and waits until it listens. */
export async function serveWebAt(
  address: string,
  options: { permissions?: readonly string[] },
  ...args: string[]
): Promise<Spawnd> {
  const spawnd = Spawnd.startingVia([], options, "--websocket", address, ...args);
  await spawnd.listening();
  return spawnd;
}

/** As {@linkcode serveWeb}, with a shell script as the handler. */
export function serveWebScript(script: string, ...options: string[]): Promise<Spawnd> {
  return serveWeb(...options, "--", "sh", "-c", script);
}

/** What a record says of an end. */
export async function endOf(spawnd: Spawnd, id = 1): Promise<[reason: unknown, exit: unknown]> {
  const { reason, exit, pid } = await spawnd.record({ message: "end", id });
  assert(!isAlive(Number(pid)), "the child has ended");
  return [reason, exit];
}

/** Ends the server, and returns the counters of its last record. */
export async function stoppedOf(spawnd: Spawnd): Promise<Partial<LogRecord>> {
  await spawnd.stop();
  const { accepted, ended, cut } = await spawnd.record({ message: "stopped" });
  return { accepted, ended, cut };
}

/** A client that speaks WebSocket. */
export class WebClient implements Disposable {
  readonly wire: Wire;
  /** The head of the server's response. */
  readonly head: string;
  #bytes: Uint8Array<ArrayBuffer>;

  private constructor(wire: Wire, head: string, bytes: Uint8Array<ArrayBuffer>) {
    this.wire = wire;
    this.head = head;
    this.#bytes = bytes;
  }

  /** Opens a WebSocket to a server. */
  static async connect(
    { port }: { readonly port: number },
    options: RequestOptions = {},
  ): Promise<WebClient> {
    return await WebClient.open(await Deno.connect({ hostname: "127.0.0.1", port }), options);
  }

  /** Opens a WebSocket over a connection; what is in `more` follows the request at once. */
  static async open(
    wire: Wire,
    options: RequestOptions = {},
    ...more: Uint8Array[]
  ): Promise<WebClient> {
    await sendAll(wire, concat([encoder.encode(requestHead(options)), ...more]));
    let bytes: Uint8Array<ArrayBuffer> = new Uint8Array();
    for (;;) {
      const end = text(bytes).indexOf("\r\n\r\n"); // a head is ASCII, so this is a place in bytes too
      const head = text(bytes.subarray(0, end < 0 ? undefined : end));
      if (end >= 0) {
        if (!head.startsWith("HTTP/1.1 101 ")) wire.close();
        assert(head.startsWith("HTTP/1.1 101 "), head);
        return new WebClient(wire, head, bytes.subarray(end + 4));
      }
      const chunk = await readChunk(wire);
      if (chunk === null) throw new Error(`no whole head: ${head}`);
      bytes = concat([bytes, chunk]);
    }
  }

  /** Sends frames, all at once. */
  send(...frames: Uint8Array[]): Promise<void> {
    return sendAll(this.wire, concat(frames));
  }

  /** The next frame, or `null` at the end of the connection. */
  async receive(): Promise<Frame | null> {
    if (!await this.#have(2)) return null;
    const [first, second] = this.#bytes as unknown as [number, number];
    assert((first & 0x70) === 0 && (second & 0x80) === 0, "a server sets neither bits nor a mask");
    const start = second < 126 ? 2 : second === 126 ? 4 : 10;
    assert(await this.#have(start), "half a header");
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset);
    const length = start === 2
      ? second
      : start === 4
      ? view.getUint16(2)
      : Number(view.getBigUint64(2));
    assert(await this.#have(start + length), "half a frame");
    const bytes = this.#bytes.slice(start, start + length);
    this.#bytes = this.#bytes.subarray(start + length);
    return { kind: kindOf(first & 0xf), isFinal: (first & 0x80) !== 0, bytes };
  }

  /** The next message; text as a string. */
  async message(): Promise<string | Uint8Array<ArrayBuffer>> {
    const frames: Frame[] = [];
    do {
      const next = await this.receive();
      if (next === null) throw new Error("the connection ended");
      const isExpected = frames.length === 0
        ? next.kind === "text" || next.kind === "binary"
        : next.kind === "continuation";
      assert(isExpected, Deno.inspect(next));
      frames.push(next);
    } while (!frames.at(-1)!.isFinal);
    const bytes = concat(frames.map(({ bytes }) => bytes));
    return frames[0]!.kind === "text"
      ? new TextDecoder("utf-8", { fatal: true }).decode(bytes)
      : bytes;
  }

  /** The next frame, which is the close frame: its code and reason. */
  async closing(): Promise<[code: number | undefined, reason: string]> {
    const next = await this.receive();
    if (next?.kind !== "close") throw new Error(`no close frame: ${Deno.inspect(next)}`);
    const { bytes } = next;
    return [bytes.length > 0 ? bytes[0]! << 8 | bytes[1]! : undefined, text(bytes.subarray(2))];
  }

  /** As {@linkcode WebClient.closing}; answers it, waits for the end of the connection, and closes. */
  async closed(): Promise<[code: number | undefined, reason: string]> {
    const [code, reason] = await this.closing();
    await this.send(closeFrame(code));
    assertEquals(await this.receive(), null);
    this[Symbol.dispose]();
    return [code, reason];
  }

  /** Ends the WebSocket from this side, waits for the answer and the end of the connection, and closes. */
  async leave(code?: number): Promise<void> {
    await this.send(closeFrame(code));
    assertEquals(await this.closing(), [code, ""]);
    assertEquals(await this.receive(), null);
    this[Symbol.dispose]();
  }

  /** Reads until there are so many bytes, or returns `false` at the end. */
  async #have(length: number): Promise<boolean> {
    const chunks = [this.#bytes];
    let size = this.#bytes.length;
    while (size < length) {
      const chunk = await readChunk(this.wire);
      if (chunk === null && size > 0) throw new Error("the connection ended within a frame");
      if (chunk === null) return false;
      chunks.push(chunk);
      size += chunk.length;
    }
    if (chunks.length > 1) this.#bytes = concat(chunks);
    return true;
  }

  [Symbol.dispose](): void {
    try {
      this.wire.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}

/** Writes all of `bytes`. */
async function sendAll(wire: Wire, bytes: Uint8Array): Promise<void> {
  while (bytes.length > 0) bytes = bytes.subarray(await wire.write(bytes));
}

async function readChunk(wire: Wire): Promise<Uint8Array<ArrayBuffer> | null> {
  const buffer = new Uint8Array(64 * 1024);
  const length = await within("the client's input", wire.read(buffer));
  return length === null ? null : buffer.subarray(0, length);
}

/** Sends a request, and resolves to all of the response, in which lines end with LF. */
export async function fetchRaw(wire: Wire, request: string | RequestOptions): Promise<string> {
  await sendAll(wire, encoder.encode(typeof request === "string" ? request : requestHead(request)));
  const chunks = [];
  for (;;) {
    const chunk = await readChunk(wire);
    if (chunk === null) return text(concat(chunks)).replaceAll("\r\n", "\n");
    chunks.push(chunk);
  }
}
