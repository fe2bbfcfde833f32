/**
 * The server: a listener, the accept loop, the set of sessions, and the way all of it ends.
 *
 * It touches little and waits for nobody: whatever a client or a child may do happens in that
 * client's session, and the loop goes on to accept.
 *
 * @module
 */

import { Client, formatAddress } from "./client.ts";
import { checkHandler, HandlerError } from "./handler.ts";
import { log } from "./log.ts";
import { Pool } from "./pool.ts";
import { Session } from "./session.ts";
import { resolveSettings, type ServerOptions, type Settings } from "./settings.ts";
import { settlesWithin } from "./settles_within.ts";
import { Worker } from "./worker.ts";

/** A server's numbers at one moment. */
export interface ServerStatus {
  /** Connections that are being served. */
  active: number;
  /** Children that wait for a client. */
  warm: number;
  /** Connections that have been served to their end. */
  served: number;
  /** Connections that got no child, because none could be started. */
  failed: number;
}

/** Accepting stops for this long when descriptors ran out, or for a reason nobody knows. */
const ACCEPT_PAUSE_MS = 100;

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
  /** Resolves when it has been shut down; to `false` where sessions had to be cut. Never rejects. */
  readonly finished: Promise<boolean>;

  readonly #options: Settings;
  readonly #listener: Deno.TcpListener;
  readonly #pool: Pool<Worker>;
  readonly #sessions = new Map<Session, Promise<void>>();
  /** Every child that has not been reaped, with or without a client. */
  readonly #workers = new Set<Worker>();
  readonly #finish = Promise.withResolvers<boolean>();
  #freed = Promise.withResolvers<void>();
  #accepting: Promise<void> | undefined;
  #closing = false;
  #accepted = 0;
  #served = 0;
  #failed = 0;

  private constructor(options: Settings, listener: Deno.TcpListener) {
    this.#options = options;
    this.#listener = listener;
    this.addr = listener.addr;
    this.finished = this.#finish.promise;
    this.#pool = new Pool({
      size: options.warm,
      spawn: () => this.#spawn(),
      killTimeoutMs: options.killTimeoutMs,
    });
  }

  /**
   * Makes sure that the handler can be started, listens, starts the first warm children, and
   * accepts from then on.
   *
   * @throws {RangeError} An option is outside its range.
   * @throws {HandlerError} The program or module does not exist or cannot be started.
   * @throws {Deno.errors.AddrInUse} The port is taken; and whatever else `Deno.listen` throws.
   */
  static async listen(options: ServerOptions): Promise<Server> {
    const settings = resolveSettings(options);
    const { handler, hostname, port, backlog, warm } = settings;
    await checkHandler(handler);
    const listener = Deno.listen({ hostname, port, tcpBacklog: backlog });
    const server = new Server(settings, listener);
    try {
      server.#pool.start();
    } catch (error) {
      listener.close();
      throw new HandlerError(handler, error instanceof Error ? error.message : String(error));
    }
    log.info("listening", { address: formatAddress(server.addr), handler: handler.name, warm });
    server.#accepting = server.#accept();
    return server;
  }

  /** Its numbers now. */
  status(): ServerStatus {
    return {
      active: this.#sessions.size,
      warm: this.#pool.warm,
      served: this.#served,
      failed: this.#failed,
    };
  }

  /** Replaces the warm children, so that new clients get what the program is by now. */
  refresh(): void {
    this.#pool.refresh();
  }

  /**
   * Stops accepting, lets the sessions go on for up to `drainTimeoutMs`, then stops their children
   * by the ladder. Resolves when no child is left; to `false` where sessions had to be cut.
   */
  shutdown(): Promise<boolean> {
    if (!this.#closing) {
      this.#closing = true;
      this.#listener.close();
      this.#freed.resolve();
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

  async #accept(): Promise<void> {
    while (!this.#closing) {
      if (this.#sessions.size >= this.#options.maxConnections) {
        log.warn("full: accepting goes on when a connection ends", { ...this.status() });
        this.#freed = Promise.withResolvers();
        await this.#freed.promise;
        continue;
      }
      try {
        this.#serve(await this.#listener.accept());
      } catch (error) {
        if (this.#closing) return;
        // The client was gone before it was accepted (seen on 2.9 as NotConnected).
        if (error instanceof Deno.errors.NotConnected) {
          log.debug("gone before it was accepted");
          continue;
        }
        // Out of descriptors, say (EMFILE): the connection stays in the backlog, the error would
        // be the same at once.
        log.warn("cannot accept", { error: String(error) });
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
      }
    }
  }

  #serve(conn: Deno.TcpConn): void {
    const client = new Client(conn);
    const id = ++this.#accepted;
    let taken;
    try {
      taken = this.#pool.take();
    } catch (error) {
      client.close();
      this.#failed++;
      log.warn("cannot start a child: the client is refused", {
        id,
        client: client.name,
        error: String(error),
      });
      return;
    }
    const session = new Session(id, client, taken.worker, taken.warm, this.#options);
    const ended = session.run().finally(() => {
      this.#sessions.delete(session);
      this.#served++;
      this.#freed.resolve();
    });
    this.#sessions.set(session, ended);
  }

  #spawn(): Worker {
    const worker = new Worker(this.#options.handler, this.#options.stderr);
    this.#workers.add(worker);
    worker.exited.then(() => this.#workers.delete(worker));
    return worker;
  }

  async #drain(): Promise<boolean> {
    await this.#accepting; // the last connection may just have come through
    log.info("draining", { active: this.#sessions.size });
    const pool = this.#pool.close();
    const sessions = [...this.#sessions.keys()];
    const ended = Promise.allSettled(this.#sessions.values());
    if (!await settlesWithin(ended, this.#options.drainTimeoutMs)) {
      for (const session of sessions) session.stop("drain-timeout");
    }
    await ended;
    await pool;
    const cut = sessions.filter(({ reason }) => reason === "drain-timeout").length;
    log.info("stopped", { served: this.#served, failed: this.#failed, cut });
    return cut === 0;
  }
}
