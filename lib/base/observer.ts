/**
 * Hooks for watching a server, which reports durations and refusals as they occur. Whatever can be
 * counted afterwards is in the server's status instead.
 *
 * @module
 */

/** A client that was refused. */
export interface RefusedClient {
  /** The number of its connection in the log. */
  readonly id: number;
  /** Why, as in the log; `failed` if no child could be started. */
  readonly reason: string;
  /** Its address, `ip:port`, or `unix`. */
  readonly client: string;
}

/** Receives durations, in seconds, and refusals. Its functions must not throw. */
export interface Observer {
  /** A child was started; `seconds` is how long that blocked the server. */
  spawned(seconds: number): void;
  /**
   * A client was sent the first byte of its child, which took the server and the child `seconds`:
   * from when its handshakes were done, or it was accepted if there were none, without the time for
   * which the child waited for the client's first byte.
   */
  answered(seconds: number): void;
  /** A session ended, `seconds` after it began. */
  ended(seconds: number): void;
  /** A client was refused. */
  refused(refusal: RefusedClient): void;
}

/** Ignores everything. */
export const NO_OBSERVER: Observer = { spawned() {}, answered() {}, ended() {}, refused() {} };
