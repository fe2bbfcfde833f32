/**
 * The reasons for which a connection ends.
 *
 * @module
 */

/**
 * Why a connection ended:
 *
 * - `client-closed`: the client ended its input, then the child its output;
 * - `child-closed`: the child exited or ended its output first;
 * - `client-reset`: the client reset the connection or vanished;
 * - `protocol-error`: the client broke the rules of WebSocket, or sent too large a message;
 * - `eof-timeout`: the input had ended, or the child had exited, and no output came in time;
 * - `idle-timeout`: no byte moved in time;
 * - `session-timeout`: it had lasted as long as it may;
 * - `drain-timeout`: the server was shutting down, and the connection had not ended in time;
 * - `killed`: the server was killed by a second signal.
 */
export const END_REASONS = [
  "client-closed",
  "child-closed",
  "client-reset",
  "protocol-error",
  "eof-timeout",
  "idle-timeout",
  "session-timeout",
  "drain-timeout",
  "killed",
] as const;

/** See {@linkcode END_REASONS}. */
export type EndReason = (typeof END_REASONS)[number];
