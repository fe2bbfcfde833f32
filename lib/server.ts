/**
 * The server: its listeners, what every client goes through from there to its session, and the way
 * all of it ends.
 *
 * It touches little and waits for nobody: whatever a client or a child may do, it does beside all
 * the others, and accepting goes on.
 *
 * @module
 */

import { formatPeer, Networks } from "./address.ts";
import { Admission, type Refusal, type Visit } from "./admission.ts";
import type { Client } from "./client.ts";
import { describeEnds, NOBODY } from "./environment.ts";
import { checkHandler, HandlerError } from "./handler.ts";
import { Listener, ListenError } from "./listener.ts";
import { log } from "./log.ts";
import { Pool } from "./pool.ts";
import { formatProxyHeader } from "./proxy_protocol.ts";
import { Session } from "./session.ts";
import { resolveSettings, type ServerOptions, type Settings } from "./settings.ts";
import { settlesWithin } from "./settles_within.ts";
import { Tls } from "./tls.ts";
import { Worker } from "./worker.ts";

/**
 * Why a client that was accepted was not served: it was refused (see {@linkcode Refusal}), it did not
 * come to the end of a TLS handshake or a PROXY header (`handshake`), or it had gone before its turn
 * came (`left`).
 */
export type RefusalReason = Refusal | "handshake" | "left";

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
}

/** Somebody who was accepted. */
interface Guest {
  readonly id: number;
  readonly visit: Visit;
  /** Another one after a TLS handshake. */
  client: Client;
  /** Whether a word would be understood: not before the handshake there has to be. */
  canListen: boolean;
}

/** Why a client was not served, and for the log what was in the way. */
interface Refused {
  readonly reason: RefusalReason | "failed";
  readonly error?: string;
}

/** So many refused clients may be lingered for at once; the others are just closed. */
const MOST_DISMISSALS = 100;

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
  readonly #proxies: Networks;
  readonly #tls: Tls | undefined;
  readonly #admission: Admission;
  readonly #pool: Pool<Worker>;
  readonly #refusal: Uint8Array<ArrayBuffer>;
  /** Everybody who was accepted and has not gone. */
  readonly #visits = new Set<Promise<void>>();
  /** For each of them who has yet to say who it is, what cuts it off, with a reason. */
  readonly #handshakes = new Set<(why: string) => void>();
  readonly #sessions = new Set<Session>();
  /** Every child that has not been reaped, with or without a client. */
  readonly #workers = new Set<Worker>();
  readonly #finish = Promise.withResolvers<boolean>();
  #accepting: Promise<unknown> = Promise.resolve();
  #closing = false;
  #dismissals = 0;
  #accepted = 0;
  #served = 0;
  #failed = 0;
  readonly #refused: Record<RefusalReason, number> = {
    "denied": 0,
    "source-limit": 0,
    "source-rate": 0,
    "busy": 0,
    "handshake": 0,
    "left": 0,
  };

  private constructor(
    options: Settings,
    listeners: readonly Listener[],
    rules: Rules,
    tls: Tls | undefined,
  ) {
    this.#options = options;
    this.#listeners = listeners;
    this.#tls = tls;
    this.#proxies = rules.acceptProxy;
    this.#admission = new Admission({ ...options, ...rules });
    this.#refusal = new TextEncoder().encode(options.refusal);
    this.addr = listeners[0]!.addr as Deno.NetAddr;
    this.finished = this.#finish.promise;
    this.#pool = new Pool({
      size: options.warm,
      spawn: () => this.#spawn(NOBODY),
      killTimeoutMs: options.killTimeoutMs,
    });
  }

  /**
   * Makes sure that the handler can be started, listens, starts the first warm children, and
   * accepts from then on.
   *
   * @throws {RangeError} An option is outside its range.
   * @throws {HandlerError} The program or module does not exist or cannot be started.
   * @throws {ListenError} An address cannot be listened on, or the TLS files are not good.
   */
  static async listen(options: ServerOptions): Promise<Server> {
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
      const server = new Server(settings, listeners, rules, tls);
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
    return {
      accepted: this.#accepted,
      active: this.#sessions.size,
      waiting: this.#admission.waiting,
      served: this.#served,
      failed: this.#failed,
      refused: { ...this.#refused },
      warm: this.#pool.warm,
    };
  }

  /**
   * Replaces the warm children, so that new clients get what the program is by now, and reads the
   * TLS files again.
   */
  refresh(): void {
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
      this.#admission.close();
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
      if (this.#admission.isFull) {
        const { active, waiting } = this.status();
        log.warn("full: accepting goes on when somebody leaves", { active, waiting });
        await this.#admission.room();
      }
      const client = await listener.accept();
      if (client === undefined) return;
      const visit = this.#receive(client).finally(() => this.#visits.delete(visit));
      this.#visits.add(visit);
    }
  }

  /** All that happens to a client, from its arrival to the end of its connection. */
  async #receive(client: Client): Promise<void> {
    const guest = {
      id: ++this.#accepted,
      visit: this.#admission.arrive(),
      client,
      canListen: this.#tls === undefined || client.address === undefined,
    };
    let refused: Refused | undefined;
    try {
      refused = await this.#welcome(guest);
    } finally {
      this.#admission.leave(guest.visit);
    }
    if (refused) await this.#refuse(guest, refused);
  }

  /** Lets somebody in and serves them, or says why not. */
  async #welcome(guest: Guest): Promise<Refused | undefined> {
    const { client, visit } = guest;
    if (this.#proxies.has(client.address ?? "")) {
      // A proxy that only looks whether somebody listens has nothing to say.
      const left = client.hasLeft();
      const reading = left.then((left) => left ? undefined : client.readProxyHeader());
      const error = await this.#handshake(client, reading);
      if (error !== undefined) return { reason: "handshake", error };
      if (await left) return { reason: "left" };
    }
    const reason = this.#admission.admit(visit, client.address);
    if (reason) return { reason };
    if (!guest.canListen) {
      const shaking = this.#tls!.shake(client).then((shaken) => {
        guest.client = shaken;
        guest.canListen = true;
      });
      const error = await this.#handshake(client, shaking);
      if (error !== undefined) return { reason: "handshake", error };
    }
    const slot = this.#admission.slot(visit);
    if (slot !== true) {
      const reason = await this.#wait(guest, slot);
      if (reason) return { reason };
    }
    return await this.#serve(guest);
  }

  /** Bounds a handshake in time; gives what went wrong, if anything did. */
  async #handshake(client: Client, handshake: Promise<unknown>): Promise<string | undefined> {
    let error: string | undefined;
    const cut = (why: string) => {
      error = why;
      client.close();
    };
    const timer = setTimeout(cut, this.#options.handshakeTimeoutMs, "it took too long");
    this.#handshakes.add(cut);
    await handshake.catch((reason) => error ??= messageOf(reason));
    this.#handshakes.delete(cut);
    clearTimeout(timer);
    return error;
  }

  /** Waits for a slot; gives the reason if it comes to none. */
  async #wait(
    { id, client, visit }: Guest,
    slot: false | Promise<boolean>,
  ): Promise<"busy" | "left" | undefined> {
    if (slot === false) return "busy";
    log.info("waiting", { id, client: client.name });
    let hasLeft = false;
    client.hasLeft().then((left) => {
      if (!left || visit.step !== "waiting") return;
      hasLeft = true;
      this.#admission.leave(visit);
    });
    if (!await slot) return hasLeft ? "left" : "busy";
  }

  async #serve({ id, client }: Guest): Promise<Refused | undefined> {
    const { sendProxy } = this.#options;
    let taken;
    try {
      taken = this.#pool.take(() => this.#spawn(describeEnds(client.ends)));
    } catch (error) {
      return { reason: "failed", error: String(error) };
    }
    const session = new Session({
      ...taken,
      id,
      client,
      timeouts: this.#options,
      preamble: sendProxy === 0 ? undefined : formatProxyHeader(sendProxy, client.ends),
    });
    this.#sessions.add(session);
    await session.run();
    this.#sessions.delete(session);
    this.#served++;
  }

  async #refuse({ id, client, canListen }: Guest, { reason, error }: Refused): Promise<void> {
    const facts = { id, client: client.name, error };
    if (reason === "failed") {
      this.#failed++;
      log.warn("cannot start a child: the client is refused", facts);
    } else {
      this.#refused[reason]++;
      if (reason === "left") log.debug("left", facts);
      else log.warn("refused", { ...facts, reason });
    }
    const isGone = reason === "left" || reason === "handshake";
    if (isGone || !canListen || this.#dismissals >= MOST_DISMISSALS) return client.close();
    this.#dismissals++;
    await client.dismiss(this.#refusal);
    this.#dismissals--;
  }

  #spawn(env: Readonly<Record<string, string>>): Worker {
    const { handler, stderr } = this.#options;
    const worker = new Worker(handler, { stderr, env, ...identityOf(this.#options) });
    this.#workers.add(worker);
    worker.exited.then(() => this.#workers.delete(worker));
    return worker;
  }

  async #drain(): Promise<boolean> {
    await this.#accepting; // what the kernel had already completed comes in
    log.info("draining", { active: this.#sessions.size, waiting: this.#admission.waiting });
    const pool = this.#pool.close();
    const ended = Promise.allSettled(this.#visits);
    let cut = 0;
    if (!await settlesWithin(ended, this.#options.drainTimeoutMs)) {
      const open = [...this.#sessions].filter(({ reason }) => reason === undefined);
      cut = open.length + this.#admission.waiting + this.#handshakes.size;
      this.#admission.clear();
      for (const cutOff of this.#handshakes) cutOff("the server is shutting down");
      for (const session of open) session.stop("drain-timeout");
    }
    await ended;
    await pool;
    this.#tls?.close();
    const { accepted, served, failed, refused } = this.status();
    log.info("stopped", { accepted, served, failed, ...happened(refused), cut });
    return cut === 0;
  }
}

function openTls({ hostname, port, cert, key }: Settings): Tls | undefined {
  if (cert === undefined || key === undefined) return undefined;
  try {
    return new Tls({ cert, key });
  } catch (error) {
    throw new ListenError(formatPeer({ hostname, port }), messageOf(error));
  }
}

/** The rules of a server, ready to be asked. */
interface Rules {
  readonly acceptProxy: Networks;
  readonly allow: Networks;
  readonly deny: Networks;
}

/** Without what never happened: most of it never does, and a line should be short. */
export function happened(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

/** Who the children are to be, as far as that is said. */
function identityOf({ uid, gid }: Settings): { uid?: number; gid?: number } {
  return { ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
