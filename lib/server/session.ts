/**
 * The session: one connection, from the worker it was given to its closing record.
 *
 * It joins a client and a worker by two pumps and decides when that is over. However it ends, the
 * same steps follow in the same order: the stop ladder for the child, a short linger for the
 * client, both closed, one record. Nothing a client or a child does is an exception here.
 *
 * @module
 */

import { type Connection, LINGER_MS } from "../net/connection.ts";
import { log } from "../base/log.ts";
import type { Observer } from "../base/observer.ts";
import { discard, Flow, pump } from "../base/relay.ts";
import { settlesWithin } from "../base/settles_within.ts";
import type { Worker } from "../child/worker.ts";

/**
 * Why a connection ended:
 *
 * - `client-closed`: the client ended its input, then the child its output;
 * - `child-closed`: the child exited or ended its output first;
 * - `client-reset`: the client reset the connection or vanished;
 * - `eof-timeout`: the input had ended, or the child had exited, and no output came for too long;
 * - `idle-timeout`: no byte moved for too long;
 * - `session-timeout`: it had taken as long as it may;
 * - `drain-timeout`: the server was shutting down and waited no longer.
 */
export type EndReason =
  | "client-closed"
  | "child-closed"
  | "client-reset"
  | "eof-timeout"
  | "idle-timeout"
  | "session-timeout"
  | "drain-timeout";

/** The durations a session goes by, in milliseconds. */
export interface SessionTimeouts {
  /** How long a child may be silent after its client's input has ended; 0 is no limit. */
  readonly eofTimeoutMs: number;
  /** How long neither client nor child may give or take a byte; 0 is no limit. */
  readonly idleTimeoutMs: number;
  /** How long it may take in all; 0 is no limit. */
  readonly sessionTimeoutMs: number;
  /** How long a child gets at each rung of the stop ladder. */
  readonly killTimeoutMs: number;
}

/** Who and what a session brings together. */
export interface SessionOptions {
  /** Its number in the log. */
  readonly id: number;
  readonly client: Connection;
  readonly worker: Worker;
  /** Whether the worker had been started before its client came. */
  readonly warm: boolean;
  /** What the child reads before the client's bytes. */
  readonly preamble?: Uint8Array<ArrayBuffer> | undefined;
  readonly timeouts: SessionTimeouts;
  /** When the client was accepted, on the clock of `performance.now()`, in milliseconds. */
  readonly acceptedAtMs: number;
  readonly observer: Observer;
}

/** A connection that is being served, at one moment. */
export interface ConnectionStatus {
  /** Its number in the log. */
  readonly id: number;
  /** Its client, `ip:port`, or `unix`. */
  readonly client: string;
  /** Its child's process id. */
  readonly pid: number;
  /** Whether its child had been started before it came. */
  readonly start: "warm" | "cold";
  /** How long it has been served. */
  readonly seconds: number;
  /** How long no byte has moved either way. */
  readonly idleSeconds: number;
  /** Bytes that its child has taken. */
  readonly bytesIn: number;
  /** Bytes that its client has taken. */
  readonly bytesOut: number;
}

/** One client and the child that serves it. */
export class Session {
  /** What the child has been given of what the client said. */
  readonly inbound: Flow = new Flow();
  /** What the client has been given. */
  readonly outbound: Flow = new Flow();

  readonly #options: SessionOptions;
  readonly #over = Promise.withResolvers<void>();
  #reason: EndReason | undefined;
  #inputEnded = false;
  readonly #startedAtMs = performance.now();
  /** Since when the child has to say something now and then, if it has. */
  #heardFromMs: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    options.worker.connection = options.id;
    const { acceptedAtMs, observer } = options;
    this.outbound.onFirst = () => observer.answered((performance.now() - acceptedAtMs) / 1000);
  }

  /** Why it ended, once that is decided. */
  get reason(): EndReason | undefined {
    return this.#reason;
  }

  /** Its facts and numbers now. */
  status(): ConnectionStatus {
    const { id, client, worker, warm } = this.#options;
    const now = performance.now();
    return {
      id,
      client: client.name,
      pid: worker.pid,
      start: warm ? "warm" : "cold",
      seconds: (now - this.#startedAtMs) / 1000,
      idleSeconds: (now - this.#movedAtMs) / 1000,
      bytesIn: this.inbound.bytes,
      bytesOut: this.outbound.bytes,
    };
  }

  /** Ends it; the first reason counts. */
  stop(reason: EndReason): void {
    this.#reason ??= reason;
    this.#over.resolve();
  }

  /** Serves the client to the end: when this resolves, the child has been reaped and all is closed. */
  async run(): Promise<void> {
    const { id, client, worker, warm, observer, timeouts: { killTimeoutMs } } = this.#options;
    const facts = { id, client: client.name, pid: worker.pid };

    const input = this.#carryInput();
    const output = this.#carryOutput();
    log.info("open", { ...facts, start: warm ? "warm" : "cold" });
    worker.exited.then(() => this.#limitSilence());
    this.#watch();

    await this.#over.promise;
    if (this.#reason === "client-reset") {
      client.close();
      worker.cancel();
    }
    await worker.stop(killTimeoutMs, this.#reason === "eof-timeout" ? 0 : killTimeoutMs);
    await settlesWithin(Promise.all([input, output]), LINGER_MS);
    clearTimeout(this.#timer);
    client.close();
    worker.cancel();

    const { code, signal } = await worker.exited;
    const seconds = (performance.now() - this.#startedAtMs) / 1000;
    observer.ended(seconds);
    log.info("end", {
      ...facts,
      in: this.inbound.bytes,
      out: this.outbound.bytes,
      seconds: Number(seconds.toFixed(3)),
      exit: signal ?? code,
      reason: this.#reason,
    });
  }

  /** Client to child. What a child no longer wants is read all the same, and dropped. */
  async #carryInput(): Promise<void> {
    const { client, worker, preamble } = this.#options;
    if (preamble) await worker.write(preamble).catch(() => {}); // the pump will find out
    let end = await pump(client, worker, this.inbound);
    if (end === "sink-failed") end = await discard(client);
    if (end === "source-failed") return this.#clientFailed(this.inbound.error);
    this.#inputEnded = true;
    this.#limitSilence();
  }

  /** Child to client. */
  async #carryOutput(): Promise<void> {
    const { client, worker } = this.#options;
    const end = await pump(worker, client, this.outbound);
    if (end === "sink-failed") return this.#clientFailed(this.outbound.error);
    this.stop(this.#inputEnded ? "client-closed" : "child-closed");
  }

  /** The client is gone; how that showed is for whoever debugs. */
  #clientFailed(error: unknown): void {
    const { id } = this.#options;
    if (this.#reason === undefined) log.debug("lost", { id, error: String(error) });
    this.stop("client-reset");
  }

  /** From now on the child has to say something now and then. */
  #limitSilence(): void {
    if (this.#heardFromMs !== undefined) return;
    this.#heardFromMs = performance.now();
    this.#watch();
  }

  /**
   * Ends the session when it is due. One timer sees to all the timeouts: it looks at what has moved
   * meanwhile and sleeps again for the rest, so that a byte costs nothing.
   */
  #watch(): void {
    clearTimeout(this.#timer);
    const due = this.#due();
    if (due === undefined) return;
    const leftMs = due.atMs - performance.now();
    if (leftMs <= 0) this.stop(due.reason);
    else this.#timer = setTimeout(() => this.#watch(), Math.ceil(leftMs));
  }

  /** When a byte last moved, if only to or from this server. */
  get #movedAtMs(): number {
    const { inbound, outbound } = this;
    const flows = [inbound.readAtMs, inbound.writtenAtMs, outbound.readAtMs, outbound.writtenAtMs];
    return Math.max(this.#startedAtMs, ...flows);
  }

  /** When and why it ends if nothing moves any more. */
  #due(): { atMs: number; reason: EndReason } | undefined {
    const { eofTimeoutMs, idleTimeoutMs, sessionTimeoutMs } = this.#options.timeouts;
    const { outbound } = this;
    let first: { atMs: number; reason: EndReason } | undefined;
    const consider = (reason: EndReason, limitMs: number, ...sinceMs: number[]) => {
      const atMs = Math.max(...sinceMs) + limitMs;
      if (limitMs > 0 && atMs < (first?.atMs ?? Infinity)) first = { atMs, reason };
    };
    consider("session-timeout", sessionTimeoutMs, this.#startedAtMs);
    consider("idle-timeout", idleTimeoutMs, this.#movedAtMs);
    if (this.#heardFromMs !== undefined) {
      // While output waits for a slow client, the child is not silent.
      const heardAtMs = outbound.writing ? performance.now() : outbound.readAtMs;
      consider("eof-timeout", eofTimeoutMs, this.#heardFromMs, heardAtMs);
    }
    return first;
  }
}
