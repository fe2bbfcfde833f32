/**
 * A server that runs: started on a free port of the loopback, with or without TLS or WebSockets,
 * and stopped.
 *
 * @module
 */

import type { Target } from "./load.ts";
import type { Candidate, Certificate, Handler } from "./servers.ts";

/** What a server is started with. */
export interface StartOptions {
  readonly handler: Handler;
  /** Options of spawnd beyond its defaults. */
  readonly options: readonly string[];
  /** For TLS, if the server speaks it. */
  readonly certificate?: Certificate | undefined;
  /** Whether it is to speak WebSocket, if it can. */
  readonly isWebSocket?: boolean;
}

/** A server that runs until it is disposed of. */
export class Running implements AsyncDisposable {
  /** Where a load reaches it. */
  readonly target: Target;
  readonly #process: Deno.ChildProcess;

  private constructor(target: Target, process: Deno.ChildProcess) {
    this.target = target;
    this.#process = process;
  }

  /** @throws {Error} It does not listen after five seconds. */
  static async start(
    server: Candidate,
    { handler, options, certificate, isWebSocket }: StartOptions,
  ): Promise<Running> {
    const port = freePort();
    const service = { port, handler, options };
    const isTls = certificate !== undefined && server.tlsCommand !== undefined;
    const hasMessages = isWebSocket === true && server.webSocketCommand !== undefined;
    const [command, ...args] = isTls
      ? server.tlsCommand!(service, certificate)
      : hasMessages
      ? server.webSocketCommand!(service)
      : server.command!(service);
    const process = new Deno.Command(command!, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const running = new Running({
      port,
      service: handler === "deno" || server.isCounter ? "counter" : "echo",
      certificate: isTls ? certificate.pem : undefined,
      isWebSocket: hasMessages,
    }, process);
    for (let tries = 0; tries < 200; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 25));
      try {
        (await Deno.connect({ hostname: "127.0.0.1", port })).close();
        return running;
      } catch {
        // Not yet.
      }
    }
    await running[Symbol.asyncDispose]();
    throw new Error("it does not listen");
  }

  get pid(): number {
    return this.#process.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGTERM");
    } catch {
      // It has already exited.
    }
    const killing = setTimeout(() => this.#process.kill("SIGKILL"), 5000);
    await this.#process.status;
    clearTimeout(killing);
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
