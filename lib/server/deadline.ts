/**
 * The deadline of a session: when, and for which reason, it ends if nothing moves any more. Pure
 * policy over flows and limits.
 *
 * @module
 */

import type { Flow } from "../base/relay.ts";
import { readingTimeMs } from "../net/connection.ts";

/** The time limits of a session, in milliseconds. */
export interface SessionTimeouts {
  /** How long a child may be silent after its client's input has ended; 0 is no limit. */
  readonly eofTimeoutMs: number;
  /** How long the session may go without a byte read or written; 0 is no limit. */
  readonly idleTimeoutMs: number;
  /** How long the session may last; 0 is no limit. */
  readonly sessionTimeoutMs: number;
  /** How long each step of the stop ladder waits. */
  readonly killTimeoutMs: number;
}

/** What a deadline depends on; times are on the clock of `performance.now()`. */
export interface SessionProgress {
  readonly startedAtMs: number;
  /** Client to child. */
  readonly inbound: Flow;
  /** Child to client. */
  readonly outbound: Flow;
  /** Since when the eof timeout applies, if it does yet. */
  readonly silentSinceMs: number | undefined;
}

/** When a session ends, and why. */
export interface Deadline {
  readonly atMs: number;
  readonly reason: "session-timeout" | "idle-timeout" | "eof-timeout";
}

/** When a byte was last read or written, on either side. */
export function lastActivityMs({ startedAtMs, inbound, outbound }: SessionProgress): number {
  return Math.max(
    startedAtMs,
    inbound.readAtMs,
    inbound.writtenAtMs,
    outbound.readAtMs,
    outbound.writtenAtMs,
  );
}

/** The earliest deadline that applies, or `undefined` if none does. */
export function deadlineOf(
  progress: SessionProgress,
  { eofTimeoutMs, idleTimeoutMs, sessionTimeoutMs }: SessionTimeouts,
  nowMs: number,
): Deadline | undefined {
  const { startedAtMs, outbound, silentSinceMs } = progress;
  let first: Deadline | undefined;
  const consider = (reason: Deadline["reason"], limitMs: number, sinceMs: number) => {
    const atMs = sinceMs + limitMs;
    if (limitMs > 0 && atMs < (first?.atMs ?? Infinity)) first = { atMs, reason };
  };
  consider("session-timeout", sessionTimeoutMs, startedAtMs);
  const extensionMs = outbound.writing ? readingTimeMs(outbound.bytes) : 0;
  consider("idle-timeout", idleTimeoutMs, lastActivityMs(progress) + extensionMs);
  if (silentSinceMs !== undefined) {
    // While output waits for a slow client, the child is not silent.
    const outputAtMs = outbound.writing ? nowMs : outbound.readAtMs;
    consider("eof-timeout", eofTimeoutMs, Math.max(silentSinceMs, outputAtMs));
  }
  return first;
}
