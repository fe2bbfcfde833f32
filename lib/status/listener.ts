/**
 * The status listener: what an operator and a monitoring system see of a running server, over HTTP
 * and read only. It is loaded only where a status address is given.
 *
 *     /             a page for people
 *     /status.json  the same as data, see {@linkcode Status}
 *     /metrics      for Prometheus
 *     /healthz      200 while the server runs
 *     /readyz       200 if a client that connects now would be served or queued; 503 otherwise
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { commandHandler, Server } from "@spawnd/spawnd";
 * import { StatusListener } from "@spawnd/spawnd/status";
 *
 * await using status = StatusListener.listen({ hostname: "127.0.0.1", port: 0 });
 * await using server = await Server.listen(
 *   { handler: commandHandler("cat"), hostname: "127.0.0.1", port: 0 },
 *   { observer: status.observer },
 * );
 * status.attach(server);
 * const response = await fetch(new URL("readyz", status.url));
 * assertEquals(await response.text(), "ready\n");
 * ```
 *
 * @module
 */

import { History, type HistoryValues } from "./history.ts";
import { Listener } from "../net/listener.ts";
import { type HttpRequest, type HttpResponse, HttpServer, MAX_CONNECTIONS } from "./http.ts";
import { Metrics } from "./metrics.ts";
import type { Observer } from "../base/observer.ts";
import type { ConnectionStatus, ServerStatus, StatusSource } from "../server/server_status.ts";
import { CONTENT_SECURITY_POLICY, PAGE } from "./page.ts";

export type { HistoryValues } from "./history.ts";

/** A server at one moment: the content of `/status.json`. */
export interface Status extends ServerStatus {
  /** Where it listens. */
  readonly addresses: readonly string[];
  /** The handler's name. */
  readonly handler: string;
  /** How long it has been listening. */
  readonly uptimeSeconds: number;
  /** Whether it is shutting down. */
  readonly draining: boolean;
  /** Whether a client that connects now would be served or queued. */
  readonly ready: boolean;
  /** Memory of the server itself, without its children. */
  readonly memoryBytes: number;
  /** The connections being served, oldest first. */
  readonly connections: readonly ConnectionStatus[];
  /** The last minutes, one value a second, the latest last. */
  readonly history: HistoryValues;
}

/** How often the history takes a sample. */
const SAMPLE_MS = 1_000;

/** The status listener of one server. */
export class StatusListener implements AsyncDisposable {
  /** The observer to start the server with. */
  readonly observer: Observer;
  readonly #listener: Listener;
  readonly #http: HttpServer;
  readonly #metrics = new Metrics();
  readonly #history = new History();
  #sampling: ReturnType<typeof setInterval> | undefined;
  #server: StatusSource | undefined;
  #startedAtMs = 0;

  private constructor(options: { hostname: string; port: number }) {
    const [metrics, history] = [this.#metrics, this.#history];
    this.observer = {
      spawned: (seconds) => metrics.spawned(seconds),
      answered: (seconds) => {
        metrics.answered(seconds);
        history.answered(seconds);
      },
      ended: (seconds) => metrics.ended(seconds),
    };
    this.#listener = Listener.tcp({
      ...options,
      backlog: MAX_CONNECTIONS,
      reusePort: false,
      keepAlive: true,
    });
    this.#http = new HttpServer(this.#listener, (request) => this.#answer(request));
  }

  /**
   * Listens. Until a server is attached, `/readyz` answers 503.
   *
   * @throws {ListenError} The address cannot be listened on.
   */
  static listen(options: { hostname: string; port: number }): StatusListener {
    return new StatusListener(options);
  }

  /** The address of its page. */
  get url(): string {
    return `http://${this.#listener.name}/`;
  }

  /** Shows this server from now on; it was started with {@linkcode StatusListener.observer}. */
  attach(server: StatusSource): void {
    this.#server = server;
    this.#startedAtMs = performance.now();
    this.#metrics.attach(server);
    this.#sampling = setInterval(() => this.#history.sample(server.status()), SAMPLE_MS);
  }

  /** Stops listening. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sampling);
    await this.#http.close();
  }

  async #answer({ method, path, hostname }: HttpRequest): Promise<HttpResponse> {
    // A web page elsewhere could give its own name this address, and read what only this machine may
    // see (DNS rebinding).
    if (isLoopback((this.#listener.addr as Deno.NetAddr).hostname) && !isLoopback(hostname)) {
      return reply("ask by the name localhost\n", "text/plain", 403);
    }
    if (method !== "GET" && method !== "HEAD") {
      return reply("only GET and HEAD\n", "text/plain", 405, { allow: "GET, HEAD" });
    }
    const server = this.#server;
    switch (path) {
      case "/":
        return reply(PAGE, "text/html", 200, {
          "content-security-policy": await CONTENT_SECURITY_POLICY,
        });
      case "/status.json":
        if (server === undefined) break;
        return reply(JSON.stringify(this.#status(server)), "application/json");
      case "/metrics":
        return reply(await this.#metrics.text(), this.#metrics.contentType);
      case "/healthz":
        return reply("alive\n");
      case "/readyz":
        if (server === undefined) break;
        if (server.isReady) return reply("ready\n");
        return reply(server.isDraining ? "draining\n" : "full\n", "text/plain", 503);
      default:
        return reply("there is /, /status.json, /metrics, /healthz, /readyz\n", "text/plain", 404);
    }
    return reply("starting\n", "text/plain", 503);
  }

  #status(server: StatusSource): Status {
    return {
      addresses: server.addresses,
      handler: server.handler,
      uptimeSeconds: (performance.now() - this.#startedAtMs) / 1000,
      draining: server.isDraining,
      ready: server.isReady,
      ...server.status(),
      memoryBytes: Deno.memoryUsage().rss,
      connections: server.connections(),
      history: this.#history.values,
    };
  }
}

function isLoopback(hostname: string): boolean {
  return /^(localhost|127\.[\d.]+|\[?::1\]?)$/.test(hostname);
}

/** A response that caches do not keep and other sites cannot embed. */
function reply(
  body: string,
  type = "text/plain",
  status = 200,
  headers: Record<string, string> = {},
): HttpResponse {
  return {
    status,
    body,
    headers: {
      "content-type": type.includes("charset") ? type : `${type}; charset=utf-8`,
      "cache-control": "no-store",
      "cross-origin-resource-policy": "same-origin",
      "x-content-type-options": "nosniff",
      ...headers,
    },
  };
}
