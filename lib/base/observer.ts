/**
 * Hooks for measuring a server, which reports durations as they occur. Whatever can be counted
 * afterwards is in the server's status instead.
 *
 * @module
 */

/** Receives durations, in seconds. Its functions must not throw. */
export interface Observer {
  /** A child was started; `seconds` is how long that blocked the server. */
  spawned(seconds: number): void;
  /** A client was sent its first byte, `seconds` after it was accepted. */
  answered(seconds: number): void;
  /** A session ended, `seconds` after it began. */
  ended(seconds: number): void;
}

/** Ignores all durations. */
export const NO_OBSERVER: Observer = { spawned() {}, answered() {}, ended() {} };
