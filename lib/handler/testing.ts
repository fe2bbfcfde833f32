/**
 * Tests of a handler function, in the test's own process: no server, no socket, no permission.
 *
 * @example The whole output for an input
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import type { Client } from "@spawnd/spawnd/handler";
 * import { run } from "@spawnd/spawnd/testing";
 *
 * async function shout(client: Client) {
 *   for await (const line of client.lines()) await client.write(`${line.toUpperCase()}\n`);
 * }
 *
 * assertEquals(await run(shout, "hello\n"), "HELLO\n");
 * ```
 *
 * @example A dialogue
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import type { Client } from "@spawnd/spawnd/handler";
 * import { connect } from "@spawnd/spawnd/testing";
 *
 * async function login(client: Client) {
 *   await client.write("name: ");
 *   await client.write(`Hello ${await client.readLine()} from ${client.remote?.hostname}\n`);
 * }
 *
 * await using client = connect(login, { remote: { hostname: "192.0.2.1", port: 54321 } });
 * await client.expect("name: ");
 * await client.send("Ada\n");
 * const [, name] = await client.expect(/Hello (\w+)/);
 * assertEquals(name, "Ada");
 * assertEquals(await client.end(), " from 192.0.2.1\n");
 * ```
 *
 * @module
 */

import type { Client, ClientFacts } from "./client.ts";
import { TransportClient } from "./transport_client.ts";

/** The client that a test makes, and how long the test waits. */
export interface TestOptions extends ClientFacts {
  /**
   * How long an expectation, or the end of the handler, may take, in milliseconds.
   *
   * @default {5000}
   */
  timeoutMs?: number;
  /**
   * Whether the output is bytes: a character of it stands for each, `"\xff"` for 255.
   *
   * @default {false}
   */
  isBinary?: boolean;
}

/** A handler: what `serve()` takes. */
export type Handler = (client: Client) => void | Promise<void>;

/**
 * Runs a handler for a client that sends `input` and then ends it.
 *
 * @return All that the client is sent, as text.
 * @throws Whatever the handler throws.
 */
export async function run(
  handler: Handler,
  input: string | Uint8Array = "",
  options: TestOptions = {},
): Promise<string> {
  await using client = connect(handler, options);
  await client.send(input);
  return await client.end();
}

/** Starts a handler for a client that the test plays. */
export function connect(handler: Handler, options: TestOptions = {}): TestClient {
  return new TestClient(handler, options);
}

const encoder = new TextEncoder();

/** The client's end of a connection to a handler. */
export class TestClient implements AsyncDisposable {
  readonly #timeoutMs: number;
  readonly #decode: (bytes?: Uint8Array) => string;
  /** What the handler has not read yet. */
  #input = new Uint8Array(0);
  #hasEnded = false;
  #hasLeft = false;
  /** What it has written and no expectation has used. */
  #output = "";
  /** Why the handler has failed, until the test is told. */
  #failure: { error: unknown } | undefined;
  #isDone = false;
  /** Whether the test has been told of a failure. */
  #hasThrown = false;
  readonly #watchers: (() => void)[] = [];
  /** Resolves at the next change of what is above. */
  #change = Promise.withResolvers<void>();

  /** Use {@linkcode connect}. */
  constructor(handler: Handler, { timeoutMs = 5_000, isBinary = false, ...facts }: TestOptions) {
    this.#timeoutMs = timeoutMs;
    const decoder = new TextDecoder();
    this.#decode = isBinary
      ? (bytes = new Uint8Array()) =>
        Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")
      : (bytes) => decoder.decode(bytes, { stream: bytes !== undefined });
    const client = new TransportClient({
      read: (buffer) => this.#read(buffer),
      // deno-lint-ignore require-await -- what it throws is a rejection
      write: async (bytes) => this.#write(bytes),
      watch: (leave) => this.#watchers.push(leave),
    }, facts);
    this.#run(handler, client);
  }

  /** Sends text, as UTF-8, or bytes; in one piece, unless the handler reads less. */
  // deno-lint-ignore require-await -- as with a socket
  async send(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    const both = new Uint8Array(this.#input.length + bytes.length);
    both.set(this.#input);
    both.set(bytes, this.#input.length);
    this.#input = both;
    this.#changed();
  }

  /**
   * Waits until `pattern` is in the output that follows the last match.
   *
   * @return The match, and its groups.
   * @throws {Error} It does not come in time, or the handler returns without it.
   * @throws Whatever the handler throws before.
   */
  async expect(pattern: string | RegExp): Promise<string[]> {
    const find = (): string[] | undefined => {
      const match = typeof pattern === "string" ? plainMatch(this.#output, pattern) : null;
      const found = match ?? (pattern instanceof RegExp ? this.#output.match(pattern) : null);
      if (found === null) return undefined;
      this.#output = this.#output.slice(found.index! + found[0]!.length);
      return [...found];
    };
    return await this.#until(find, Deno.inspect(pattern));
  }

  /**
   * Ends the input, and waits until the handler has returned.
   *
   * @return The output that follows the last match.
   * @throws {Error} It does not return in time.
   * @throws Whatever the handler throws.
   */
  async end(): Promise<string> {
    this.#hasEnded = true;
    this.#changed();
    return await this.#until(() => this.#isDone ? this.#output : undefined, "its end");
  }

  /** Leaves: what the handler writes from now on fails, and its input has ended. */
  leave(): void {
    this.#hasLeft = this.#hasEnded = true;
    for (const leave of this.#watchers) leave();
    this.#changed();
  }

  /** Leaves, and waits until the handler has returned, unless the test has failed already. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.leave();
    if (!this.#hasThrown) await this.#until(() => this.#isDone || undefined, "its end");
  }

  async #run(handler: Handler, client: TransportClient): Promise<void> {
    try {
      await handler(client);
      await client.written;
    } catch (error) {
      if (client.failure === undefined || error !== client.failure) this.#failure = { error };
    }
    this.#output += this.#decode();
    this.#isDone = true;
    this.#changed();
  }

  async #read(buffer: Uint8Array): Promise<number | null> {
    while (this.#input.length === 0 && !this.#hasEnded) await this.#change.promise;
    if (this.#input.length === 0 || this.#hasLeft) return null;
    const part = this.#input.subarray(0, buffer.length);
    buffer.set(part);
    this.#input = this.#input.subarray(part.length);
    return part.length;
  }

  #write(bytes: Uint8Array): number {
    if (this.#hasLeft) throw new Deno.errors.BrokenPipe("The client has left");
    this.#output += this.#decode(bytes);
    this.#changed();
    return bytes.length;
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  /** Waits for a result, and fails when the handler has, or cannot have one any more. */
  async #until<T>(result: () => T | undefined, what: string): Promise<T> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#changed();
    }, this.#timeoutMs);
    try {
      for (;;) {
        const failure = this.#failure;
        this.#failure = undefined;
        if (failure) throw failure.error;
        const value = result();
        if (value !== undefined) return value;
        if (this.#isDone || isLate) {
          const how = isLate ? `after ${this.#timeoutMs} ms` : "when the handler returned";
          throw new Error(`Expected ${what}, but ${how} there was ${JSON.stringify(this.#output)}`);
        }
        await this.#change.promise;
      }
    } catch (error) {
      this.#hasThrown = true;
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The first place of `text`, as a match. */
function plainMatch(output: string, text: string): { index: number } & string[] | null {
  const index = output.indexOf(text);
  return index < 0 ? null : Object.assign([text], { index });
}
