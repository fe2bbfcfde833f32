/**
 * Admission: may this connection be served? Pure policy over counts, address rules and a clock: no
 * socket and no process, and nothing waits here but for a slot.
 *
 * Every connection holds a ticket, which goes through these steps:
 *
 * 1. It is issued at accept. From here on it counts against the capacity, which is the number of
 *    slots and of places in the queue. The acceptor should pause while {@linkcode Admission.isFull}.
 * 2. It is admitted or refused once the client's address is known: by the address rules first, then
 *    by the limits of its source.
 * 3. It gets a slot, immediately or after a bounded wait, first come, first served. It waits for a
 *    slot to be free, for the rate of all clients together, and for the budget that the service
 *    shares with others.
 * 4. It is released, and with it everything it held. That may happen at any step.
 *
 * Memory is bounded too. A source without connections is forgotten after one period of its rate,
 * when its bucket is full again, or once {@linkcode MAX_SOURCES} others have connected since.
 *
 * @module
 */

import { type Networks, sourceOf } from "../net/address.ts";
import { CLOCK, type Clock } from "../base/clock.ts";
import { ChildBudget, type Share } from "./child_budget.ts";
import { type Rate, TokenBucket } from "./token_bucket.ts";

/**
 * Why a connection is refused:
 *
 * - `denied`: the address rules do not admit it;
 * - `source-limit`: its source has as many connections as it may have;
 * - `source-rate`: its source has connected too often lately;
 * - `busy`: no slot became free in time, or the queue was full.
 */
export type Refusal = "denied" | "source-limit" | "source-rate" | "busy";

/** How {@linkcode Admission} decides. */
export interface AdmissionOptions {
  /** How many slots there are: connections served at once. */
  readonly maxConnections: number;
  /** How many connections may wait for a slot. */
  readonly queue: number;
  /** How long each of them waits, in milliseconds. */
  readonly queueTimeoutMs: number;
  /** How many connections one source may have, waiting or served; 0 is no limit. */
  readonly maxPerSource: number;
  /** How often one source may connect. */
  readonly ratePerSource: Rate;
  /** How often a connection gets a slot. */
  readonly rate: Rate;
  /** The networks that the limits of a source do not apply to. */
  readonly exempt: Networks;
  /** The networks that are admitted; if it is empty, every address is. */
  readonly allow: Networks;
  /** The networks that are refused, even if `allow` includes them. */
  readonly deny: Networks;
}

/** What {@linkcode Admission} needs besides. */
export interface AdmissionContext {
  /**
   * The slots that this and other services share.
   *
   * @default {new ChildBudget()}
   */
  readonly budget?: ChildBudget;
  /** @default {CLOCK} */
  readonly clock?: Clock;
}

/**
 * How many connections may be in a handshake or a PROXY header where there is no queue: they need
 * tickets beyond the slots, or slow clients without a slot would keep others from being accepted.
 */
export const HANDSHAKE_CAPACITY = 64;
/** How many sources without a connection are remembered; the oldest is forgotten first. */
export const MAX_SOURCES = 10_000;

/** One source, with its connections and its token bucket. */
interface Source {
  readonly key: string;
  readonly bucket: TokenBucket;
  connections: number;
}

/** What one connection holds, from accept to release; only {@linkcode Admission} changes it. */
export interface Ticket {
  source?: Source;
  step: "pending" | "waiting" | "active" | "released";
  /** Ends its wait, with whether it got a slot. */
  settle?: (hasSlot: boolean) => void;
}

/** Admission control for one server: address rules, source limits, and the queue for a slot. */
export class Admission implements Share {
  readonly #clock: Clock;
  readonly #budget: ChildBudget;
  readonly #bucket = new TokenBucket();
  #options: AdmissionOptions;
  /** The queue, oldest first. */
  readonly #waiting: Ticket[] = [];
  /** Sources that have connections. */
  readonly #connected = new Map<string, Source>();
  /** Sources that have none now, the most recent last. */
  readonly #remembered = new Map<string, Source>();
  /** Tickets issued and not yet released. */
  #outstanding = 0;
  #active = 0;
  #draining = false;
  #capacityFreed: PromiseWithResolvers<void> | undefined;
  /** Cancels the timer that waits for the rate's next token. */
  #cancelTimer: (() => void) | undefined;

  constructor(
    options: AdmissionOptions,
    { budget = new ChildBudget(), clock = CLOCK }: AdmissionContext = {},
  ) {
    this.#options = options;
    this.#clock = clock;
    this.#budget = budget;
    budget.join(this);
  }

  /** Decides by these options from now on. What has been decided stays, and who waits, waits on. */
  update(options: AdmissionOptions): void {
    this.#options = options;
    this.resume();
    this.#freeCapacity();
  }

  /** How many connections have a slot. */
  get active(): number {
    return this.#active;
  }

  /** How many may have one. */
  get maxConnections(): number {
    return this.#options.maxConnections;
  }

  /** How many connections wait for a slot. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** How many sources are remembered. */
  get sources(): number {
    return this.#connected.size + this.#remembered.size;
  }

  /** Whether nothing more should be accepted, as slots and queue are taken. */
  get isFull(): boolean {
    const { maxConnections, queue } = this.#options;
    if (this.#draining) return false;
    return this.#outstanding >= maxConnections + (queue || HANDSHAKE_CAPACITY) ||
      queue > 0 && this.#waiting.length >= queue;
  }

  /** Whether one more connection would be served or queued. */
  get hasCapacity(): boolean {
    const { maxConnections, queue } = this.#options;
    return this.#active < maxConnections && this.#budget.allows(this) ||
      this.#waiting.length < queue;
  }

  /** Resolves when it is not full. */
  async capacity(): Promise<void> {
    while (this.isFull) await (this.#capacityFreed ??= Promise.withResolvers()).promise;
  }

  /** A ticket for a connection that has been accepted; it has to be released in the end. */
  issueTicket(): Ticket {
    this.#outstanding++;
    return { step: "pending" };
  }

  /**
   * Applies the address rules and the limits of the client's source.
   *
   * @param hostname The client's address; `undefined` if it has none, as over a Unix socket, where
   *   no rule applies.
   * @return Why it is refused, or `undefined` if it is admitted.
   */
  admit(ticket: Ticket, hostname: string | undefined): Refusal | undefined {
    const { allow, deny, exempt, maxPerSource, ratePerSource } = this.#options;
    if (hostname === undefined) return;
    if (deny.has(hostname) || !allow.isEmpty && !allow.has(hostname)) return "denied";
    if (maxPerSource === 0 && ratePerSource.count === 0 || exempt.has(hostname)) return;
    const source = this.#lookUp(sourceOf(hostname));
    if (maxPerSource > 0 && source.connections >= maxPerSource) return "source-limit";
    if (!source.bucket.take(ratePerSource, this.#clock.now())) {
      this.#store(source);
      return "source-rate";
    }
    source.connections++;
    this.#store(source);
    ticket.source = source;
  }

  /**
   * Asks for a slot, and queues for one if none is free.
   *
   * @return Whether it got one; `false` also if it was released while it waited.
   */
  requestSlot(ticket: Ticket): boolean | Promise<boolean> {
    const { queue, queueTimeoutMs } = this.#options;
    if (this.#waiting.length === 0 && this.#takeSlot(ticket)) return true;
    const isBounded = queue === 0 || !this.#draining; // what is left of a backlog is bounded by that
    if (isBounded && this.#waiting.length >= queue) return false;
    return new Promise((resolve) => {
      const cancelTimer = this.#clock.after(queueTimeoutMs, () => this.#endWait(ticket));
      ticket.step = "waiting";
      ticket.settle = (hasSlot) => {
        cancelTimer();
        resolve(hasSlot);
      };
      this.#waiting.push(ticket);
      this.#awaitToken();
    });
  }

  /** Gives the slots there are to those that have waited longest. */
  resume(): void {
    while (this.#waiting.length > 0 && this.#takeSlot(this.#waiting[0]!)) {
      this.#waiting.shift()!.settle!(true);
      this.#freeCapacity();
    }
    this.#awaitToken();
  }

  /** Releases everything the connection held. Idempotent. */
  release(ticket: Ticket): void {
    const { step } = ticket;
    if (step === "released") return;
    if (step === "waiting") this.#endWait(ticket);
    ticket.step = "released";
    this.#outstanding--;
    if (ticket.source) {
      ticket.source.connections--;
      this.#store(ticket.source);
    }
    if (step === "active") {
      this.#active--;
      this.resume();
      this.#budget.released();
    }
    this.#freeCapacity();
  }

  /** Leaves the budget, when nothing is active or waits any more. */
  close(): void {
    this.#cancelTimer?.();
    this.#budget.leave(this);
  }

  /**
   * From now on it is never full, so that what the kernel has completed is accepted and answered. If
   * there is a queue, it takes all of that.
   */
  drain(): void {
    this.#draining = true;
    this.#budget.retire(this);
    this.#freeCapacity();
  }

  /** Ends every wait for a slot. */
  refuseWaiting(): void {
    for (const ticket of [...this.#waiting]) this.#endWait(ticket);
  }

  #endWait(ticket: Ticket): void {
    this.#waiting.splice(this.#waiting.indexOf(ticket), 1);
    ticket.step = "pending";
    ticket.settle!(false);
    this.#freeCapacity();
  }

  #takeSlot(ticket: Ticket): boolean {
    const { maxConnections, rate } = this.#options;
    if (this.#active >= maxConnections || !this.#budget.allows(this)) return false;
    if (!this.#bucket.take(rate, this.#clock.now())) return false;
    this.#active++;
    ticket.step = "active";
    return true;
  }

  /** Goes on with those that wait as soon as the rate allows it. */
  #awaitToken(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const waitMs = this.#waiting.length === 0
      ? 0
      : this.#bucket.waitMs(this.#options.rate, this.#clock.now());
    if (waitMs > 0) this.#cancelTimer = this.#clock.after(waitMs, () => this.resume());
  }

  #freeCapacity(): void {
    this.#capacityFreed?.resolve();
    this.#capacityFreed = undefined;
  }

  /** A source, after those have been forgotten that need not be remembered any more. */
  #lookUp(key: string): Source {
    const now = this.#clock.now();
    for (const [oldest, { bucket }] of this.#remembered) {
      const isNeeded = !bucket.isFull(this.#options.ratePerSource, now);
      if (isNeeded && this.#remembered.size < MAX_SOURCES) break;
      this.#remembered.delete(oldest);
    }
    return this.#connected.get(key) ?? this.#remembered.get(key) ??
      { key, connections: 0, bucket: new TokenBucket() };
  }

  /** Files a source by whether it has connections, or forgets it. */
  #store(source: Source): void {
    this.#connected.delete(source.key);
    this.#remembered.delete(source.key);
    if (source.connections > 0) this.#connected.set(source.key, source);
    else if (this.#options.ratePerSource.count > 0) this.#remembered.set(source.key, source);
  }
}
