/**
 * Time, as those who wait see it; tests bring their own.
 *
 * @module
 */

/** A clock that can be asked and can call back. */
export interface Clock {
  /** Milliseconds from any fixed point. */
  now(): number;
  /** Calls back once, after `ms` milliseconds; the function returned prevents that. */
  after(ms: number, callback: () => void): () => void;
}

/** The real one. */
export const CLOCK: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};
