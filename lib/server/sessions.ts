/**
 * The sessions of one server: every connection that is being served or waits for the start of its
 * child, and the sums of those that have ended.
 *
 * @module
 */

import type { AcceptedConnection, Refused } from "../admission/intake.ts";
import type { Logger } from "../base/log.ts";
import type { Observer } from "../base/observer.ts";
import type { Children, Taken } from "../child/children.ts";
import type { Exit } from "../child/worker.ts";
import { type Connection, PROBE_INTERVAL_MS } from "../net/connection.ts";
import { formatProxyHeader } from "../net/proxy_protocol.ts";
import type { SessionTimeouts } from "./deadline.ts";
import { Failures } from "./failures.ts";
import { END_REASONS, type EndReason } from "./end_reason.ts";
import type { ConnectionStatus } from "./server_status.ts";
import { Session } from "./session.ts";

/** How sessions go. */
export interface SessionsOptions extends SessionTimeouts {
  /** The version of the PROXY header that children read first; 0 sends none. */
  readonly sendProxy: number;
  /** What a client is sent first. */
  readonly banner: string;
}

/** What {@linkcode Sessions} needs besides. */
export interface SessionsContext {
  readonly children: Children;
  readonly log: Logger;
  readonly observer: Observer;
}

/** The sessions of one server. */
export class Sessions {
  /** How many have ended because they were cut: see {@linkcode Session.wasCut}. */
  cut = 0;
  /** How many have ended, by reason. */
  readonly endReasons: Record<EndReason, number>;
  /** How the child of the last one to end did. */
  lastExit: Exit | undefined;
  readonly #context: SessionsContext;
  #options: SessionsOptions;
  readonly #active = new Set<Session>();
  /** The clients whose children may not start yet. */
  readonly #waiting = new Set<AbortController>();
  readonly #endedBytes = { in: 0, out: 0 };
  readonly #failures: Failures;
  #probing: ReturnType<typeof setInterval> | undefined;

  constructor(options: SessionsOptions, context: SessionsContext) {
    this.#options = options;
    this.#context = context;
    this.#failures = new Failures(context.log);
    const none = END_REASONS.map((reason) => [reason, 0]);
    this.endReasons = Object.fromEntries(none) as Record<EndReason, number>;
  }

  /** Sessions that begin from now on go by these options. */
  update(options: SessionsOptions): void {
    this.#options = options;
  }

  /** How many connections are being served, or wait for the start of their child. */
  get active(): number {
    return this.#active.size + this.#waiting.size;
  }

  /** Whether the children of the latest clients have all failed, and the log has warned of it. */
  get areFailing(): boolean {
    return this.#failures.hasWarned;
  }

  /** The bytes of all sessions so far, to children and to clients. */
  get bytes(): { in: number; out: number } {
    const bytes = { ...this.#endedBytes };
    for (const { inbound, outbound } of this.#active) {
      bytes.in += inbound.bytes;
      bytes.out += outbound.bytes;
    }
    return bytes;
  }

  /** The connections that have a child, oldest first. */
  status(): ConnectionStatus[] {
    return [...this.#active].map((session) => session.status());
  }

  /** Serves a connection to its end; resolves to the reason if it got no child. */
  async serve({ id, client, readyAtMs }: AcceptedConnection): Promise<Refused | undefined> {
    const { children, log, observer } = this.#context;
    const options = this.#options;
    const wait = new AbortController();
    let taken;
    try {
      taken = children.take(client.facts, wait.signal);
      if (taken instanceof Promise) taken = await this.#untilStarted(taken, client, wait);
    } catch (error) {
      return wait.signal.aborted ? wait.signal.reason : { reason: "failed", error: String(error) };
    }
    const { worker } = taken;
    const header = worker.readsHeader ? 2 : options.sendProxy;
    const session = new Session({
      ...taken,
      replace: () => children.replace(client.facts, worker),
      preamble: header === 0 ? undefined : formatProxyHeader(header, client.facts),
      banner: options.banner === "" ? undefined : new TextEncoder().encode(options.banner),
      id,
      client,
      readyAtMs,
      log,
      observer,
      timeouts: options,
    });
    if (this.#active.size === 0) {
      this.#probing = setInterval(() => this.#probe(), PROBE_INTERVAL_MS);
    }
    this.#active.add(session);
    await session.run();
    this.#active.delete(session);
    if (this.#active.size === 0) clearInterval(this.#probing);
    if (session.wasCut) this.cut++;
    this.endReasons[session.reason!]++;
    this.lastExit = session.exit ?? undefined;
    if (session.childExit !== undefined) this.#failures.add(session.childExit);
    this.#endedBytes.in += session.inbound.bytes;
    this.#endedBytes.out += session.outbound.bytes;
  }

  /** Ends them all, and refuses the clients that wait for a start. */
  stop(reason: "drain-timeout" | "killed"): void {
    this.cut += this.#waiting.size;
    for (const wait of this.#waiting) wait.abort({ reason: "busy" } satisfies Refused);
    for (const session of this.#active) session.stop(reason);
  }

  /**
   * Waits for the start of a child. A client that resets the connection meanwhile gives up its turn.
   * One that only ends its input does not, where it can do that: it may still want the answer of a
   * program without input.
   */
  async #untilStarted(
    taken: Promise<Taken>,
    client: Connection,
    wait: AbortController,
  ): Promise<Taken> {
    this.#waiting.add(wait);
    const leave = () => wait.abort({ reason: "left" } satisfies Refused);
    client.hasLeft().then((hasEnded) => {
      if (hasEnded) return client.hasHalfClose ? client.probe() : leave();
    }).catch(leave);
    const probing = setInterval(() => client.probe().catch(leave), PROBE_INTERVAL_MS);
    try {
      return await taken;
    } finally {
      clearInterval(probing);
      this.#waiting.delete(wait);
    }
  }

  #probe(): void {
    for (const session of this.#active) session.probe();
  }
}
