/**
 * The history: the last minutes of a server, second by second, for the plots of the status page.
 *
 * @module
 */

/** The last minutes, one value a second, the latest last. */
export interface HistoryValues {
  /** Connections being served. */
  readonly active: readonly number[];
  /** Connections accepted in that second. */
  readonly accepted: readonly number[];
  /**
   * The median time to a first byte in that second, in milliseconds, see
   * {@linkcode Observer.answered}; `null` if there was none.
   */
  readonly firstByteMs: readonly (number | null)[];
}

/** How many values of each kind are kept: five minutes. */
export const MAX_HISTORY = 300;

/** Keeps the samples it is given once a second. */
export class History {
  #active: number[] = [];
  #accepted: number[] = [];
  #firstByteMs: (number | null)[] = [];
  /** How many had been accepted at the last sample. */
  #acceptedBefore = 0;
  /** Seconds to the first byte of each client answered since the last sample. */
  #answered: number[] = [];

  /** A client was sent its first byte, which took this many seconds. */
  answered(seconds: number): void {
    this.#answered.push(seconds);
  }

  /** Takes a sample of a server's numbers. */
  sample({ active, accepted }: { active: number; accepted: number }): void {
    const sorted = this.#answered.sort((a, b) => a - b);
    const median = sorted[sorted.length >> 1];
    this.#active.push(active);
    this.#accepted.push(accepted - this.#acceptedBefore);
    this.#firstByteMs.push(median === undefined ? null : median * 1000);
    for (const values of [this.#active, this.#accepted, this.#firstByteMs]) {
      if (values.length > MAX_HISTORY) values.shift();
    }
    this.#acceptedBefore = accepted;
    this.#answered = [];
  }

  /** The samples kept. */
  get values(): HistoryValues {
    return { active: this.#active, accepted: this.#accepted, firstByteMs: this.#firstByteMs };
  }
}
