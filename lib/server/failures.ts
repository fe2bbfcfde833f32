/**
 * The watch over children that fail one after the other. One failure is in the record of its
 * connection; when every client's child fails, that deserves a warning.
 *
 * @module
 */

import { CLOCK, type Clock } from "../base/clock.ts";
import { log, type Logger, RECOVERIES } from "../base/log.ts";

/** How many children in a row fail before a warning. */
const MIN_FAILURES = 3;
const WARNING_INTERVAL_MS = 10_000;

/** Children that failed in a row. */
export class Failures {
  readonly #clock: Pick<Clock, "now">;
  readonly #log: Logger;
  /** How often each exit code or signal occurred. */
  readonly #exits = new Map<string, number>();
  #count = 0;
  #warnedAtMs = -Infinity;
  #hasWarned = false;

  constructor(logger: Logger = log, clock: Pick<Clock, "now"> = CLOCK) {
    this.#log = logger;
    this.#clock = clock;
  }

  /** Whether there was a warning since the last one that succeeded. */
  get hasWarned(): boolean {
    return this.#hasWarned;
  }

  /**
   * Notes how a child ended that nobody stopped.
   *
   * @param exit Its exit code or signal.
   * @returns Whether it is one too many, and there was a warning.
   */
  add(exit: number | string): boolean {
    if (exit === 0) {
      if (this.#hasWarned) this.#log.info(RECOVERIES.success, { failures: this.#count });
      this.#hasWarned = false;
      this.#exits.clear();
      this.#count = 0;
      return false;
    }
    this.#count++;
    this.#exits.set(String(exit), (this.#exits.get(String(exit)) ?? 0) + 1);
    const now = this.#clock.now();
    if (this.#count < MIN_FAILURES || now - this.#warnedAtMs < WARNING_INTERVAL_MS) {
      return false;
    }
    this.#warnedAtMs = now;
    this.#hasWarned = true;
    const exits = [...this.#exits].map(([exit, count]) => `${exit}:${count}`).join();
    this.#log.warn("every client's child fails", { count: this.#count, exits });
    return true;
  }
}
