/**
 * The session: one connection, from the worker it was given to its closing record.
 *
 * It joins a client and a worker by two pumps and decides when that is over. However it ends, the
 * same steps follow in the same order: the stop ladder for the child, a short linger for the
 * client, both closed, one record. Nothing a client or a child does is an exception here.
 *
 * @module
 */

import type { Client } from "./client.ts";
import { log } from "./log.ts";
import { discard, Flow, pump } from "./relay.ts";
import { settlesWithin } from "./settles_within.ts";
import type { Worker } from "./worker.ts";

/**
 * Why a connection ended:
 *
 * - `client-closed`: the client ended its input, then the child its output;
 * - `child-closed`: the child exited or ended its output first;
 * - `client-reset`: the client reset the connection or vanished;
 * - `eof-timeout`: the input had ended, or the child had exited, and no output came for too long;
 * - `drain-timeout`: the server was shutting down and waited no longer.
 */
export type EndReason =
  | "client-closed"
  | "child-closed"
  | "client-reset"
  | "eof-timeout"
  | "drain-timeout";

/** The durations a session goes by, in milliseconds. */
export interface SessionTimeouts {
  /** How long a child may be silent after its client's input has ended; 0 is no limit. */
  readonly eofTimeoutMs: number;
  /** How long a child gets at each rung of the stop ladder. */
  readonly killTimeoutMs: number;
}

/**
 * How long a client's bytes are still read after its last output, and how long output may still
 * take to leave after its child was stopped. A socket closed with bytes unread is reset, and a
 * reset destroys output that the client has not read yet (RFC 1122, section 4.2.2.13).
 */
const LINGER_MS = 2_000;

/** One client and the child that serves it. */
export class Session {
  /** Its number in the log, counting from 1. */
  readonly id: number;
  /** What the child has been given. */
  readonly inbound: Flow = new Flow();
  /** What the client has been given. */
  readonly outbound: Flow = new Flow();

  readonly #client: Client;
  readonly #worker: Worker;
  readonly #start: "warm" | "cold";
  readonly #timeouts: SessionTimeouts;
  readonly #over = Promise.withResolvers<void>();
  #reason: EndReason | undefined;
  #inputEnded = false;
  #silence: ReturnType<typeof setTimeout> | undefined;

  /** @param warm Whether the worker had been started before its client came. */
  constructor(
    id: number,
    client: Client,
    worker: Worker,
    warm: boolean,
    timeouts: SessionTimeouts,
  ) {
    this.id = id;
    this.#client = client;
    this.#worker = worker;
    this.#start = warm ? "warm" : "cold";
    this.#timeouts = timeouts;
    worker.connection = id;
  }

  /** Why it ended, once that is decided. */
  get reason(): EndReason | undefined {
    return this.#reason;
  }

  /** Ends it; the first reason counts. */
  stop(reason: EndReason): void {
    this.#reason ??= reason;
    this.#over.resolve();
  }

  /** Serves the client to the end: when this resolves, the child has been reaped and all is closed. */
  async run(): Promise<void> {
    const startedAtMs = performance.now();
    const [client, worker] = [this.#client, this.#worker];
    const facts = { id: this.id, client: client.name, pid: worker.pid };

    const input = this.#carryInput();
    const output = this.#carryOutput();
    log.info("open", { ...facts, start: this.#start });
    worker.exited.then(() => this.#limitSilence());

    await this.#over.promise;
    if (this.#reason === "client-reset") {
      client.close();
      worker.cancel();
    }
    const { killTimeoutMs } = this.#timeouts;
    await worker.stop(killTimeoutMs, this.#reason === "eof-timeout" ? 0 : killTimeoutMs);
    await settlesWithin(Promise.all([input, output]), LINGER_MS);
    clearTimeout(this.#silence);
    client.close();
    worker.cancel();

    const { code, signal } = await worker.exited;
    log.info("end", {
      ...facts,
      in: this.inbound.bytes,
      out: this.outbound.bytes,
      seconds: Number(((performance.now() - startedAtMs) / 1000).toFixed(3)),
      exit: signal ?? code,
      reason: this.#reason,
    });
  }

  /** Client to child. What a child no longer wants is read all the same, and dropped. */
  async #carryInput(): Promise<void> {
    let end = await pump(this.#client, this.#worker, this.inbound);
    if (end === "sink-failed") end = await discard(this.#client);
    if (end === "source-failed") return this.#lose(this.inbound.error);
    this.#inputEnded = true;
    this.#limitSilence();
  }

  /** Child to client. */
  async #carryOutput(): Promise<void> {
    const end = await pump(this.#worker, this.#client, this.outbound);
    if (end === "sink-failed") return this.#lose(this.outbound.error);
    this.stop(this.#inputEnded ? "client-closed" : "child-closed");
  }

  /** The client is gone; how that showed is for whoever debugs. */
  #lose(error: unknown): void {
    if (this.#reason === undefined) log.debug("lost", { id: this.id, error: String(error) });
    this.stop("client-reset");
  }

  /**
   * From now on a child has to say something now and then. One timer sees to that: it looks when
   * the last output came, and goes to sleep again for the rest. While output waits for a slow
   * client, the child is not silent.
   */
  #limitSilence(): void {
    const { eofTimeoutMs } = this.#timeouts;
    if (this.#silence !== undefined || eofTimeoutMs === 0) return;
    const sinceMs = performance.now();
    const check = () => {
      const now = performance.now();
      const heardAtMs = this.outbound.writing ? now : Math.max(sinceMs, this.outbound.readAtMs);
      const leftMs = heardAtMs + eofTimeoutMs - now;
      if (leftMs <= 0) this.stop("eof-timeout");
      else this.#silence = setTimeout(check, Math.ceil(leftMs));
    };
    check();
  }
}
