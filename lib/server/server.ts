/**
 * The server, as the library has it: one service in a program of its own.
 *
 * @module
 */

import { NO_OBSERVER } from "../base/observer.ts";
import { ServicesError } from "./services_error.ts";
import type { ListenOptions, ServerOptions } from "./options.ts";
import type { ConnectionStatus, ServerStatus } from "./server_status.ts";
import type { Service } from "./service.ts";
import { Services } from "./services.ts";
import { resolveSettings } from "./settings.ts";

/**
 * A server that gives every connection a process of its own.
 *
 * @example Serve until told to stop
 * ```ts
 * import { assert } from "@std/assert";
 * import { commandHandler, Server } from "@spawnd/spawnd";
 *
 * const server = await Server.listen({
 *   handler: commandHandler("cat"),
 *   hostname: "127.0.0.1",
 *   port: 0,
 * });
 * console.log(`echoing on port ${server.addr.port}`);
 * setTimeout(() => server.shutdown(), 100); // a program does this at a signal
 * assert(await server.finished); // no connection was cut
 * ```
 */
export class Server implements AsyncDisposable {
  /** Resolves when it has shut down; to `false` if connections had to be cut. Never rejects. */
  readonly finished: Promise<boolean>;
  readonly #services: Services;
  readonly #service: Service;

  private constructor(services: Services) {
    this.#services = services;
    this.#service = services.all[0]![1];
    this.finished = services.finished;
  }

  /**
   * Checks that the handler can be started, listens, starts the first warm children, and accepts
   * from then on.
   *
   * @throws {RangeError} An option is outside its range.
   * @throws {HandlerError} The program or module does not exist or cannot be started.
   * @throws {ListenError} An address cannot be listened on, or the TLS files are invalid.
   */
  static async listen(
    options: ServerOptions,
    { observer = NO_OBSERVER, signal }: ListenOptions = {},
  ): Promise<Server> {
    const services = new Map([["", resolveSettings(options)]]);
    try {
      const context = { observerOf: () => observer, ...(signal && { signal }) };
      return new Server(await Services.start({ services, maxChildren: 0 }, context));
    } catch (error) {
      throw error instanceof ServicesError ? error.errors[0] : error;
    }
  }

  /**
   * The address of its first TCP listener, with the actual port.
   *
   * @throws {TypeError} It has none.
   */
  get addr(): Deno.NetAddr {
    for (const { listener: { addr } } of this.#service.acceptors) if ("port" in addr) return addr;
    throw new TypeError("Cannot give an address as the server does not listen on TCP");
  }

  /** Where it listens: `ip:port`, or `unix:path`. */
  get addresses(): string[] {
    return this.#service.addresses;
  }

  /** Its numbers now. */
  status(): ServerStatus {
    return this.#service.status();
  }

  /** The connections being served, oldest first. */
  connections(): ConnectionStatus[] {
    return this.#service.connections();
  }

  /** The process ids of its children, warm ones too. */
  get pids(): number[] {
    return this.#service.pids;
  }

  /** The handler's name, as in the log. */
  get handler(): string {
    return this.#service.handler;
  }

  /** Whether it is shutting down or has shut down. */
  get isDraining(): boolean {
    return this.#service.isDraining;
  }

  /** Whether a client that connects now would be served or queued. */
  get isReady(): boolean {
    return this.#service.isReady;
  }

  /**
   * Replaces the warm children, so that new clients get the handler's current code, and reads the
   * TLS files again. If something cannot be started or read, that is logged, and nothing changes.
   * Does nothing during shutdown.
   */
  reload(): Promise<void> {
    return this.#services.reload();
  }

  /**
   * Stops accepting, lets open connections go on for up to `drainTimeoutMs`, then refuses those that
   * wait and stops the remaining children by the stop ladder. Resolves when no child is left; to
   * `false` if connections had to be cut.
   */
  shutdown(): Promise<boolean> {
    return this.#services.shutdown();
  }

  /** Shuts the server down as {@linkcode Server.shutdown} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  /** Shuts down immediately: kills every child, cuts every connection. Resolves as `shutdown()`. */
  kill(): Promise<boolean> {
    return this.#services.kill();
  }
}
