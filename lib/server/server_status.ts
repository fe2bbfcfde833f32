/**
 * A server's numbers, for the log, the status listener and users of the library.
 *
 * @module
 */

import type { RefusalReason } from "../admission/intake.ts";
import type { StopSignal } from "../child/stop_ladder.ts";

/** A server's numbers at one moment. */
export interface ServerStatus {
  /**
   * Connections accepted since the start: the sum of `active`, `waiting`, `served`, `failed` and
   * `refused`, apart from those in a handshake.
   */
  accepted: number;
  /** Connections being served. */
  active: number;
  /** Connections waiting for a slot. */
  waiting: number;
  /** Connections served to their end. */
  served: number;
  /** Connections refused because no child could be started. */
  failed: number;
  /** Connections not served for another reason. */
  refused: Record<RefusalReason, number>;
  /** Children waiting for a client. */
  warm: number;
  /** Children started. */
  spawned: number;
  /** Children that could not be started. */
  unspawned: number;
  /** Children that needed a signal to end, by the last signal they were sent. */
  killed: Record<StopSignal, number>;
  /** Bytes that children have taken from their clients. */
  bytesIn: number;
  /** Bytes that clients have taken from their children. */
  bytesOut: number;
}

/** The counts above 0: most reasons never occur, and a log line should be short. */
export function nonZero(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}
