/**
 * Admission: may this client come in? Decisions over counts, rules and a clock; no socket, no
 * process, nothing to wait for but a place.
 *
 * A visit goes through it in this order:
 *
 * 1. It arrives. From here on it takes up room, and there is room for as many as can be served and
 *    may wait; who accepts should stop while {@linkcode Admission.isFull}.
 * 2. It is looked at, once it is known where it comes from: the address rules first, then the limits
 *    of its source. What is refused here is refused at once.
 * 3. It gets a slot, at once or after a wait in the order of coming, for a bounded time.
 * 4. It leaves, and all it held is free again. That may happen at any step.
 *
 * What is known of sources is bounded too: one that has nobody here is forgotten after a period of
 * its rate, for then it may come as often as anybody, or when {@linkcode MOST_SOURCES} others have
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

/** How many visits may be on their way to a slot (a header, a handshake) where nobody may wait. */
const LOBBY = 64;
/** So many sources are remembered that have nobody here; who has more addresses finds each one new. */
export const MOST_SOURCES = 10_000;

/** One source: who is there from it, and how many more may come. */
interface Source {
  readonly key: string;
  visits: number;
  tokens: number;
  /** When the tokens were counted. */
  countedAtMs: number;
}

/** One client, from its arrival until it leaves; only {@linkcode Admission} changes it. */
export interface Visit {
  source?: Source;
  step: "arrived" | "waiting" | "active" | "left";
  /** Ends its wait for a slot, with whether it has got one. */
  settle?: (hasSlot: boolean) => void;
}

/** The door. */
export class Admission {
  readonly #options: Required<AdmissionOptions>;
  /** In the order of coming. */
  readonly #waiting: Visit[] = [];
  /** Sources that have somebody here. */
  readonly #present = new Map<string, Source>();
  /** Sources that have not, but had; the latest is last. */
  readonly #absent = new Map<string, Source>();
  #inside = 0;
  #active = 0;
  #closing = false;
  #room: PromiseWithResolvers<void> | undefined;

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
    return this.#present.size + this.#absent.size;
  }

  /** Whether nobody should be accepted, for there is neither a slot nor a place to wait. */
  get isFull(): boolean {
    const { maxConnections, queue } = this.#options;
    return !this.#closing && this.#inside >= maxConnections + (queue || LOBBY);
  }

  /** Whether one more would be served, or could wait for that. */
  get hasRoom(): boolean {
    const { maxConnections, queue } = this.#options;
    return this.#active < maxConnections || this.#waiting.length < queue;
  }

  /** Resolves when it is no longer full. */
  async room(): Promise<void> {
    while (this.isFull) await (this.#room ??= Promise.withResolvers()).promise;
  }

  /** Somebody is here, and takes up room until they leave. */
  arrive(): Visit {
    this.#inside++;
    return { step: "arrived" };
  }

  /**
   * Looks at who is here, by the rules and by their source.
   *
   * @param hostname The client's address; `undefined` where it has none, and no rule is about it.
   * @return Why it may not come in, if so. It should leave then.
   */
  admit(visit: Visit, hostname: string | undefined): Refusal | undefined {
    const { allow, deny, maxPerSource, ratePerSource } = this.#options;
    if (hostname === undefined) return;
    if (deny.has(hostname) || !allow.isEmpty && !allow.has(hostname)) return "denied";
    if (maxPerSource === 0 && ratePerSource.count === 0) return;
    const source = this.#recall(sourceOf(hostname));
    if (maxPerSource > 0 && source.visits >= maxPerSource) return "source-limit";
    if (ratePerSource.count > 0) {
      if (source.tokens < 1) {
        this.#place(source);
        return "source-rate";
      }
      source.tokens--;
    }
    source.visits++;
    this.#place(source);
    visit.source = source;
  }

  /**
   * Gives a slot: at once, if one is free, or later to whoever has waited longest.
   *
   * @return Whether it has got one. If not, it was `busy`, unless it has left meanwhile.
   */
  slot(visit: Visit): boolean | Promise<boolean> {
    const { maxConnections, queue, queueTimeoutMs, clock } = this.#options;
    if (this.#active < maxConnections) {
      this.#active++;
      visit.step = "active";
      return true;
    }
    if (this.#waiting.length >= queue) return false;
    return new Promise((resolve) => {
      const cancelTimer = clock.after(queueTimeoutMs, () => this.#turnAway(visit));
      visit.step = "waiting";
      visit.settle = (hasSlot) => {
        cancelTimer();
        resolve(hasSlot);
      };
      this.#waiting.push(visit);
    });
  }

  /** Whoever it was has gone; saying so twice does no harm. */
  leave(visit: Visit): void {
    const { step } = visit;
    if (step === "left") return;
    if (step === "waiting") this.#turnAway(visit);
    visit.step = "left";
    this.#inside--;
    if (visit.source) {
      visit.source.visits--;
      this.#place(visit.source);
    }
    if (step === "active") {
      this.#active--;
      const next = this.#waiting.shift();
      if (next) next.settle!(this.slot(next) === true);
    }
    this.#room?.resolve();
    this.#room = undefined;
  }

  /** From now on it is never full: whoever is still at the door is looked at. */
  close(): void {
    this.#closing = true;
    this.#room?.resolve();
  }

  /** Turns everybody away who waits for a slot. */
  clear(): void {
    for (const visit of [...this.#waiting]) this.#turnAway(visit);
  }

  #turnAway(visit: Visit): void {
    this.#waiting.splice(this.#waiting.indexOf(visit), 1);
    visit.step = "arrived";
    visit.settle!(false);
  }

  /** What is known of a source, with the tokens it has by now. */
  #recall(key: string): Source {
    const { count, periodMs } = this.#options.ratePerSource;
    const now = this.#options.clock.now();
    for (const [oldest, { countedAtMs }] of this.#absent) {
      if (countedAtMs + periodMs > now && this.#absent.size < MOST_SOURCES) break;
      this.#absent.delete(oldest);
    }
    const source = this.#present.get(key) ?? this.#absent.get(key) ??
      { key, visits: 0, tokens: count, countedAtMs: now };
    source.tokens += (now - source.countedAtMs) / periodMs * count;
    source.tokens = Math.min(source.tokens, count);
    source.countedAtMs = now;
    return source;
  }

  /** Keeps a source where it belongs, if it is worth remembering. */
  #place(source: Source): void {
    this.#present.delete(source.key);
    this.#absent.delete(source.key);
    if (source.visits > 0) this.#present.set(source.key, source);
    else if (this.#options.ratePerSource.count > 0) this.#absent.set(source.key, source);
  }
}
