/**
 * The server: its listeners, the accept loops, the set of sessions, and an orderly shutdown.
 *
 * It never waits for a client or a child in the accept loop: each connection is handled
 * concurrently with the others.
 *
 * @module
 */

import { Intake, type IntakeOptions } from "../admission/intake.ts";
import { isTurnDue, nextTurn } from "../base/event_loop.ts";
import { log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { NO_OBSERVER, type Observer } from "../base/observer.ts";
import { settlesWithin } from "../base/settles_within.ts";
import { Children } from "../child/children.ts";
import { formatSocketAddress, Networks } from "../net/address.ts";
import { Listener, ListenError } from "../net/listener.ts";
import type { Tls } from "../net/tls.ts";
import type { ListenOptions, ServerOptions } from "./options.ts";
import { type ConnectionStatus, nonZero, type ServerStatus } from "./server_status.ts";
import { Sessions } from "./sessions.ts";
import { resolveSettings, type Settings } from "./settings.ts";

/**
 * A TCP server that gives every connection a process of its own.
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
  /** The TCP address it listens on, with the actual port. */
  readonly addr: Deno.NetAddr;
  /** Resolves when it has shut down; to `false` if connections had to be cut. Never rejects. */
  readonly finished: Promise<boolean>;

  readonly #options: Settings;
  readonly #listeners: readonly Listener[];
  readonly #tls: Tls | undefined;
  readonly #intake: Intake;
  readonly #children: Children;
  /** Every accepted connection that has not been closed, from its handshake on. */
  readonly #connections = new Set<Promise<void>>();
  readonly #sessions: Sessions;
  readonly #finish = Promise.withResolvers<boolean>();
  readonly #killed = Promise.withResolvers<void>();
  #accepting: Promise<unknown> = Promise.resolve();
  #closing = false;
  #reloading = new AbortController();
  /** Connections that were cut before they had a session. */
  #cancelled = 0;

  private constructor(
    options: Settings,
    listeners: readonly Listener[],
    rules: Pick<IntakeOptions, "acceptProxy" | "allow" | "deny">,
    tls: Tls | undefined,
    children: Children,
    observer: Observer,
  ) {
    this.#options = options;
    this.#listeners = listeners;
    this.#tls = tls;
    this.#intake = new Intake({
      ...options,
      ...rules,
      tls,
      serve: (accepted) => this.#sessions.serve(accepted),
    });
    this.#children = children;
    this.#sessions = new Sessions({ ...options, children, observer, timeouts: options });
    this.addr = listeners[0]!.addr as Deno.NetAddr;
    this.finished = this.#finish.promise;
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
    const settings = resolveSettings(options);
    const { handler, unix, warm } = settings;
    const rules = {
      acceptProxy: await Networks.of(settings.acceptProxy),
      allow: await Networks.of(settings.allow),
      deny: await Networks.of(settings.deny),
    };
    const children = new Children({ ...settings, observer });
    await children.check(signal);
    signal?.throwIfAborted();
    const listeners = [Listener.tcp(settings)];
    try {
      if (unix !== undefined) listeners.push(await Listener.unix(unix));
      const tls = await openTls(settings);
      const server = new Server(settings, listeners, rules, tls, children, observer);
      server.#start(signal);
      log.info("listening", { address: server.addresses.join(" "), handler: handler.name, warm });
      return server;
    } catch (error) {
      for (const listener of listeners) listener.closeNow();
      throw error;
    }
  }

  /** Where it listens: `ip:port`, and `unix:path` with a Unix socket. */
  get addresses(): string[] {
    return this.#listeners.map(({ name }) => name);
  }

  /** Its numbers now. */
  status(): ServerStatus {
    const { accepted, waiting, served, failed, refused } = this.#intake;
    const { maxConnections, queue, warm } = this.#options;
    const bytes = this.#sessions.bytes;
    return {
      accepted,
      active: this.#sessions.active,
      waiting,
      served,
      ended: { ...this.#sessions.ended },
      failed,
      refused: { ...refused },
      warm: this.#children.warm,
      spawned: this.#children.spawned,
      unspawned: this.#children.unspawned,
      exits: { ...this.#children.exits },
      killed: { ...this.#children.killed },
      limits: { connections: maxConnections, queue, warm },
      bytesIn: bytes.in,
      bytesOut: bytes.out,
    };
  }

  /** The connections being served, oldest first. */
  connections(): ConnectionStatus[] {
    return this.#sessions.status();
  }

  /** The handler's name, as in the log. */
  get handler(): string {
    return this.#options.handler.name;
  }

  /** Whether it is shutting down or has shut down. */
  get isDraining(): boolean {
    return this.#closing;
  }

  /** Whether a client that connects now would be served or queued. */
  get isReady(): boolean {
    return !this.#closing && this.#intake.hasCapacity && !this.#children.isFailing &&
      this.#listeners.every(({ isAccepting }) => isAccepting);
  }

  /**
   * Replaces the warm children, so that new clients get the handler's current code, and reads the
   * TLS files again. What cannot be started or read is logged, and what runs stays. Does nothing
   * during shutdown.
   */
  async reload(): Promise<void> {
    if (this.#closing) return;
    this.#reloading.abort(); // a later reload, or a shutdown, ends the check of an earlier one
    const { signal } = this.#reloading = new AbortController();
    let isReloaded = true;
    try {
      await this.#children.check(signal);
      this.#children.refresh();
    } catch (error) {
      if (signal.aborted) return;
      isReloaded = false;
      log.error("cannot reload the handler: the warm children stay", { error: messageOf(error) });
    }
    try {
      this.#tls?.reload();
    } catch (error) {
      isReloaded = false;
      log.error("cannot renew the TLS files: the old ones stay", { error: messageOf(error) });
    }
    if (isReloaded) log.info("reloaded", { handler: this.handler });
  }

  /**
   * Stops accepting, lets open connections go on for up to `drainTimeoutMs`, then refuses those that
   * wait and stops the remaining children by the stop ladder. Resolves when no child is left; to
   * `false` if connections had to be cut.
   */
  shutdown(): Promise<boolean> {
    if (!this.#closing) {
      this.#closing = true;
      this.#reloading.abort();
      for (const listener of this.#listeners) listener.close();
      this.#intake.drain();
      this.#drain().then(this.#finish.resolve);
    }
    return this.finished;
  }

  /** Shuts the server down as {@linkcode Server.shutdown} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  /** Shuts down immediately: kills every child, cuts every connection. Resolves as `shutdown()`. */
  kill(): Promise<boolean> {
    this.shutdown();
    for (const listener of this.#listeners) listener.closeNow();
    this.#killAll();
    this.#killed.resolve();
    return this.finished;
  }

  #start(signal?: AbortSignal): void {
    this.#children.start();
    const stop = () => this.shutdown();
    if (signal?.aborted) stop(); // while it began to listen
    signal?.addEventListener("abort", stop);
    this.finished.then(() => signal?.removeEventListener("abort", stop));
    this.#accepting = Promise.all(this.#listeners.map((listener) => this.#accept(listener)));
  }

  async #accept(listener: Listener): Promise<void> {
    for (;;) {
      while (this.#intake.isFull) await this.#intake.capacity();
      const client = await listener.accept();
      if (client === undefined) return;
      // The other listener may have taken the last place while this one waited for a client.
      while (this.#intake.isFull) await this.#intake.capacity();
      const handling = this.#intake.handle(client).finally(() =>
        this.#connections.delete(handling)
      );
      this.#connections.add(handling);
      if (isTurnDue()) await nextTurn();
    }
  }

  async #drain(): Promise<boolean> {
    await this.#accepting; // the listeners accept what the kernel has completed, then close
    log.info("draining", { active: this.#sessions.active, waiting: this.#intake.waiting });
    const warm = this.#children.close();
    const ended = Promise.allSettled(this.#connections);
    const killed = this.#killed.promise.then(() => "killed" as const);
    if (!await settlesWithin(Promise.race([ended, killed]), this.#options.drainTimeoutMs)) {
      this.#cutAll("drain-timeout");
    }
    if (await Promise.race([ended, killed]) === "killed") this.#killAll(); // and what came since
    await ended;
    await warm;
    const { accepted, served, failed, refused } = this.status();
    const cut = this.#sessions.cut + this.#cancelled;
    log.info("stopped", { accepted, served, failed, ...nonZero(refused), cut });
    return cut === 0;
  }

  /** Ends every connection and every child, without another word. */
  #killAll(): void {
    this.#intake.stopLingering();
    this.#cutAll("killed");
    this.#children.kill();
  }

  /** Ends every connection, served or not. */
  #cutAll(reason: "drain-timeout" | "killed"): void {
    this.#cancelled += this.#intake.cancelPending();
    this.#sessions.stop(reason);
  }
}

async function openTls(settings: Settings): Promise<Tls | undefined> {
  if (settings.cert.length === 0) return undefined;
  const { Tls } = await import("../net/tls.ts");
  try {
    return new Tls(settings);
  } catch (error) {
    throw new ListenError(formatSocketAddress(settings), messageOf(error));
  }
}
