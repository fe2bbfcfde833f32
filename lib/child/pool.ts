/**
 * The pool: warm workers, started before their clients, so that a connection finds its process
 * already running.
 *
 * It hands out the oldest worker and must never refill in the way of a reply: a spawn blocks the
 * parent's only thread, and a starting child competes with the one that was just handed out. So
 * workers are started one at a time, {@linkcode START_INTERVAL_MS} apart, once no connection has
 * arrived for {@linkcode QUIET_MS}, by which time the reply is out, but at the latest
 * {@linkcode MAX_REFILL_DELAY_MS} after the pool fell below its size. A burst arrives faster than workers
 * can start and is over before that; under a steady load, hardly any connection finds the pool
 * empty. Where starts are held back ({@linkcode PoolOptions.mayStart}), workers come after all clients.
 *
 * A child without a client can end in three ways, none of which may cause a storm of starts:
 *
 * - It fails soon after its start. The next start is delayed, by 100 ms at first and twice as long
 *   each time, up to 10 s. Workers are tried one at a time until one keeps running.
 * - It exits with code 0 soon after its start. Then the program does not wait for its client, and
 *   the answer of a warm one would be out of date. From then on all workers start cold.
 * - It ends later. It is replaced.
 *
 * @module
 */

import { CLOCK, type Clock } from "../base/clock.ts";
import { log, type Logger, RECOVERIES } from "../base/log.ts";
import type { Exit } from "./worker.ts";

/** What the pool needs of a worker. */
export interface Poolable {
  /** How it ended; `null` while it runs. */
  readonly exit: Exit | null;
  /** Resolves when it has ended. */
  readonly exited: Promise<Exit>;
  /** Stops it; each step of the stop ladder waits `killTimeoutMs` milliseconds. */
  stop(killTimeoutMs: number): Promise<void>;
  /** Releases what it still holds. */
  release(): void;
}

/** Options for {@linkcode Pool}. */
export interface PoolOptions<W extends Poolable> {
  /** How many workers to keep warm; with 0 every worker starts cold. */
  readonly size: number;
  /** Starts a worker. {@linkcode Pool.start} passes on what it throws. */
  readonly spawn: () => W;
  /**
   * Whether a worker may start that no client waits for; it is asked again until one may.
   *
   * @default {() => true}
   */
  readonly mayStart?: () => boolean;
  /** How long each step of the stop ladder waits for an idle worker, in milliseconds. */
  readonly killTimeoutMs: number;
  /** @default {CLOCK} */
  readonly clock?: Clock;
  /** @default {log} */
  readonly log?: Logger;
}

const QUIET_MS = 3;
const MAX_REFILL_DELAY_MS = 10;
const START_INTERVAL_MS = 5;
const MIN_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 10_000;
/** A child that has run this long has started successfully. */
const STARTED_MS = 1_000;
/** A child that exits with code 0 and without a client before this age did not wait for one. */
const EARLY_EXIT_MS = 10_000;

/** Idle workers, oldest first. */
export class Pool<W extends Poolable> {
  #options: Required<PoolOptions<W>>;
  readonly #idle: W[] = [];
  /** The stops in progress of workers that never had a client. */
  readonly #retiring = new Set<Promise<void>>();
  /** Nothing starts ahead: the handler does not wait for its client, or the pool is closed. */
  #cold = false;
  #closed = false;
  /** Failed starts in a row. */
  #failures = 0;
  /** Whether there was a warning of them, and none has been seen to start since. */
  #hasWarned = false;
  #failedAtMs = 0;
  #newest: { worker: W; startedAtMs: number } | undefined;
  #takenAtMs = -Infinity;
  #belowSizeSinceMs = -Infinity;
  #cancelRefill: (() => void) | undefined;

  constructor(options: PoolOptions<W>) {
    this.#options = { clock: CLOCK, log, mayStart: () => true, ...options };
  }

  /** How many workers are idle. */
  get warm(): number {
    return this.#idle.length;
  }

  /**
   * Starts the first worker immediately and the others after it.
   *
   * @throws What the first start throws, such as `Deno.errors.NotFound`.
   */
  start(): void {
    if (this.#isBelowSize) this.#add();
    this.#scheduleRefill();
  }

  /**
   * Takes the oldest worker for a client; `undefined` if there is none, and the client needs one that
   * starts cold.
   */
  take(): W | undefined {
    const now = this.#options.clock.now();
    const worker = this.#idle.shift();
    if (worker !== undefined && this.#idle.length === this.#options.size - 1) {
      this.#belowSizeSinceMs = now;
    }
    this.#takenAtMs = now;
    this.#scheduleRefill();
    return worker;
  }

  /** Replaces the idle workers by new ones, perhaps by more or fewer. */
  refresh(options: Partial<Pick<PoolOptions<W>, "size" | "killTimeoutMs">> = {}): void {
    this.#options = { ...this.#options, ...options };
    this.#cold = this.#closed;
    this.#failures = 0;
    this.#newest = undefined;
    this.#retireAll();
    this.#scheduleRefill();
  }

  /** Stops the idle workers and starts no more. Resolves when they have been reaped. */
  async close(): Promise<void> {
    this.#cold = this.#closed = true;
    this.#cancelRefill?.();
    this.#retireAll();
    await Promise.all(this.#retiring);
  }

  /** Whether a worker is missing; those that are slow to stop delay further generations. */
  get #isBelowSize(): boolean {
    const { size } = this.#options;
    return !this.#cold && this.#idle.length < size &&
      this.#idle.length + this.#retiring.size < 2 * size;
  }

  /** Whether the newest worker may turn out to have started, after others failed. */
  get #isRecovering(): boolean {
    return !this.#cold && this.#hasWarned && this.#newest?.worker.exit === null;
  }

  #scheduleRefill(): void {
    if (this.#cancelRefill !== undefined || !this.#isBelowSize && !this.#isRecovering) return;
    const { clock, mayStart } = this.#options;
    // With nothing to start, it is only to be seen whether the newest worker stays up.
    const stayedMs = this.#isBelowSize ? 0 : this.#newest!.startedAtMs + STARTED_MS;
    const dueInMs = Math.max(this.#nextStartMs(), stayedMs) - clock.now();
    const waitMs = Math.max(dueInMs, mayStart() ? 0 : START_INTERVAL_MS);
    this.#cancelRefill = clock.after(waitMs, () => {
      this.#cancelRefill = undefined;
      this.#refill();
    });
  }

  #refill(): void {
    const { clock, mayStart } = this.#options;
    if (this.#nextStartMs() <= clock.now() && mayStart()) {
      // After failures, a start is due because the newest worker stayed up or the backoff is over.
      if (this.#isRecovering && this.#newest!.startedAtMs + STARTED_MS <= clock.now()) {
        this.#failures = 0;
        this.#hasWarned = false;
        this.#options.log.info(RECOVERIES.warm);
      }
      if (!this.#isBelowSize) return;
      try {
        this.#add();
      } catch (error) {
        this.#newest = undefined;
        this.#fail(String(error));
      }
    }
    this.#scheduleRefill();
  }

  /** The earliest time for the next start. */
  #nextStartMs(): number {
    const newestMs = this.#newest?.startedAtMs ?? -Infinity;
    if (this.#failures === 0) {
      return Math.max(
        newestMs + START_INTERVAL_MS,
        Math.min(this.#takenAtMs + QUIET_MS, this.#belowSizeSinceMs + MAX_REFILL_DELAY_MS),
      );
    }
    if (this.#newest?.worker.exit === null) return newestMs + STARTED_MS;
    return this.#failedAtMs +
      Math.min(MIN_BACKOFF_MS * 2 ** (this.#failures - 1), MAX_BACKOFF_MS);
  }

  #add(): void {
    const worker = this.#options.spawn();
    const startedAtMs = this.#options.clock.now();
    this.#newest = { worker, startedAtMs };
    this.#idle.push(worker);
    worker.exited.then((exit) => {
      const index = this.#idle.indexOf(worker);
      if (index < 0) return; // it has a client, or is being retired
      this.#idle.splice(index, 1);
      this.#retire(worker); // it may have left something behind
      const ageMs = this.#options.clock.now() - startedAtMs;
      if (exit.code === 0 && ageMs < EARLY_EXIT_MS) this.#disableWarm();
      // Ctrl-C in a terminal also reaches the children; that is not a failed start.
      else if (ageMs < STARTED_MS && exit.signal !== "SIGINT") {
        this.#fail(exit.signal ?? `exit code ${exit.code}`);
      }
      this.#scheduleRefill();
    });
  }

  #fail(reason: string): void {
    this.#failedAtMs = this.#options.clock.now();
    if (this.#failures++ > 0) return;
    this.#hasWarned = true;
    this.#options.log.warn("warm children fail at start", { reason });
  }

  #disableWarm(): void {
    this.#cold = true;
    this.#retireAll();
    this.#options.log.warn(
      "the handler does not wait for its client: it starts cold from now on",
    );
  }

  #retireAll(): void {
    for (const worker of this.#idle.splice(0)) this.#retire(worker);
  }

  #retire(worker: W): void {
    const retired = worker.stop(this.#options.killTimeoutMs).then(() => {
      worker.release();
      this.#retiring.delete(retired);
      this.#scheduleRefill();
    });
    this.#retiring.add(retired);
  }
}
