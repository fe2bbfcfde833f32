/**
 * Who measures a server: what it is told as it happens. Everything that can be counted afterwards is
 * in the server's own numbers.
 *
 * @module
 */

/** Is told how long things took, in seconds. */
export interface Observer {
  /** A child was started, which held up the server for so long. */
  spawned(seconds: number): void;
  /** A client was sent its first byte, so long after it was accepted. */
  answered(seconds: number): void;
  /** A session ended, so long after it began. */
  ended(seconds: number): void;
}

/** Measures nothing. */
export const NO_OBSERVER: Observer = { spawned() {}, answered() {}, ended() {} };
