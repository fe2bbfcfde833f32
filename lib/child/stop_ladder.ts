/**
 * The stop ladder: how a child is ended. Its stdin is closed, then it gets SIGTERM, then SIGKILL,
 * with a wait after each of the first two. No child outlives it.
 *
 * @module
 */

import { settlesWithin } from "../base/settles_within.ts";

/** The signals of the stop ladder. */
export type StopSignal = "SIGTERM" | "SIGKILL";

/** What the ladder needs of a child. */
export interface Stoppable {
  /** Resolves when it has ended and has been reaped. */
  readonly exited: Promise<unknown>;
  /** Closes its stdin. Never rejects. */
  closeWrite(): Promise<void>;
  /** Sends a signal, unless it has been reaped. */
  kill(signal: StopSignal): void;
}

/**
 * Ends a child; resolves when it has been reaped.
 *
 * @param killTimeoutMs How long each wait is, in milliseconds.
 * @param graceMs The first wait; shorter if the child has already had time since end of input.
 */
export async function stopByLadder(
  child: Stoppable,
  killTimeoutMs: number,
  graceMs: number = killTimeoutMs,
): Promise<void> {
  child.closeWrite();
  if (await settlesWithin(child.exited, graceMs)) return;
  child.kill("SIGTERM");
  if (await settlesWithin(child.exited, killTimeoutMs)) return;
  child.kill("SIGKILL");
  await child.exited;
}
