/**
 * Services in the test's own process, with a status listener, and what that says of them.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { ServerOptions } from "../lib/server/options.ts";
import { Services, type Wanted } from "../lib/server/services.ts";
import { resolveSettings } from "../lib/server/settings.ts";
import { type ServicesStatus, StatusListener } from "../lib/status/listener.ts";
import { receive, send, text } from "./_sockets.ts";
import { within } from "./_waiting.ts";

/** These services, each on a free port. */
export function wanted(services: Record<string, ServerOptions>, maxChildren = 0): Wanted {
  const settings = Object.entries(services).map(([name, options]) =>
    [name, resolveSettings({ listen: ["127.0.0.1:0"], ...options })] as const
  );
  return { services: new Map(settings), maxChildren };
}

/** Services with a status listener, and what that says. */
export class Shown implements AsyncDisposable {
  readonly #status: StatusListener;
  readonly #services: Services;

  private constructor(status: StatusListener, services: Services) {
    this.#status = status;
    this.#services = services;
  }

  /** Starts these services. */
  static async start(first: Wanted): Promise<Shown> {
    const status = StatusListener.listen({ hostname: "127.0.0.1", port: 0 });
    const observerOf = (name: string) => status.observerOf(name);
    const services = await Services.start(first, { observerOf });
    status.attach(services);
    return new Shown(status, services);
  }

  /** Serves these from now on. */
  reload(next: Wanted): Promise<void> {
    return this.#services.reload(() => next);
  }

  /** Drains all of them. */
  shutdown(): void {
    this.#services.shutdown();
  }

  /** The port of the first service of this name. */
  port(name: string): number {
    const [, service] = this.#services.all.find(([one]) => one === name)!;
    return Number(service.addresses[0]!.split(":")[1]);
  }

  /** A connection to a service, with its child. */
  async hold(name: string): Promise<Deno.Conn> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: this.port(name) });
    await send(conn, "x");
    await receive(conn, 1);
    return conn;
  }

  /** The address of its page. */
  get url(): string {
    return this.#status.url;
  }

  /** The status code and the body at a path. */
  async get(path: string): Promise<string> {
    const response = await within(path, fetch(new URL(path, this.url)));
    return `${response.status} ${await response.text()}`;
  }

  /** The content of `/status.json`. */
  async data<T = ServicesStatus>(): Promise<T> {
    return JSON.parse((await this.get("status.json")).slice("200 ".length));
  }

  /** The names of several services in `/status.json`. */
  async names(): Promise<string[]> {
    return Object.keys((await this.data()).services ?? {});
  }

  /** The values under this name, by their labels. */
  async metric(name: string): Promise<Record<string, number>> {
    const lines = (await this.get("metrics")).split("\n");
    const pattern = new RegExp(`^${name}(?:{(.*)})? (\\S+)$`);
    const matches = lines.map((line) => pattern.exec(line)).filter((match) => match !== null);
    return Object.fromEntries(matches.map(([, labels = "", value]) => [labels, Number(value)]));
  }

  /** Ends the services and the status listener. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#services.kill();
    await this.#status[Symbol.asyncDispose]();
  }
}

/** Asserts that promtool(1) finds nothing wrong with these metrics. */
export async function assertPromtoolAgrees(metrics: string): Promise<void> {
  const promtool = new Deno.Command("promtool", {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await new Response(metrics).body!.pipeTo(promtool.stdin);
  const { code, stdout, stderr } = await promtool.output();
  assertEquals([code, text(stdout), text(stderr)], [0, "", ""]);
}
