/**
 * The session: one connection and the worker that serves it, from the first byte to the record in
 * the log.
 *
 * It joins the two by two pumps and decides when the connection is over. However that comes about,
 * the same steps follow in the same order: the stop ladder for the child, a short linger for the
 * client, both closed, one record. No behaviour of a client or a child is an exception here.
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
 * - `eof-timeout`: the input had ended, or the child had exited, and no output came in time;
 * - `idle-timeout`: no byte moved in time;
 * - `session-timeout`: it had lasted as long as it may;
 * - `drain-timeout`: the server was shutting down, and the connection had not ended in time.
 */
export type EndReason =
  | "client-closed"
  | "child-closed"
  | "client-reset"
  | "eof-timeout"
  | "idle-timeout"
  | "session-timeout"
  | "drain-timeout";

/** The time limits of a session, in milliseconds. */
export interface SessionTimeouts {
  /** How long a child may be silent after its client's input has ended; 0 is no limit. */
  readonly eofTimeoutMs: number;
  /** How long the session may go without a byte read or written; 0 is no limit. */
  readonly idleTimeoutMs: number;
  /** How long the session may last; 0 is no limit. */
  readonly sessionTimeoutMs: number;
  /** How long each step of the stop ladder waits. */
  readonly killTimeoutMs: number;
}

/** What a session is made of. */
export interface SessionOptions {
  /** Its number in the log. */
  readonly id: number;
  readonly client: Connection;
  readonly worker: Worker;
  /** Whether the worker was started before its client connected. */
  readonly warm: boolean;
  /** What the child reads before the client's bytes. */
  readonly preamble?: Uint8Array<ArrayBuffer> | undefined;
  readonly timeouts: SessionTimeouts;
  /** When the client was accepted, on the clock of `performance.now()`, in milliseconds. */
  readonly acceptedAtMs: number;
  readonly observer: Observer;
}

/** One connection that is being served, at one moment. */
export interface ConnectionStatus {
  /** Its number in the log. */
  readonly id: number;
  /** The client's address, `ip:port`, or `unix`. */
  readonly client: string;
  /** The child's process id. */
  readonly pid: number;
  /** Whether the child was started before the client connected. */
  readonly start: "warm" | "cold";
  /** How long it has been served. */
  readonly seconds: number;
  /** How long ago the last byte moved, in either direction. */
  readonly idleSeconds: number;
  /** Bytes that the child has taken. */
  readonly bytesIn: number;
  /** Bytes that the client has taken. */
  readonly bytesOut: number;
}

/** One client and the child that serves it. */
export class Session {
  /** Client to child. */
  readonly inbound: Flow = new Flow();
  /** Child to client. */
  readonly outbound: Flow = new Flow();

  readonly #options: SessionOptions;
  readonly #over = Promise.withResolvers<void>();
  #reason: EndReason | undefined;
  #inputEnded = false;
  readonly #startedAtMs = performance.now();
  /** Since when the eof timeout applies, if it does yet. */
  #silentSinceMs: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    options.worker.connectionId = options.id;
    const { acceptedAtMs, observer } = options;
    this.outbound.onFirst = () => observer.answered((performance.now() - acceptedAtMs) / 1000);
  }

  /** Why the connection ended, once that is decided. */
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
      idleSeconds: (now - this.#lastActivityMs) / 1000,
      bytesIn: this.inbound.bytes,
      bytesOut: this.outbound.bytes,
    };
  }

  /** Ends the session; the first reason counts. */
  stop(reason: EndReason): void {
    this.#reason ??= reason;
    this.#over.resolve();
  }

  /** Serves the client. Resolves when the child has been reaped and the socket and pipes are closed. */
  async run(): Promise<void> {
    const { id, client, worker, warm, observer, timeouts: { killTimeoutMs } } = this.#options;
    const facts = { id, client: client.name, pid: worker.pid };

    const input = this.#carryInput();
    const output = this.#carryOutput();
    log.info("open", { ...facts, start: warm ? "warm" : "cold" });
    worker.exited.then(() => this.#limitSilence());
    this.#checkDeadline();

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

  /** Client to child. Input that the child no longer takes is still read, and dropped. */
  async #carryInput(): Promise<void> {
    const { client, worker, preamble } = this.#options;
    if (preamble) await worker.write(preamble).catch(() => {}); // the pump will fail too
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

  /** The client has gone; the error goes to the log at debug level. */
  #clientFailed(error: unknown): void {
    const { id } = this.#options;
    if (this.#reason === undefined) log.debug("lost", { id, error: String(error) });
    this.stop("client-reset");
  }

  /** From now on the eof timeout applies: the input has ended, or the child has exited. */
  #limitSilence(): void {
    if (this.#silentSinceMs !== undefined) return;
    this.#silentSinceMs = performance.now();
    this.#checkDeadline();
  }

  /**
   * Ends the session at its deadline. One timer serves all the timeouts: when it fires, it looks at
   * what has moved since and is set again, so that a byte costs no timer.
   */
  #checkDeadline(): void {
    clearTimeout(this.#timer);
    const deadline = this.#deadline();
    if (deadline === undefined) return;
    const leftMs = deadline.atMs - performance.now();
    if (leftMs <= 0) this.stop(deadline.reason);
    else this.#timer = setTimeout(() => this.#checkDeadline(), Math.ceil(leftMs));
  }

  /** When a byte was last read or written, on either side. */
  get #lastActivityMs(): number {
    const { inbound, outbound } = this;
    const flows = [inbound.readAtMs, inbound.writtenAtMs, outbound.readAtMs, outbound.writtenAtMs];
    return Math.max(this.#startedAtMs, ...flows);
  }

  /** When and why the session ends if nothing moves any more. */
  #deadline(): { atMs: number; reason: EndReason } | undefined {
    const { eofTimeoutMs, idleTimeoutMs, sessionTimeoutMs } = this.#options.timeouts;
    const { outbound } = this;
    let first: { atMs: number; reason: EndReason } | undefined;
    const consider = (reason: EndReason, limitMs: number, ...sinceMs: number[]) => {
      const atMs = Math.max(...sinceMs) + limitMs;
      if (limitMs > 0 && atMs < (first?.atMs ?? Infinity)) first = { atMs, reason };
    };
    consider("session-timeout", sessionTimeoutMs, this.#startedAtMs);
    consider("idle-timeout", idleTimeoutMs, this.#lastActivityMs);
    if (this.#silentSinceMs !== undefined) {
      // While output waits for a slow client, the child is not silent.
      const outputAtMs = outbound.writing ? performance.now() : outbound.readAtMs;
      consider("eof-timeout", eofTimeoutMs, this.#silentSinceMs, outputAtMs);
    }
    return first;
  }
}
