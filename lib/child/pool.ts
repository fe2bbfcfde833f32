/**
 * The pool: workers started ahead of their clients, so that a connection finds its process running.
 *
 * It hands out the oldest and refills behind it, never in its way: a spawn blocks the parent's one
 * thread, and a child that starts competes with the reply of the one that was just handed out. So
 * one is started at a time, {@linkcode PACE_MS} apart, once arrivals have paused for
 * {@linkcode PAUSE_MS}, which is when a reply has been given, but at the latest
 * {@linkcode PATIENCE_MS} after the pool fell short. A burst comes faster than anything can be started
 * and is over before that; of a steady stream, hardly anybody finds the pool empty.
 *
 * Three things can go wrong with a child that has no client yet, and none may become a storm:
 *
 * - it fails soon after its start: the next one waits, 100 ms at first and twice as long each time,
 *   up to 10 s, and only one at a time is tried until one has stayed;
 * - it exits, all well, soon after its start: it is a program that does not wait for its client. One
 *   started ahead would answer with what was true then, so from here on they start cold;
 * - it ends later: it is replaced.
 *
 * @module
 */

import { CLOCK, type Clock } from "../base/clock.ts";
import { log } from "../base/log.ts";
import type { Exit } from "./worker.ts";

/** What the pool needs of a worker. */
export interface Poolable {
  /** How it ended, once it has. */
  readonly exit: Exit | null;
  /** Resolves when it has ended. */
  readonly exited: Promise<Exit>;
  /** Ends it, with so many milliseconds for each rung of the stop ladder. */
  stop(killTimeoutMs: number): Promise<void>;
  /** Gives back what is left of it. */
  cancel(): void;
}

/** How {@linkcode Pool} is set up. */
export interface PoolOptions<W extends Poolable> {
  /** How many workers to keep warm; 0 is none, and every worker starts cold. */
  readonly size: number;
  /** Starts a worker; what it throws reaches whoever asked for one. */
  readonly spawn: () => W;
  /** How long each rung of the stop ladder is for a worker nobody needs any more, in milliseconds. */
  readonly killTimeoutMs: number;
  /** @default {the real one} */
  readonly clock?: Clock;
}

const PAUSE_MS = 3;
const PATIENCE_MS = 10;
const PACE_MS = 5;
const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 10_000;
/** A child that stayed this long has started well. */
const STARTED_MS = 1_000;
/** A child that exits before this, all well and without a client, did not wait for one. */
const IMPATIENT_MS = 10_000;

/** Idle workers, oldest first. */
export class Pool<W extends Poolable> {
  readonly #options: Required<PoolOptions<W>>;
  readonly #idle: W[] = [];
  /** Workers that are being stopped without ever having had a client. */
  readonly #retiring = new Set<Promise<void>>();
  /** No more workers are started ahead, because the handler does not wait or the pool was closed. */
  #cold = false;
  #closed = false;
  /** Starts that failed in a row. */
  #failures = 0;
  #failedAtMs = 0;
  #newest: { worker: W; startedAtMs: number } | undefined;
  #takenAtMs = -Infinity;
  #shortSinceMs = -Infinity;
  #cancelRefill: (() => void) | undefined;

  constructor(options: PoolOptions<W>) {
    this.#options = { clock: CLOCK, ...options };
  }

  /** How many workers wait for a client. */
  get warm(): number {
    return this.#idle.length;
  }

  /**
   * Starts the first worker at once and the others behind it.
   *
   * @throws What the first start throws, such as `Deno.errors.NotFound`.
   */
  start(): void {
    if (this.#wanted) this.#add();
    this.#scheduleRefill();
  }

  /**
   * A worker for a client that is here: the oldest warm one, or a new one.
   *
   * @param spawn Starts the new one, where it can be told more than one that starts ahead.
   * @throws What the start of a new one throws.
   */
  take(spawn: () => W = this.#options.spawn): { worker: W; warm: boolean } {
    const now = this.#options.clock.now();
    const worker = this.#idle.shift();
    if (worker !== undefined && this.#idle.length === this.#options.size - 1) {
      this.#shortSinceMs = now;
    }
    this.#takenAtMs = now;
    this.#scheduleRefill();
    return worker === undefined ? { worker: spawn(), warm: false } : { worker, warm: true };
  }

  /** Stops the idle workers and starts new ones, which run what the program is by now. */
  refresh(): void {
    this.#cold = this.#closed;
    this.#failures = 0;
    this.#retireAll();
    this.#scheduleRefill();
  }

  /** Stops the idle workers and starts no more; resolves when they have been reaped. */
  async close(): Promise<void> {
    this.#cold = this.#closed = true;
    this.#cancelRefill?.();
    this.#retireAll();
    await Promise.all(this.#retiring);
  }

  get #wanted(): boolean {
    return !this.#cold && this.#idle.length < this.#options.size;
  }

  #scheduleRefill(): void {
    if (this.#cancelRefill !== undefined || !this.#wanted) return;
    const waitMs = Math.max(0, this.#nextStartMs() - this.#options.clock.now());
    this.#cancelRefill = this.#options.clock.after(waitMs, () => {
      this.#cancelRefill = undefined;
      this.#refill();
    });
  }

  #refill(): void {
    if (!this.#wanted) return;
    if (this.#nextStartMs() <= this.#options.clock.now()) {
      // While starts fail, the time has come either to try another or to trust the last one.
      if (this.#failures > 0 && this.#newest?.worker.exit === null) this.#failures = 0;
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
        newestMs + PACE_MS,
        Math.min(this.#takenAtMs + PAUSE_MS, this.#shortSinceMs + PATIENCE_MS),
      );
    }
    if (this.#newest?.worker.exit === null) return newestMs + STARTED_MS;
    return this.#failedAtMs +
      Math.min(FIRST_BACKOFF_MS * 2 ** (this.#failures - 1), LONGEST_BACKOFF_MS);
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
      worker.cancel();
      const ageMs = this.#options.clock.now() - startedAtMs;
      if (exit.code === 0 && ageMs < IMPATIENT_MS) this.#goCold();
      // Ctrl-C on a terminal reaches the children too, and is none of their faults.
      else if (ageMs < STARTED_MS && exit.signal !== "SIGINT") {
        this.#fail(exit.signal ?? `exit code ${exit.code}`);
      }
      this.#scheduleRefill();
    });
  }

  #fail(reason: string): void {
    this.#failedAtMs = this.#options.clock.now();
    if (this.#failures++ > 0) return;
    log.warn("warm children fail at start: the next ones wait, longer each time", { reason });
  }

  #goCold(): void {
    this.#cold = true;
    this.#retireAll();
    log.warn(
      "the handler exits without waiting for its client: it starts cold from now on, as with --warm 0",
    );
  }

  #retireAll(): void {
    for (const worker of this.#idle.splice(0)) {
      const retired = worker.stop(this.#options.killTimeoutMs).then(() => {
        worker.cancel();
        this.#retiring.delete(retired);
      });
      this.#retiring.add(retired);
    }
  }
}
