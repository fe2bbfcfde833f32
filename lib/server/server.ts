/**
 * The server: its listeners, the accept loop, the set of sessions, and the way all of it ends.
 *
 * It touches little and waits for nobody: whatever a client or a child may do, it does beside all
 * the others, and accepting goes on.
 *
 * @module
 */

import { formatSocketAddress, Networks } from "../net/address.ts";
import { ucspiVariables, UNSET_VARIABLES } from "../child/environment.ts";
import { checkHandler, HandlerError } from "../child/handler.ts";
import { Listener, ListenError } from "../net/listener.ts";
import { log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { NO_OBSERVER, type Observer } from "../base/observer.ts";
import { Pool } from "../child/pool.ts";
import { formatProxyHeader } from "../net/proxy_protocol.ts";
import { type AcceptedConnection, Intake, type RefusalReason } from "../admission/intake.ts";
import { type ConnectionStatus, Session } from "./session.ts";
import { resolveSettings, type ServerOptions, type Settings } from "./settings.ts";
import { settlesWithin } from "../base/settles_within.ts";
import { Tls } from "../net/tls.ts";
import { type StopSignal, Worker } from "../child/worker.ts";

/** A server's numbers at one moment. */
export interface ServerStatus {
  /** Connections that have been accepted. Once nobody is in between, the sum of all the others. */
  accepted: number;
  /** Connections that are being served. */
  active: number;
  /** Clients that wait for one of these to end. */
  waiting: number;
  /** Connections that have been served to their end. */
  served: number;
  /** Clients that were not served because no child could be started. */
  failed: number;
  /** Clients that were not served for another reason. */
  refused: Record<RefusalReason, number>;
  /** Children that wait for a client; no connections. */
  warm: number;
  /** Children that have been started. */
  spawned: number;
  /** Children that could not be. */
  unspawned: number;
  /** Children that had to be sent a signal to end, by the last one they were sent. */
  killed: Record<StopSignal, number>;
  /** Bytes that children have taken from their clients. */
  bytesIn: number;
  /** Bytes that clients have taken from their children. */
  bytesOut: number;
}

/**
 * A TCP server that gives every connection a process of its own.
 *
 * @example
 * ```ts ignore
 * import { commandHandler, Server } from "@spawnd/spawnd";
 *
 * await using server = await Server.listen({ handler: commandHandler("cat"), port: 0 });
 * console.log(`echoing on port ${server.addr.port}`);
 * await server.finished;
 * ```
 */
export class Server implements AsyncDisposable {
  /** The address and port it really listens on. */
  readonly addr: Deno.NetAddr;
  /** Resolves when it has been shut down; to `false` where somebody had to be cut. Never rejects. */
  readonly finished: Promise<boolean>;

  readonly #options: Settings;
  readonly #listeners: readonly Listener[];
  readonly #tls: Tls | undefined;
  readonly #intake: Intake;
  readonly #pool: Pool<Worker>;
  /** What becomes of everybody who was accepted and has not gone. */
  readonly #inFlight = new Set<Promise<void>>();
  readonly #sessions = new Set<Session>();
  /** Every child that has not been reaped, with or without a client. */
  readonly #workers = new Set<Worker>();
  readonly #finish = Promise.withResolvers<boolean>();
  readonly #observer: Observer;
  #accepting: Promise<unknown> = Promise.resolve();
  #closing = false;
  #spawned = 0;
  #unspawned = 0;
  readonly #killed: Record<StopSignal, number> = { SIGTERM: 0, SIGKILL: 0 };
  /** What sessions that have ended carried. */
  readonly #carried = { in: 0, out: 0 };

  private constructor(
    options: Settings,
    listeners: readonly Listener[],
    rules: Rules,
    tls: Tls | undefined,
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
    this.#observer = observer;
    this.addr = listeners[0]!.addr as Deno.NetAddr;
    this.finished = this.#finish.promise;
    this.#pool = new Pool({
      size: options.warm,
      spawn: () => this.#spawn(UNSET_VARIABLES),
      killTimeoutMs: options.killTimeoutMs,
    });
  }

  /**
   * Makes sure that the handler can be started, listens, starts the first warm children, and
   * accepts from then on.
   *
   * @param observer Is told how long things take, by functions that must not throw.
   * @throws {RangeError} An option is outside its range.
   * @throws {HandlerError} The program or module does not exist or cannot be started.
   * @throws {ListenError} An address cannot be listened on, or the TLS files are not good.
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
    await checkHandler(handler, identityOf(settings));
    const listeners = [Listener.tcp(settings)];
    let tls;
    try {
      if (unix !== undefined) listeners.push(await Listener.unix(unix));
      tls = openTls(settings);
      const server = new Server(settings, listeners, rules, tls, observer);
      server.#start();
      log.info("listening", { address: server.names.join(" "), handler: handler.name, warm });
      return server;
    } catch (error) {
      for (const listener of listeners) listener.closeNow();
      tls?.close();
      throw error;
    }
  }

  /** Where it listens: `ip:port`, and `unix:path` where it does. */
  get names(): string[] {
    return this.#listeners.map(({ name }) => name);
  }

  /** Its numbers now. */
  status(): ServerStatus {
    const { accepted, waiting, served, failed, refused } = this.#intake;
    let { in: bytesIn, out: bytesOut } = this.#carried;
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
      warm: this.#pool.warm,
      spawned: this.#spawned,
      unspawned: this.#unspawned,
      killed: { ...this.#killed },
      bytesIn,
      bytesOut,
    };
  }

  /** Who is being served now, in the order of coming. */
  connections(): ConnectionStatus[] {
    return [...this.#sessions].map((session) => session.status());
  }

  /** What connections are served by, as the log calls it. */
  get handler(): string {
    return this.#options.handler.name;
  }

  /** How many children are to wait for a client. */
  get poolSize(): number {
    return this.#options.warm;
  }

  /** Whether it is shutting down, or has been shut down. */
  get isDraining(): boolean {
    return this.#closing;
  }

  /** Whether a client that came now would be served, or could wait for that. */
  get isReady(): boolean {
    return !this.#closing && this.#intake.hasCapacity;
  }

  /**
   * Replaces the warm children, so that new clients get what the program is by now, and reads the
   * TLS files again. Does nothing once it is shutting down.
   */
  refresh(): void {
    if (this.#closing) return;
    this.#pool.refresh();
    try {
      this.#tls?.renew();
      if (this.#tls) log.info("certificate renewed");
    } catch (error) {
      log.error("cannot renew the certificate: the old one stays", { error: messageOf(error) });
    }
  }

  /**
   * Stops accepting, lets everybody who is here go on for up to `drainTimeoutMs`, then refuses who
   * still waits and stops the children by the ladder. Resolves when no child is left; to `false`
   * where somebody had to be cut.
   */
  shutdown(): Promise<boolean> {
    if (!this.#closing) {
      this.#closing = true;
      for (const listener of this.#listeners) listener.close();
      this.#intake.close();
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
    for (const worker of this.#workers) worker.kill("SIGKILL");
  }

  #start(): void {
    try {
      this.#pool.start();
    } catch (error) {
      throw HandlerError.from(this.#options.handler, error);
    }
    this.#accepting = Promise.all(this.#listeners.map((listener) => this.#accept(listener)));
  }

  async #accept(listener: Listener): Promise<void> {
    for (;;) {
      await this.#intake.capacity();
      const client = await listener.accept();
      if (client === undefined) return;
      const handled = this.#intake.handle(client).finally(() => this.#inFlight.delete(handled));
      this.#inFlight.add(handled);
    }
  }

  /** Gives a client a child, and stays until both are done; an error if no child could be had. */
  async #serve({ id, client, acceptedAtMs }: AcceptedConnection): Promise<string | undefined> {
    const { sendProxy } = this.#options;
    let taken;
    try {
      taken = this.#pool.take(() => this.#spawn(ucspiVariables(client.ends)));
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
      preamble: sendProxy === 0 ? undefined : formatProxyHeader(sendProxy, client.ends),
    });
    this.#sessions.add(session);
    await session.run();
    this.#sessions.delete(session);
    this.#carried.in += session.inbound.bytes;
    this.#carried.out += session.outbound.bytes;
  }

  #spawn(env: Readonly<Record<string, string>>): Worker {
    const { handler, stderr } = this.#options;
    const beganAtMs = performance.now();
    let worker: Worker;
    try {
      worker = new Worker(handler, { stderr, env, ...identityOf(this.#options) });
    } catch (error) {
      this.#unspawned++;
      throw error;
    }
    this.#spawned++;
    this.#observer.spawned((performance.now() - beganAtMs) / 1000);
    this.#workers.add(worker);
    worker.exited.then(() => {
      this.#workers.delete(worker);
      if (worker.signalled) this.#killed[worker.signalled]++;
    });
    return worker;
  }

  async #drain(): Promise<boolean> {
    await this.#accepting; // what the kernel had already completed comes in
    log.info("draining", { active: this.#sessions.size, waiting: this.#intake.waiting });
    const pool = this.#pool.close();
    const ended = Promise.allSettled(this.#inFlight);
    let cut = 0;
    if (!await settlesWithin(ended, this.#options.drainTimeoutMs)) {
      const open = [...this.#sessions].filter(({ reason }) => reason === undefined);
      cut = open.length + this.#intake.cancelPending();
      for (const session of open) session.stop("drain-timeout");
    }
    await ended;
    await pool;
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

/** The rules of a server, ready to be asked. */
interface Rules {
  readonly acceptProxy: Networks;
  readonly allow: Networks;
  readonly deny: Networks;
}

/** Without what never happened: most of it never does, and a line should be short. */
export function nonZero(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

/** Who the children are to be, as far as that is said. */
function identityOf({ uid, gid }: Settings): { uid?: number; gid?: number } {
  return { ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) };
}
