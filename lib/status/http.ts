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
import type { Listener } from "../net/listener.ts";

/** A request, as far as it matters here. */
export interface HttpRequest {
  readonly method: string;
  /** The path, without a query. */
  readonly path: string;
  /** The host that the client asked for, without a port. */
  readonly hostname: string;
}

/** A response; the server adds the length of its body. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** How many connections there are at once. A further one takes the place of an idle one. */
export const MAX_CONNECTIONS = 16;
/** The most that is read of a request. */
const MAX_REQUEST_BYTES = 8 * 1024;
/** How long a request may take to arrive, in milliseconds. */
const REQUEST_TIMEOUT_MS = 5_000;
/** How long a response may take to be read, in milliseconds. */
const RESPONSE_TIMEOUT_MS = 10_000;

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

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
      await connection.closeAfter(encode(response), RESPONSE_TIMEOUT_MS);
    } catch (error) {
      // It ended or broke before its request was complete.
      log.debug("no status request", { client: connection.name, error: String(error) });
    } finally {
      connection.close();
      this.#connections.delete(connection);
    }
  }

  /** The response to a head, and whether its body is left out. */
  async #respond(
    head: string | undefined,
  ): Promise<HttpResponse & { readonly omitBody?: boolean }> {
    if (head === undefined) return refusal(431);
    const request = parseRequest(head);
    if (request === undefined) return refusal(400);
    try {
      return { ...await this.#answer(request), omitBody: request.method === "HEAD" };
    } catch (error) {
      log.error("internal error", { error: String(error) });
      return refusal(500);
    }
  }
}

function refusal(status: number): HttpResponse {
  const headers = { "content-type": "text/plain; charset=utf-8" };
  return { status, headers, body: `${REASONS[status]!.toLowerCase()}\n` };
}

/** Reads up to the blank line; resolves to `undefined` if that is too far. */
async function readHead(connection: Connection): Promise<string | undefined> {
  const decoder = new TextDecoder("latin1");
  let head = "";
  while (head.length < MAX_REQUEST_BYTES) {
    const chunk = await connection.read(new Uint8Array(MAX_REQUEST_BYTES));
    if (chunk === null) throw new Error("the connection ended before the end of a request");
    head += decoder.decode(chunk);
    const end = head.indexOf("\r\n\r\n");
    if (end >= 0) return head.slice(0, end);
  }
}

/** The request that a head is, or `undefined` if it is malformed. */
export function parseRequest(head: string): HttpRequest | undefined {
  const [requestLine, ...fields] = head.split("\r\n");
  const [, method, target] = /^([A-Z]+) ([!-~]+) HTTP\/1\.[01]$/.exec(requestLine!) ?? [];
  if (method === undefined || !fields.every((field) => /^[\w!#$%&'*+.^`|~-]+:/.test(field))) return;
  const hosts = fields.filter((field) => /^host:/i.test(field));
  const host = hosts[0]?.slice("host:".length).trim() ?? "";
  if (hosts.length > 1 || !/^[\w.:[\]-]*$/.test(host)) return;
  // The host is the one that the client named as such: "//localhost/" is a path, not an address.
  const [, origin = host, path = target!] = /^http:\/\/([^/]+)(\/.*)$/.exec(target!) ?? [];
  const { hostname } = URL.parse(`http://${origin || "unknown"}`) ?? {};
  if (hostname === undefined || origin.includes("@") || !path.startsWith("/")) return;
  return { method, path: path.replace(/\?.*/, ""), hostname };
}

function encode(
  { status, headers, body, omitBody }: HttpResponse & { readonly omitBody?: boolean },
): Uint8Array<ArrayBuffer> {
  const content = new TextEncoder().encode(body);
  const lines = [
    `HTTP/1.1 ${status} ${REASONS[status]}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `content-length: ${content.length}`,
    "connection: close",
  ];
  const head = new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`);
  const bytes = new Uint8Array(head.length + (omitBody ? 0 : content.length));
  bytes.set(head);
  if (!omitBody) bytes.set(content, head.length);
  return bytes;
}
