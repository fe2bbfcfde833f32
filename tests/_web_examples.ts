/**
 * The examples for browsers, started with the commands in their README, and a client that has what a
 * page has.
 *
 * @module
 */

import { type HANDLERS, start } from "./_examples.ts";
import type { Spawnd } from "./_spawnd.ts";
import { until, within } from "./_waiting.ts";

/** Starts a server with the README's command, on a free port; `address` is the README's. */
export function startWeb(
  handler: typeof HANDLERS[number],
  address: string,
  replacements: Record<string, string> = {},
): Promise<Spawnd> {
  return start(handler, {
    [`--websocket ${address} `]: "--websocket 127.0.0.1:0 ",
    ...replacements,
  });
}

/** Where a server takes WebSockets. */
export function webAddress(spawnd: Spawnd): string {
  return / ws:\/\/(\S+\/)/.exec(spawnd.stdout)![1]!;
}

/** A WebSocket, as a page would use it. */
export class PageSocket implements AsyncDisposable {
  readonly #socket: WebSocket;
  readonly #received: string[] = [];
  readonly #closed: Promise<CloseEvent>;
  #hasEnded = false;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#received.push(data);
    this.#closed = new Promise((resolve) => socket.onclose = resolve);
    this.#closed.then(() => this.#hasEnded = true);
  }

  static async open(spawnd: Spawnd, protocols: string[] = []): Promise<PageSocket> {
    const socket = new WebSocket(`ws://${webAddress(spawnd)}`, protocols);
    const page = new PageSocket(socket);
    await within("a WebSocket", new Promise((resolve) => socket.onopen = resolve));
    return page;
  }

  get protocol(): string {
    return this.#socket.protocol;
  }

  send(message: string): void {
    this.#socket.send(message);
  }

  /** The next message, or `undefined` when there are no more. */
  async next(): Promise<string | undefined> {
    await until("a message", () => this.#received.length > 0 || this.#hasEnded);
    return this.#received.shift();
  }

  /** Sends a message, and resolves to the next one that comes. */
  ask(message: string): Promise<string | undefined> {
    this.send(message);
    return this.next();
  }

  /** The code that the server closes with. */
  async closed(): Promise<number> {
    return (await within("the close", this.#closed)).code;
  }

  /** Closes, and resolves to the code that the server answers with. */
  close(): Promise<number> {
    this.#socket.close(1000);
    return this.closed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#hasEnded) await this.close();
  }
}
