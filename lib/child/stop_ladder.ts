/**
 * The stop ladder: how a child is ended, and what it has started with it. Its stdin is closed, then
 * its process group gets the stop signal, then SIGKILL, with a wait after each of the first two.
 * Nothing in the group outlives it.
 *
 * @module
 */

import { settlesWithin } from "../base/settles_within.ts";

/** The signals that can be the first of the stop ladder. */
export const STOP_SIGNALS = [
  "SIGTERM",
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
] as const;

/** The signals of the stop ladder. */
export type StopSignal = (typeof STOP_SIGNALS)[number] | "SIGKILL";

/** What the ladder needs of a child. */
export interface Stoppable {
  /** Resolves when it has been reaped. */
  readonly exited: Promise<unknown>;
  /** Resolves when nothing of its group is left either. */
  readonly ended: Promise<unknown>;
  /** Whether nothing of it is left. */
  readonly hasEnded: boolean;
  /** Closes its stdin. Never rejects. */
  closeWrite(): Promise<void>;
  /** Sends a signal to its group, unless that has ended. */
  kill(signal: StopSignal): void;
}

/** How the ladder is climbed. */
export interface LadderOptions {
  /** The first signal. */
  readonly stopSignal: StopSignal;
  /** How long each wait is, in milliseconds. */
  readonly killTimeoutMs: number;
  /** The first wait, where it is another: a child may already have had time since end of input. */
  readonly graceMs?: number;
}

/** Ends a child; resolves when nothing of it is left. */
export async function stopByLadder(child: Stoppable, options: LadderOptions): Promise<void> {
  child.closeWrite();
  await settlesWithin(child.exited, options.graceMs ?? options.killTimeoutMs);
  await signalUntilEnded(child, options); // what the child has left behind has nobody to talk to
}

/** Ends what a child leaves behind when it exits by itself; that may have output left to write. */
export async function stopRemains(child: Stoppable, options: LadderOptions): Promise<void> {
  await child.exited;
  await settlesWithin(child.ended, options.killTimeoutMs);
  await signalUntilEnded(child, options);
}

async function signalUntilEnded(
  child: Stoppable,
  { stopSignal, killTimeoutMs }: LadderOptions,
): Promise<void> {
  if (child.hasEnded) return;
  child.kill(stopSignal);
  if (await settlesWithin(child.ended, killTimeoutMs)) return;
  child.kill("SIGKILL");
  await child.ended;
}
