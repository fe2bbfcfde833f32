/**
 * The start gate: holds starts back while the processors are busy with other starts.
 *
 * A program such as Deno keeps a processor busy for all of its start. When many start at once, all
 * of them are late, and so is the server, which has to relay the replies of those that have started.
 * When they start one after the other, the first is ready after one start, and the last hardly later.
 *
 * So while the processors are busy, only {@linkcode STARTS_PER_PROCESSOR} children a processor may be
 * starting, first come, first served. A warm child, whose start no client waits for, comes after the
 * children of all clients, and only while no more are starting than there are processors: the clients
 * that are being served notice every further one.
 *
 * - **Whether the processors are busy** shows in the starts themselves. `spawn` returns when the new
 *   process has got a processor and runs its program (Linux: vfork(2)), which takes much longer while
 *   others wait for one too. Handlers that wait for something else, such as a database, do not change
 *   that, and are not held back, however many they are.
 * - **When a start is over** only its first output or its end can tell. A child with neither counts
 *   for a bounded time, so that a program that waits for its client delays others by no more than
 *   that. A warm child, which has no reason for output, counts for the shortest start seen.
 * - **A program that starts within {@linkcode FAST_START_MS}** is never held back: the server cannot
 *   start so many that they would get in each other's way.
 *
 * @module
 */

import { CLOCK, type Clock } from "../base/clock.ts";
import { SpawnPace } from "./spawn_pace.ts";

/** What is started. */
export interface Startable {
  /** Resolves at its first output, or when it has ended. Never rejects. */
  readonly started: Promise<unknown>;
}

/** Options for {@linkcode StartGate}. */
export interface StartGateOptions {
  /**
   * How many processors there are.
   *
   * @default {navigator.hardwareConcurrency}
   */
  readonly processors?: number;
  /** @default {CLOCK} */
  readonly clock?: Clock;
  /**
   * What the gates of several services share.
   *
   * @default {new SpawnPace()}
   */
  readonly pace?: SpawnPace;
}

/** One uses the processor while the other waits: for the disk, or for the server to notice it. */
const STARTS_PER_PROCESSOR = 2;
/** A program of which a start took less than this is never held back. */
const FAST_START_MS = 5;
/** How long a start is taken to last until one has been seen. */
const PRESUMED_START_MS = 25;
/** For how long a start without output counts: four times the shortest one seen, but this at least. */
const MIN_HOLD_MS = 100;
/** No start counts for longer than this; output that comes later says nothing about the start. */
const MAX_HOLD_MS = 500;
/** The processors are busy while spawning takes this many times as long as at its shortest. */
const BUSY_FACTOR = 4;
/** The shortest times grow by this factor with each start: the program or the machine may change. */
const FORGETTING = 1.01;

/** Decides when children may start. */
export class StartGate {
  readonly #options: Required<StartGateOptions>;
  /** The starts that wait, oldest first. */
  readonly #waiting = new Set<() => void>();
  #starting = 0;
  /** The shortest start of a child with a client. */
  #leastStartMs = PRESUMED_START_MS;
  #leastSpawnMs = Infinity;
  /** How long spawning takes now: a moving average. */
  #spawnMs = 0;

  constructor(options: StartGateOptions = {}) {
    const { hardwareConcurrency: processors } = navigator;
    this.#options = { processors, clock: CLOCK, pace: new SpawnPace(), ...options };
  }

  /** Whether a start that no client waits for may begin. */
  get isIdle(): boolean {
    return this.#waiting.size === 0 &&
      (this.#starting <= this.#options.processors || this.#startsFast);
  }

  /** Whether a start that a client waits for may begin. */
  get #hasPlace(): boolean {
    return this.#starting < STARTS_PER_PROCESSOR * this.#options.processors || this.#startsFast ||
      this.#spawnMs < BUSY_FACTOR * this.#leastSpawnMs;
  }

  get #startsFast(): boolean {
    return this.#leastStartMs < FAST_START_MS;
  }

  /**
   * Starts a child for a client, immediately or when it is its turn.
   *
   * @param signal Ends the wait; the promise then rejects with its reason.
   * @return A promise only if it has to wait; it rejects with what `spawn` throws.
   * @throws What `spawn` throws.
   */
  start<W extends Startable>(spawn: () => W, signal: AbortSignal): W | Promise<W> {
    const { pace } = this.#options;
    if (this.#waiting.size === 0 && this.#hasPlace && pace.isDue) return this.startNow(spawn);
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(begin);
        reject(signal.reason);
      };
      const begin = () => {
        signal.removeEventListener("abort", leave);
        try {
          resolve(this.startNow(spawn));
        } catch (error) {
          reject(error);
        }
      };
      signal.addEventListener("abort", leave);
      this.#waiting.add(begin);
      this.#startNext();
    });
  }

  /**
   * Starts a child without waiting, and counts it.
   *
   * @param isWarm Whether it has no client.
   * @throws What `spawn` throws.
   */
  startNow<W extends Startable>(spawn: () => W, isWarm = false): W {
    const { clock, pace } = this.#options;
    const beganAtMs = clock.now();
    const worker = spawn();
    const spawnMs = clock.now() - beganAtMs;
    pace.spawned(spawnMs);
    this.#leastSpawnMs = Math.min(this.#leastSpawnMs * FORGETTING, spawnMs);
    this.#spawnMs += (spawnMs - this.#spawnMs) / 4;

    this.#starting++;
    let isOver = false;
    const end = () => {
      if (isOver) return;
      isOver = true;
      cancelTimer();
      this.#starting--;
      this.#startNext();
    };
    const holdMs = isWarm ? this.#leastStartMs : Math.max(4 * this.#leastStartMs, MIN_HOLD_MS);
    const cancelTimer = clock.after(Math.min(holdMs, MAX_HOLD_MS), end);
    worker.started.then(() => {
      const startMs = clock.now() - beganAtMs;
      if (!isWarm && startMs < MAX_HOLD_MS) {
        this.#leastStartMs = Math.min(this.#leastStartMs * FORGETTING, startMs);
      }
      end();
    });
    return worker;
  }

  /** Starts those that wait, as far as there is a place for them, at the pace of all services. */
  readonly #startNext = (): void => {
    for (const begin of this.#waiting) {
      if (!this.#hasPlace) return;
      if (!this.#options.pace.isDue) return this.#options.pace.request(this.#takeTurn);
      this.#waiting.delete(begin);
      begin();
    }
  };

  /** Starts the one that has waited longest, and asks for another turn. */
  readonly #takeTurn = (): void => {
    const [begin] = this.#waiting;
    if (begin === undefined || !this.#hasPlace) return;
    this.#waiting.delete(begin);
    begin();
    this.#startNext();
  };
}
