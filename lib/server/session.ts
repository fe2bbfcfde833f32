/**
 * The session: one connection and the worker that serves it, from the first byte to the record in
 * the log.
 *
 * It joins the two by two pumps and decides when the connection is over. However that comes about,
 * the same steps follow in the same order: the stop ladder for the child, a short linger for the
 * client, both closed, one record. That holds whatever the client or the child does.
 *
 * @module
 */

import { type Connection, type Ending, LINGER_MS, ProtocolError } from "../net/connection.ts";
import type { Logger } from "../base/log.ts";
import type { Observer } from "../base/observer.ts";
import { discard, type Endpoint, Flow, pump } from "../base/relay.ts";
import { settlesWithin } from "../base/settles_within.ts";
import { Handover } from "../child/handover.ts";
import type { Exit, Worker } from "../child/worker.ts";
import {
  deadlineOf,
  lastActivityMs,
  type SessionProgress,
  type SessionTimeouts,
} from "./deadline.ts";
import type { EndReason } from "./end_reason.ts";
import type { ConnectionStatus } from "./server_status.ts";

/**
 * How many bytes of a client are still read and dropped after its child's last output. It is more
 * than the kernel holds on both sides of a connection, and less than a client can make work of.
 */
const MAX_LINGER_BYTES = 16 * 1024 * 1024;

/** How long the child may refuse input until the client is probed, in milliseconds. */
const PROBE_AFTER_MS = 1_000;

/** What a session is made of. */
export interface SessionOptions {
  /** Its number in the log. */
  readonly id: number;
  readonly client: Connection;
  readonly worker: Worker;
  /** Whether the worker was started before its client connected. */
  readonly warm: boolean;
  /** Gives another worker, for a warm one that was dead when it was handed over. */
  readonly replace: () => Worker;
  /** What the child reads before the client's bytes. */
  readonly preamble?: Uint8Array<ArrayBuffer> | undefined;
  /** What the client is sent before the child's output. */
  readonly banner?: Uint8Array<ArrayBuffer> | undefined;
  readonly timeouts: SessionTimeouts;
  /** When the client could be served, see {@linkcode AcceptedConnection.readyAtMs}. */
  readonly readyAtMs: number;
  readonly log: Logger;
  readonly observer: Observer;
}

/** One client and the child that serves it. */
export class Session {
  /** Client to child. */
  readonly inbound: Flow = new Flow();
  /** Child to client. */
  readonly outbound: Flow = new Flow();

  readonly #options: SessionOptions;
  readonly #decided = Promise.withResolvers<void>();
  #worker: Worker;
  #reason: EndReason | undefined;
  /** Which rule its client has broken, if it has. */
  #protocolError: string | undefined;
  /** Whether its child has had time to end by itself. */
  #hasHadGrace = false;
  #inputEnded = false;
  /** Whether the child takes no more input, or has exited. */
  #inputClosed = false;
  /** Why the connection ends once its input does, after the child has ended its output. */
  #outputEnd: EndReason | undefined;
  readonly #startedAtMs = performance.now();
  /** Since when the eof timeout applies, if it does yet. */
  #silentSinceMs: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#worker = this.#attach(options.worker);
    this.outbound.onFirst = () => options.observer.answered(this.#answerMs / 1000);
  }

  get #progress(): SessionProgress {
    const { inbound, outbound } = this;
    return {
      startedAtMs: this.#startedAtMs,
      silentSinceMs: this.#silentSinceMs,
      inbound,
      outbound,
    };
  }

  /** How long the client has waited so far, without the time for which its child waited for it. */
  get #answerMs(): number {
    const silentMs = Math.max(0, this.inbound.firstReadAtMs - this.#startedAtMs);
    return performance.now() - this.#options.readyAtMs - silentMs;
  }

  /** Why the connection ended, once that is decided. */
  get reason(): EndReason | undefined {
    return this.#reason;
  }

  /** Its facts and numbers now. */
  status(): ConnectionStatus {
    const { id, client, warm } = this.#options;
    const now = performance.now();
    return {
      id,
      client: client.name,
      pid: this.#worker.pid,
      start: warm ? "warm" : "cold",
      seconds: (now - this.#startedAtMs) / 1000,
      idleSeconds: (now - lastActivityMs(this.#progress)) / 1000,
      bytesIn: this.inbound.bytes,
      bytesOut: this.outbound.bytes,
    };
  }

  /** Ends the session; the first reason counts. */
  stop(reason: EndReason): void {
    this.#reason ??= reason;
    this.#decided.resolve();
  }

  /** How its child ended; `null` while it runs. */
  get exit(): Exit | null {
    return this.#worker.exit;
  }

  /** How its child ended, where nobody stopped it and its client did not leave. */
  get childExit(): number | string | undefined {
    const { exit, wasStopped } = this.#worker;
    if (exit === null || wasStopped || this.#hasLeft || !this.#reason?.endsWith("-closed")) {
      return undefined;
    }
    return exit.signal ?? exit.code;
  }

  /** Whether it is known that its client takes nothing more. */
  get #hasLeft(): boolean {
    const { client } = this.#options;
    return this.#reason === "client-reset" ||
      this.#reason === "client-closed" && !client.hasHalfClose;
  }

  /** What its client is told of the end. */
  get #ending(): Ending {
    const { childExit } = this;
    return { reason: this.#reason!, hasFailed: childExit !== undefined && childExit !== 0 };
  }

  /** Whether the server cut it, or Ctrl-C did, which reaches children that have no group. */
  get wasCut(): boolean {
    const { exit, wasStopped, hasGroup } = this.#worker;
    return this.#reason === "drain-timeout" || this.#reason === "killed" ||
      exit?.signal === "SIGINT" && !wasStopped && !hasGroup;
  }

  /**
   * Checks whether the client is still there, if nothing else would show it: while the child takes no
   * input, the client is not read, and a child that says nothing does not write to it either.
   */
  probe(): void {
    const { inbound, outbound } = this;
    if (!inbound.writing || outbound.writing || this.#reason !== undefined) return;
    // After a half-close, a probe fails on any connection.
    if (this.#outputEnd !== undefined && this.#options.client.hasHalfClose) return;
    if (performance.now() - inbound.readAtMs < PROBE_AFTER_MS) return;
    this.#options.client.probe().catch((error) => this.#clientFailed(error));
  }

  /** Serves the client. Resolves when the child has been reaped and the socket and pipes are closed. */
  async run(): Promise<void> {
    const { id, client, warm, log, observer, timeouts: { killTimeoutMs } } = this.#options;
    const child = warm ? new Handover(this.#worker, (dead) => this.#replace(dead)) : this.#worker;

    const input = this.#relayInput(child);
    const output = this.#relayOutput(child);
    if (!client.hasHalfClose) client.ended.then((error) => this.#clientEnded(error, input));
    log.info("open", {
      id,
      client: client.name,
      pid: this.#worker.pid,
      start: warm ? "warm" : "cold",
      subject: client.facts.tls?.client?.text,
    });
    this.#checkDeadline();

    await this.#decided.promise;
    const worker = this.#worker;
    if (this.#reason === "client-reset" || this.#reason === "killed") client.close();
    if (this.#hasLeft || this.#reason === "killed") worker.cancel();
    await worker.stop(
      killTimeoutMs,
      this.#hasHadGrace || this.#reason === "eof-timeout" ? 0 : killTimeoutMs,
    );
    const told = output.then(() => client.end(this.#ending));
    await settlesWithin(Promise.all([input, told]), LINGER_MS);
    clearTimeout(this.#timer);
    client.close();
    worker.release();

    const { code, signal } = await worker.exited;
    const seconds = (performance.now() - this.#startedAtMs) / 1000;
    observer.ended(seconds);
    log.info("end", {
      id,
      client: client.name,
      pid: worker.pid,
      in: this.inbound.bytes,
      out: this.outbound.bytes,
      seconds: Number(seconds.toFixed(3)),
      exit: signal ?? code,
      reason: this.#reason,
      error: this.#protocolError,
      ...(this.inbound.dropped > 0 && { dropped: this.inbound.dropped }),
    });
  }

  /** Takes over a worker that was started for this connection or is handed to it. */
  #attach(worker: Worker): Worker {
    worker.connectionId = this.#options.id;
    worker.exited.then(() => {
      if (worker !== this.#worker) return;
      this.#limitSilence();
      this.#inputClosed = true;
      this.#checkEnd();
      if (this.#reason === undefined && !worker.hasEnded) {
        worker.stopRemains(this.#options.timeouts.killTimeoutMs);
      }
    });
    return worker;
  }

  /** Another worker in place of a warm one that was dead when it was handed over, if there is one. */
  #replace(dead: Worker): Worker | undefined {
    const { id, log, replace } = this.#options;
    if (this.#reason !== undefined) return undefined;
    try {
      this.#worker = this.#attach(replace());
    } catch (error) {
      log.warn("a warm child was dead, and cannot be replaced", { id, error: String(error) });
      return undefined;
    }
    dead.stop(this.#options.timeouts.killTimeoutMs).then(() => dead.release());
    log.warn("a warm child was dead: replaced", { id, dead: dead.pid, pid: this.#worker.pid });
    return this.#worker;
  }

  /** Client to child. Input that the child no longer takes is still read, and dropped. */
  async #relayInput(child: Endpoint): Promise<void> {
    const { client, preamble } = this.#options;
    const flow = this.inbound;
    if (preamble) await child.write(preamble).catch(() => {}); // the pump will fail too
    let end = await pump(client, child, flow);
    if (end === "sink-failed") {
      this.#inputClosed = true;
      this.#checkEnd();
      let left = MAX_LINGER_BYTES;
      end = await discard(client, (bytes) => {
        flow.dropped += bytes;
        return this.#outputEnd !== undefined && (left -= bytes) < 0;
      });
      if (end === "sink-failed") return;
    }
    if (end === "source-failed") return this.#clientFailed(flow.error);
    this.#inputEnded = true;
    this.#limitSilence();
    this.#checkEnd();
  }

  /** Child to client. */
  async #relayOutput(child: Endpoint): Promise<void> {
    const { client, banner } = this.#options;
    if (banner) await client.write(banner).catch(() => {}); // the pump will fail too
    const end = await pump(child, client, this.outbound);
    this.#outputEnd = this.#inputEnded ? "client-closed" : "child-closed";
    if (end === "sink-failed") return this.#clientFailed(this.outbound.error);
    this.#checkEnd();
  }

  /** Ends the session when neither direction goes on: a child without output may still take input. */
  #checkEnd(): void {
    if (this.#outputEnd === undefined) return;
    if (this.#inputEnded || this.#inputClosed) this.stop(this.#outputEnd);
  }

  /**
   * The client has ended both directions, so it takes no more. What has come of it is still for its
   * child, which may be slow to take it.
   */
  async #clientEnded(error: ProtocolError | undefined, input: Promise<void>): Promise<void> {
    this.#protocolError = error?.message;
    this.#reason ??= error ? "protocol-error" : "client-closed";
    this.#worker.cancel();
    this.#hasHadGrace = !await settlesWithin(input, this.#options.timeouts.killTimeoutMs);
    this.stop(this.#reason);
  }

  /** The client has gone; the error goes to the log at debug level. */
  #clientFailed(error: unknown): void {
    const { id, log } = this.#options;
    if (this.#reason === undefined) log.debug("lost", { id, error: String(error) });
    this.stop(error instanceof ProtocolError ? "protocol-error" : "client-reset");
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
    const now = performance.now();
    const deadline = deadlineOf(this.#progress, this.#options.timeouts, now);
    if (deadline === undefined) return;
    const leftMs = deadline.atMs - now;
    if (leftMs <= 0) this.stop(deadline.reason);
    else this.#timer = setTimeout(() => this.#checkDeadline(), Math.ceil(leftMs));
  }
}
