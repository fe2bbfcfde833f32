/**
 * A small HTTP/1.1 server (RFC 9112) for the status listener: GET and HEAD, one request for each
 * connection.
 *
 * It shares the descriptors and the thread of the service, so it must never cost it more than a
 * fixed few: connections are bounded in number, each of them in time and bytes. (`Deno.serve` bounds
 * none of these, seen on 2.9: idle connections took every descriptor.)
 *
 * @module
 */

import { nextTurn } from "../base/event_loop.ts";
import { log } from "../base/log.ts";
import { settlesWithin } from "../base/settles_within.ts";
import type { Connection } from "../net/connection.ts";
import {
  encodeResponse,
  type HttpResponse,
  parseHead,
  readHead,
  textResponse,
} from "../net/http.ts";
import type { Listener } from "../net/listener.ts";

/** A request, as far as it matters here. */
export interface HttpRequest {
  readonly method: string;
  /** The path, without a query. */
  readonly path: string;
  /** The host that the client asked for, without a port. */
  readonly hostname: string;
}

/** How many connections there are at once. A further one takes the place of an idle one. */
export const MAX_CONNECTIONS = 16;
/** How long a request may take to arrive, in milliseconds. */
const REQUEST_TIMEOUT_MS = 5_000;
/** How long a response may take to be read, in milliseconds. */
const RESPONSE_TIMEOUT_MS = 10_000;

/** An HTTP server over a listener, which it closes in the end. */
export class HttpServer {
  readonly #listener: Listener;
  readonly #answer: (request: HttpRequest) => HttpResponse | Promise<HttpResponse>;
  /** Oldest first. */
  readonly #connections = new Map<Connection, Promise<void>>();
  /** Those whose request has arrived. */
  readonly #answering = new WeakSet<Connection>();
  readonly #serving: Promise<void>;

  /** @param answer Gives the response; what it throws is logged, and answered with 500. */
  constructor(
    listener: Listener,
    answer: (request: HttpRequest) => HttpResponse | Promise<HttpResponse>,
  ) {
    this.#listener = listener;
    this.#answer = answer;
    this.#serving = this.#accept();
  }

  /** Stops listening, and ends the connections there are. */
  async close(): Promise<void> {
    this.#listener.closeNow();
    for (const connection of this.#connections.keys()) connection.close();
    await this.#serving;
    await Promise.all(this.#connections.values());
  }

  async #accept(): Promise<void> {
    for (;;) {
      const connection = await this.#listener.accept();
      if (connection === undefined) return;
      if (this.#connections.size >= MAX_CONNECTIONS) this.#evict();
      this.#connections.set(connection, this.#serve(connection));
      await nextTurn(); // so that a request that is there is read before the next connection
    }
  }

  /** Closes the oldest connection without a request; the oldest of all if each has one. */
  #evict(): void {
    const connections = [...this.#connections.keys()];
    const evicted = connections.find((connection) => !this.#answering.has(connection)) ??
      connections[0]!;
    evicted.close();
    this.#connections.delete(evicted);
  }

  async #serve(connection: Connection): Promise<void> {
    try {
      const reading = readHead(connection);
      if (!await settlesWithin(reading, REQUEST_TIMEOUT_MS)) return;
      this.#answering.add(connection);
      const response = await this.#respond(await reading);
      await connection.closeAfter(response, RESPONSE_TIMEOUT_MS);
    } catch (error) {
      // It ended or broke before its request was complete.
      log.debug("no status request", { client: connection.name, error: String(error) });
    } finally {
      connection.close();
      this.#connections.delete(connection);
    }
  }

  /** The response to a head. */
  async #respond(head: string | undefined): Promise<Uint8Array<ArrayBuffer>> {
    if (head === undefined) return encodeResponse(textResponse(431));
    const request = parseRequest(head);
    if (request === undefined) return encodeResponse(textResponse(400));
    try {
      return encodeResponse(await this.#answer(request), request.method === "HEAD");
    } catch (error) {
      log.error("internal error", { error: String(error) });
      return encodeResponse(textResponse(500));
    }
  }
}

/** The request that a head is, or `undefined` if it is malformed. */
export function parseRequest(text: string): HttpRequest | undefined {
  const head = parseHead(text);
  const host = head?.fields.get("host") ?? "";
  if (head === undefined || !/^[\w.:[\]-]*$/.test(host)) return undefined;
  const { method, target } = head;
  // The host is the one that the client named as such: "//localhost/" is a path, not an address.
  const [, origin = host, path = target] = /^http:\/\/([^/]+)(\/.*)$/.exec(target) ?? [];
  const { hostname } = URL.parse(`http://${origin || "unknown"}`) ?? {};
  if (hostname === undefined || origin.includes("@") || !path.startsWith("/")) return undefined;
  return { method, path: path.replace(/\?.*/, ""), hostname };
}
