/**
 * The status listener: what an operator and a monitoring system see of the services that run, over
 * HTTP and read only. It is loaded only where a status address is given.
 *
 *     /             a page for people
 *     /status.json  the same as data, see {@linkcode Status} and {@linkcode ServicesStatus}
 *     /metrics      for Prometheus
 *     /healthz      200 while the server runs
 *     /readyz       200 if a client that connects now would be served or queued, whichever service
 *                   it connects to; 503 otherwise
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

import config from "../../deno.json" with { type: "json" };
import type { Observer } from "../base/observer.ts";
import { Listener } from "../net/listener.ts";
import type { StatusSource } from "../server/server_status.ts";
import { isLoopback } from "../net/address.ts";
import type { HttpResponse } from "../net/http.ts";
import { ChildrenMemory } from "./children_memory.ts";
import { type HttpRequest, HttpServer, MAX_CONNECTIONS } from "./http.ts";
import { METRICS_TYPE, metricsText } from "./metrics.ts";
import { CONTENT_SECURITY_POLICY, PAGE } from "./page.ts";
import { ShownServices, type StatusSources } from "./services.ts";
import { readinessOf, type ServicesStatus, type Status, statusOf } from "./status.ts";

export type { HistoryValues } from "./history.ts";
export type { RefusedClient } from "../base/observer.ts";
export type { RefusalStatus } from "./refusals.ts";
export type { StatusSources } from "./services.ts";
export type { ProcessStatus, ServicesStatus, ServiceStatus, Status } from "./status.ts";

/** How often the history takes a sample. */
const SAMPLE_MS = 1_000;

/** The status listener of a process. */
export class StatusListener implements AsyncDisposable {
  /** The observer to start a single server with. */
  readonly observer: Observer;
  readonly #listener: Listener;
  readonly #http: HttpServer;
  readonly #services = new ShownServices();
  readonly #memory = new ChildrenMemory();
  #sampling: ReturnType<typeof setInterval> | undefined;
  #startedAtMs: number | undefined;

  private constructor(options: { hostname: string; port: number }) {
    this.observer = this.observerOf("");
    this.#listener = Listener.tcp({
      ...options,
      backlog: MAX_CONNECTIONS,
      reusePort: false,
      keepAlive: true,
    });
    this.#http = new HttpServer(this.#listener, (request) => this.#answer(request));
  }

  /**
   * Listens. Until something is attached, `/readyz` answers 503.
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

  /** The address it listens on, with the actual port. */
  get addr(): Deno.Addr {
    return this.#listener.addr;
  }

  /** The observer to start the service of this name with; a service takes the last one. */
  observerOf(name: string): Observer {
    return this.#services.observerOf(name);
  }

  /** Shows this server, or all of these services as they come and go, from now on. */
  attach(source: StatusSource | StatusSources): void {
    this.#services.attach("all" in source ? source : single(source));
    this.#startedAtMs ??= performance.now();
    this.#sampling ??= setInterval(() => {
      for (const { source, history } of this.#services.now().values()) {
        history.sample(source.status());
      }
    }, SAMPLE_MS);
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
    switch (path) {
      case "/":
        return reply(PAGE, "text/html", 200, {
          "content-security-policy": await CONTENT_SECURITY_POLICY,
        });
      case "/status.json":
        if (this.#startedAtMs === undefined) break;
        return reply(JSON.stringify(await this.#status(this.#startedAtMs)), "application/json");
      case "/metrics":
        return reply(await this.#metrics(), METRICS_TYPE);
      case "/healthz":
        return reply("alive\n");
      case "/readyz": {
        if (this.#startedAtMs === undefined) break;
        const readiness = readinessOf(this.#services.now());
        return reply(`${readiness}\n`, "text/plain", readiness === "ready" ? 200 : 503);
      }
      default:
        return reply("there is /, /status.json, /metrics, /healthz, /readyz\n", "text/plain", 404);
    }
    return reply("starting\n", "text/plain", 503);
  }

  async #status(startedAtMs: number): Promise<Status | ServicesStatus> {
    const childrenMemoryBytes = await this.#childrenMemory();
    const { isDraining, maxChildren } = this.#services;
    return statusOf(this.#services.now(), {
      uptimeSeconds: (performance.now() - startedAtMs) / 1000,
      pid: Deno.pid,
      version: config.version,
      draining: isDraining,
      memoryBytes: Deno.memoryUsage().rss,
      ...(childrenMemoryBytes !== undefined && { childrenMemoryBytes }),
      limits: maxChildren > 0 ? { children: maxChildren } : {},
    });
  }

  async #metrics(): Promise<string> {
    const childrenMemoryBytes = await this.#childrenMemory();
    const metrics = [...this.#services.now()].map(([name, { metrics }]) =>
      [name, metrics] as const
    );
    const { maxChildren } = this.#services;
    return await metricsText(new Map(metrics), { maxChildren, childrenMemoryBytes });
  }

  #childrenMemory(): Promise<number | undefined> {
    return this.#memory.bytes(() =>
      [...this.#services.now().values()].flatMap(({ source }) => source.pids)
    );
  }
}

/** One server as all the services there are. */
function single(server: StatusSource): StatusSources {
  return {
    all: [["", server]],
    get isDraining() {
      return server.isDraining;
    },
    maxChildren: 0,
  };
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
