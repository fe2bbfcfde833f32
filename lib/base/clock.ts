/**
 * The clock: an interface, so that tests can control time, and the real implementation.
 *
 * @module
 */

/** Tells the time and runs timers. */
export interface Clock {
  /** Milliseconds since an arbitrary fixed point. */
  now(): number;
  /** Calls `callback` once after `ms` milliseconds; returns a function that cancels it. */
  after(ms: number, callback: () => void): () => void;
}

/** The real clock. */
export const CLOCK: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};
