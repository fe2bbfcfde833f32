/**
 * The server: its listeners, the accept loops, the set of sessions, and an orderly shutdown.
 *
 * It never waits for a client or a child in the accept loop: each connection is handling beside the
 * others, and accepting goes on.
 *
 * @module
 */

import { type AcceptedConnection, Intake } from "../admission/intake.ts";
import { log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { NO_OBSERVER, type Observer } from "../base/observer.ts";
import { settlesWithin } from "../base/settles_within.ts";
import { Children } from "../child/children.ts";
import { formatSocketAddress, Networks } from "../net/address.ts";
import { Listener, ListenError } from "../net/listener.ts";
import { formatProxyHeader } from "../net/proxy_protocol.ts";
import { Tls } from "../net/tls.ts";
import type { ServerOptions } from "./options.ts";
import { nonZero, type ServerStatus } from "./server_status.ts";
import { type ConnectionStatus, Session } from "./session.ts";
import { resolveSettings, type Settings } from "./settings.ts";

/**
 * A TCP server that gives every connection a process of its own.
 *
 * @example Serve until told to stop
 * ```ts
 * import { commandHandler, Server } from "@spawnd/spawnd";
 *
 * const server = await Server.listen({ handler: commandHandler("cat"), port: 0 });
 * console.log(`echoing on port ${server.addr.port}`);
 * setTimeout(() => server.shutdown(), 100); // a program does this at a signal
 * console.log(await server.finished); // true: no connection was cut
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
  readonly #sessions = new Set<Session>();
  readonly #finish = Promise.withResolvers<boolean>();
  readonly #observer: Observer;
  #accepting: Promise<unknown> = Promise.resolve();
  #closing = false;
  /** Bytes of the sessions that have ended. */
  readonly #ended = { in: 0, out: 0 };

  private constructor(
    options: Settings,
    listeners: readonly Listener[],
    rules: Rules,
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
      serve: (accepted) => this.#serve(accepted),
    });
    this.#children = children;
    this.#observer = observer;
    this.addr = listeners[0]!.addr as Deno.NetAddr;
    this.finished = this.#finish.promise;
  }

  /**
   * Checks that the handler can be started, listens, starts the first warm children, and accepts
   * from then on.
   *
   * @param observer Is told how long things take; its functions must not throw.
   * @throws {RangeError} An option is outside its range.
   * @throws {HandlerError} The program or module does not exist or cannot be started.
   * @throws {ListenError} An address cannot be listened on, or the TLS files are invalid.
   */
  static async listen(
    options: ServerOptions,
    observer: Observer = NO_OBSERVER,
  ): Promise<Server> {
    const settings = resolveSettings(options);
    const { handler, unix, warm } = settings;
    const rules = {
      acceptProxy: await Networks.of(settings.acceptProxy),
      allow: await Networks.of(settings.allow),
      deny: await Networks.of(settings.deny),
    };
    const children = new Children({ ...settings, observer });
    await children.check();
    const listeners = [Listener.tcp(settings)];
    let tls;
    try {
      if (unix !== undefined) listeners.push(await Listener.unix(unix));
      tls = openTls(settings);
      const server = new Server(settings, listeners, rules, tls, children, observer);
      server.#start();
      log.info("listening", { address: server.addresses.join(" "), handler: handler.name, warm });
      return server;
    } catch (error) {
      for (const listener of listeners) listener.closeNow();
      tls?.close();
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
    let { in: bytesIn, out: bytesOut } = this.#ended;
    for (const { inbound, outbound } of this.#sessions) {
      bytesIn += inbound.bytes;
      bytesOut += outbound.bytes;
    }
    return {
      accepted,
      active: this.#sessions.size,
      waiting,
      served,
      failed,
      refused: { ...refused },
      warm: this.#children.warm,
      spawned: this.#children.spawned,
      unspawned: this.#children.unspawned,
      killed: { ...this.#children.killed },
      bytesIn,
      bytesOut,
    };
  }

  /** The connections being served, oldest first. */
  connections(): ConnectionStatus[] {
    return [...this.#sessions].map((session) => session.status());
  }

  /** The handler's name, as in the log. */
  get handler(): string {
    return this.#options.handler.name;
  }

  /** How many children the pool keeps warm. */
  get poolSize(): number {
    return this.#options.warm;
  }

  /** Whether it is shutting down or has shut down. */
  get isDraining(): boolean {
    return this.#closing;
  }

  /** Whether a client that connects now would be served or queued. */
  get isReady(): boolean {
    return !this.#closing && this.#intake.hasCapacity;
  }

  /**
   * Replaces the warm children, so that new clients get the handler's current code, and reads the
   * TLS files again. Does nothing during shutdown.
   */
  refresh(): void {
    if (this.#closing) return;
    this.#children.refresh();
    try {
      this.#tls?.renew();
      if (this.#tls) log.info("certificate renewed");
    } catch (error) {
      log.error("cannot renew the certificate: the old one stays", { error: messageOf(error) });
    }
  }

  /**
   * Stops accepting, lets open connections go on for up to `drainTimeoutMs`, then refuses those that
   * wait and stops the remaining children by the stop ladder. Resolves when no child is left; to
   * `false` if connections had to be cut.
   */
  shutdown(): Promise<boolean> {
    if (!this.#closing) {
      this.#closing = true;
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

  /** Kills every child at once. Sessions end by that; the server itself goes on. */
  kill(): void {
    this.#children.kill();
  }

  #start(): void {
    this.#children.start();
    this.#accepting = Promise.all(this.#listeners.map((listener) => this.#accept(listener)));
  }

  async #accept(listener: Listener): Promise<void> {
    for (;;) {
      await this.#intake.capacity();
      const client = await listener.accept();
      if (client === undefined) return;
      const handling = this.#intake.handle(client).finally(() =>
        this.#connections.delete(handling)
      );
      this.#connections.add(handling);
    }
  }

  /** Serves a connection to its end; resolves to an error if no child could be started. */
  async #serve({ id, client, acceptedAtMs }: AcceptedConnection): Promise<string | undefined> {
    const { sendProxy } = this.#options;
    let taken;
    try {
      taken = this.#children.take(client.addresses);
    } catch (error) {
      return String(error);
    }
    const session = new Session({
      ...taken,
      id,
      client,
      acceptedAtMs,
      observer: this.#observer,
      timeouts: this.#options,
      preamble: sendProxy === 0 ? undefined : formatProxyHeader(sendProxy, client.addresses),
    });
    this.#sessions.add(session);
    await session.run();
    this.#sessions.delete(session);
    this.#ended.in += session.inbound.bytes;
    this.#ended.out += session.outbound.bytes;
  }

  async #drain(): Promise<boolean> {
    await this.#accepting; // the listeners accept what the kernel has completed, then close
    log.info("draining", { active: this.#sessions.size, waiting: this.#intake.waiting });
    const warm = this.#children.close();
    const ended = Promise.allSettled(this.#connections);
    let cut = 0;
    if (!await settlesWithin(ended, this.#options.drainTimeoutMs)) {
      const open = [...this.#sessions].filter(({ reason }) => reason === undefined);
      cut = open.length + this.#intake.cancelPending();
      for (const session of open) session.stop("drain-timeout");
    }
    await ended;
    await warm;
    this.#tls?.close();
    const { accepted, served, failed, refused } = this.status();
    log.info("stopped", { accepted, served, failed, ...nonZero(refused), cut });
    return cut === 0;
  }
}

function openTls({ hostname, port, cert, key }: Settings): Tls | undefined {
  if (cert === undefined || key === undefined) return undefined;
  try {
    return new Tls({ cert, key });
  } catch (error) {
    throw new ListenError(formatSocketAddress({ hostname, port }), messageOf(error));
  }
}

/** A server's address rules, parsed. */
interface Rules {
  readonly acceptProxy: Networks;
  readonly allow: Networks;
  readonly deny: Networks;
}
