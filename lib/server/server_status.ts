/**
 * A server's numbers, for the log, the status listener and users of the library.
 *
 * @module
 */

import type { RefusalReason } from "../admission/intake.ts";
import type { EndReason } from "./end_reason.ts";

/** A server's numbers at one moment. */
export interface ServerStatus {
  /**
   * Connections accepted since the start: the sum of `active`, `waiting`, `ended`, `failed` and
   * `refused`, apart from those in a handshake.
   */
  accepted: number;
  /** Connections that have a slot: being served, or waiting for the start of their child. */
  active: number;
  /** Connections waiting for a slot. */
  waiting: number;
  /** Connections served to their end. */
  ended: number;
  /** The same, by the reason for which they ended. */
  endReasons: Readonly<Record<EndReason, number>>;
  /** Connections refused because no child could be started. */
  failed: number;
  /** Connections not served for another reason. */
  refused: Record<RefusalReason, number>;
  /** Children waiting for a client. */
  warm: number;
  /** Children started. */
  spawned: number;
  /** Children that failed to start. */
  spawnFailures: number;
  /** Children that have ended, by exit code or signal. */
  exits: Readonly<Record<string, number>>;
  /**
   * Whether the children of its latest clients have all failed, as the log has warned; until one
   * succeeds.
   */
  failing: boolean;
  /** Children that needed a signal to end, by the last signal they were sent. */
  killed: Readonly<Record<string, number>>;
  /** How many connections may be served, how many may wait, and how many children are kept warm. */
  limits: { readonly connections: number; readonly queue: number; readonly warm: number };
  /** Bytes that children have taken from their clients. */
  bytesIn: number;
  /** Bytes that clients have taken from their children. */
  bytesOut: number;
}

/** One connection that is being served, at one moment. */
export interface ConnectionStatus {
  /** Its number in the log. */
  readonly id: number;
  /** The client's address, `ip:port`, or `unix`. */
  readonly client: string;
  /** The child's process id. */
  readonly pid: number;
  /** Whether the child was started before the client connected. */
  readonly start: "warm" | "cold";
  /** How long it has been served. */
  readonly seconds: number;
  /** How long ago the last byte moved, in either direction. */
  readonly idleSeconds: number;
  /** Bytes that the child has taken. */
  readonly bytesIn: number;
  /** Bytes that the client has taken. */
  readonly bytesOut: number;
}

/** What tells the status of a service. */
export interface StatusSource {
  /** Where it listens. */
  readonly addresses: readonly string[];
  /** The handler's name. */
  readonly handler: string;
  /** The process ids of its children, warm ones too. */
  readonly pids: readonly number[];
  /** Whether it is shutting down or has shut down. */
  readonly isDraining: boolean;
  /** Whether a client that connects now would be served or queued. */
  readonly isReady: boolean;
  /** Its numbers now. */
  status(): ServerStatus;
  /** The connections being served, oldest first. */
  connections(): ConnectionStatus[];
}

/** The counts above 0: most reasons never occur, and a log line should be short. */
export function nonZero(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}
