/**
 * The pace of spawning: how much of the server's time the starts of children may take while several
 * services have clients.
 *
 * A spawn blocks the server's only thread until the new process runs its program (Linux: vfork(2)),
 * which takes some ten times as long while the processors are busy. A service that is flooded would
 * fill that time completely, and the replies of the others would wait for one spawn after the other.
 * So after a spawn, the next has to wait {@linkcode REST} times as long as that took, but not longer
 * than {@linkcode MAX_REST_MS}, and the services take turns. A service that alone has clients spawns as fast as it can.
 *
 * @module
 */

import { CLOCK, type Clock } from "../base/clock.ts";

/** How long there is no spawn after one, as a multiple of the time that it took. */
const REST = 3;
/** One spawn that took very long must not keep the next clients of all services waiting. */
const MAX_REST_MS = 50;
/** For how long a service counts as one that has clients after the last has come, in milliseconds. */
const IN_USE_MS = 1_000;

/** Spreads the spawns of several services. */
export class SpawnPace {
  readonly #clock: Clock;
  /** Who waits for a turn, in that order. */
  readonly #turns = new Set<() => void>();
  #nextAtMs = -Infinity;
  #cancelTimer: (() => void) | undefined;

  /** The service whose client came last, and when the last one of any other came. */
  #latest: unknown;
  #latestAtMs = -Infinity;
  #othersAtMs = -Infinity;

  constructor(clock: Clock = CLOCK) {
    this.#clock = clock;
  }

  /** Notes a client of a service, which is told from others by any object of its own. */
  noteClient(service: unknown): void {
    if (service !== this.#latest) {
      this.#othersAtMs = this.#latestAtMs;
      this.#latest = service;
    }
    this.#latestAtMs = this.#clock.now();
  }

  /** Whether a child may be spawned now, without a turn. */
  get isDue(): boolean {
    const now = this.#clock.now();
    if (now - this.#othersAtMs > IN_USE_MS) return true;
    return this.#turns.size === 0 && now >= this.#nextAtMs;
  }

  /** Notes a spawn, and how long it took. */
  spawned(ms: number): void {
    this.#nextAtMs = this.#clock.now() + Math.min(REST * ms, MAX_REST_MS);
  }

  /** Calls `turn` once, when it is its turn. */
  request(turn: () => void): void {
    this.#turns.add(turn);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#cancelTimer !== undefined || this.#turns.size === 0) return;
    const waitMs = Math.max(0, this.#nextAtMs - this.#clock.now());
    this.#cancelTimer = this.#clock.after(waitMs, () => {
      this.#cancelTimer = undefined;
      const [turn] = this.#turns;
      this.#turns.delete(turn!);
      turn!();
      this.#schedule();
    });
  }
}
