/**
 * Admission: may this client come in? Decisions over counts, rules and a clock; no socket, no
 * process, nothing to wait for but a place.
 *
 * A ticket goes through it in this order:
 *
 * 1. It arrives. From here on it takes up room, and there is room for as many as can be served and
 *    may wait; who accepts should stop while {@linkcode Admission.isFull}.
 * 2. It is looked at, once it is known where it comes from: the address rules first, then the limits
 *    of its source. What is refused here is refused at once.
 * 3. It gets a slot, at once or after a wait in the order of coming, for a bounded time.
 * 4. It leaves, and all it held is free again. That may happen at any step.
 *
 * What is known of sources is bounded too: one that has nobody here is forgotten after a period of
 * its rate, for then it may come as often as anybody, or when {@linkcode MAX_SOURCES} others have
 * come since.
 *
 * @module
 */

import { type Networks, sourceOf } from "../net/address.ts";
import { CLOCK, type Clock } from "../base/clock.ts";

/**
 * Why a client may not come in:
 *
 * - `denied`: the address rules do not let it;
 * - `source-limit`: as many as may be are there from its source;
 * - `source-rate`: too many have come from its source lately;
 * - `busy`: no slot was free, and it had waited long enough or could not wait.
 */
export type Refusal = "denied" | "source-limit" | "source-rate" | "busy";

/** How many may come, and in how much time: a bucket of tokens that fills up steadily. */
export interface Rate {
  /** How many may come at once, and in every period; 0 is no limit. */
  readonly count: number;
  /** In how much time as many may come again, in milliseconds. */
  readonly periodMs: number;
}

/** What {@linkcode Admission} goes by. */
export interface AdmissionOptions {
  /** How many are served at once. */
  readonly maxConnections: number;
  /** How many may wait for a slot. */
  readonly queue: number;
  /** How long each of them waits, in milliseconds. */
  readonly queueTimeoutMs: number;
  /** How many may be there from one source, waiting or served; 0 is no limit. */
  readonly maxPerSource: number;
  /** How often one source may come. */
  readonly ratePerSource: Rate;
  /** Who may come in; where there are none, everybody. */
  readonly allow: Networks;
  /** Who may not, whatever `allow` says. */
  readonly deny: Networks;
  /** @default {CLOCK} */
  readonly clock?: Clock;
}

/** How many connections may be on their way to a slot (a header, a handshake) where nobody may wait. */
const HANDSHAKE_CAPACITY = 64;
/** So many sources are remembered that have nobody here; who has more addresses finds each one new. */
export const MAX_SOURCES = 10_000;

/** One source: who is there from it, and how many more may come. */
interface Source {
  readonly key: string;
  connections: number;
  tokens: number;
  /** When the tokens were counted. */
  countedAtMs: number;
}

/** One client, from its arrival until it leaves; only {@linkcode Admission} changes it. */
export interface Ticket {
  source?: Source;
  step: "pending" | "waiting" | "active" | "released";
  /** Ends its wait for a slot, with whether it has got one. */
  settle?: (hasSlot: boolean) => void;
}

/** The door. */
export class Admission {
  readonly #options: Required<AdmissionOptions>;
  /** In the order of coming. */
  readonly #waiting: Ticket[] = [];
  /** Sources that have somebody here. */
  readonly #connected = new Map<string, Source>();
  /** Sources that have not, but had; the latest is last. */
  readonly #remembered = new Map<string, Source>();
  #outstanding = 0;
  #active = 0;
  #closing = false;
  #capacityFreed: PromiseWithResolvers<void> | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = { clock: CLOCK, ...options };
  }

  /** How many have a slot. */
  get active(): number {
    return this.#active;
  }

  /** How many wait for one. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** How many sources are remembered. */
  get sources(): number {
    return this.#connected.size + this.#remembered.size;
  }

  /** Whether nobody should be accepted, for there is neither a slot nor a place to wait. */
  get isFull(): boolean {
    const { maxConnections, queue } = this.#options;
    return !this.#closing && this.#outstanding >= maxConnections + (queue || HANDSHAKE_CAPACITY);
  }

  /** Whether one more would be served, or could wait for that. */
  get hasCapacity(): boolean {
    const { maxConnections, queue } = this.#options;
    return this.#active < maxConnections || this.#waiting.length < queue;
  }

  /** Resolves when it is no longer full. */
  async capacity(): Promise<void> {
    while (this.isFull) await (this.#capacityFreed ??= Promise.withResolvers()).promise;
  }

  /** Somebody is here, and takes up room until they leave. */
  issueTicket(): Ticket {
    this.#outstanding++;
    return { step: "pending" };
  }

  /**
   * Looks at who is here, by the rules and by their source.
   *
   * @param hostname The client's address; `undefined` where it has none, and no rule is about it.
   * @return Why it may not come in, if so. It should leave then.
   */
  admit(ticket: Ticket, hostname: string | undefined): Refusal | undefined {
    const { allow, deny, maxPerSource, ratePerSource } = this.#options;
    if (hostname === undefined) return;
    if (deny.has(hostname) || !allow.isEmpty && !allow.has(hostname)) return "denied";
    if (maxPerSource === 0 && ratePerSource.count === 0) return;
    const source = this.#lookUp(sourceOf(hostname));
    if (maxPerSource > 0 && source.connections >= maxPerSource) return "source-limit";
    if (ratePerSource.count > 0) {
      if (source.tokens < 1) {
        this.#store(source);
        return "source-rate";
      }
      source.tokens--;
    }
    source.connections++;
    this.#store(source);
    ticket.source = source;
  }

  /**
   * Gives a slot: at once, if one is free, or later to whoever has waited longest.
   *
   * @return Whether it has got one. If not, it was `busy`, unless it has left meanwhile.
   */
  requestSlot(ticket: Ticket): boolean | Promise<boolean> {
    const { maxConnections, queue, queueTimeoutMs, clock } = this.#options;
    if (this.#active < maxConnections) {
      this.#active++;
      ticket.step = "active";
      return true;
    }
    if (this.#waiting.length >= queue) return false;
    return new Promise((resolve) => {
      const cancelTimer = clock.after(queueTimeoutMs, () => this.#endWait(ticket));
      ticket.step = "waiting";
      ticket.settle = (hasSlot) => {
        cancelTimer();
        resolve(hasSlot);
      };
      this.#waiting.push(ticket);
    });
  }

  /** Whoever it was has gone; saying so twice does no harm. */
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
      const next = this.#waiting.shift();
      if (next) next.settle!(this.requestSlot(next) === true);
    }
    this.#capacityFreed?.resolve();
    this.#capacityFreed = undefined;
  }

  /** From now on it is never full: whoever is still at the door is looked at. */
  close(): void {
    this.#closing = true;
    this.#capacityFreed?.resolve();
  }

  /** Turns everybody away who waits for a slot. */
  refuseWaiting(): void {
    for (const ticket of [...this.#waiting]) this.#endWait(ticket);
  }

  #endWait(ticket: Ticket): void {
    this.#waiting.splice(this.#waiting.indexOf(ticket), 1);
    ticket.step = "pending";
    ticket.settle!(false);
  }

  /** What is known of a source, with the tokens it has by now. */
  #lookUp(key: string): Source {
    const { count, periodMs } = this.#options.ratePerSource;
    const now = this.#options.clock.now();
    for (const [oldest, { countedAtMs }] of this.#remembered) {
      if (countedAtMs + periodMs > now && this.#remembered.size < MAX_SOURCES) break;
      this.#remembered.delete(oldest);
    }
    const source = this.#connected.get(key) ?? this.#remembered.get(key) ??
      { key, connections: 0, tokens: count, countedAtMs: now };
    source.tokens += (now - source.countedAtMs) / periodMs * count;
    source.tokens = Math.min(source.tokens, count);
    source.countedAtMs = now;
    return source;
  }

  /** Keeps a source where it belongs, if it is worth remembering. */
  #store(source: Source): void {
    this.#connected.delete(source.key);
    this.#remembered.delete(source.key);
    if (source.connections > 0) this.#connected.set(source.key, source);
    else if (this.#options.ratePerSource.count > 0) this.#remembered.set(source.key, source);
  }
}
