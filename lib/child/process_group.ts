/**
 * The process group of a child: the child and everything it has started that has not left the group.
 * Its number is the child's process id, and the kernel gives that id to nobody else for as long as
 * the group has a member, even after the child itself has been reaped (Linux: kernel/pid.c).
 *
 * @module
 */

/** The interval between two looks at a group grows from the first to the second, in milliseconds. */
const POLL_MS = [1, 50] as const;

/**
 * Sends a signal to every process of the group; 0 only asks whether there is one. Needs an
 * `--allow-run` without a list.
 *
 * @returns Whether the group exists. One that does not exist may not exist *yet*: a child is in the
 * group of its parent until setsid(1) has run.
 */
export function signalGroup(id: number, signal: Deno.Signal | 0): boolean {
  try {
    Deno.kill(-id, signal as Deno.Signal); // the type has no 0, the runtime does (kill(2))
    return true;
  } catch (error) {
    return error instanceof Deno.errors.PermissionDenied; // there, but of another user
  }
}

/**
 * Resolves when the group has no member any more, or when `isEnough` says so. Nobody tells a process
 * about the end of its grandchildren, so this asks.
 *
 * @param isEnough Is told how long the wait has been, in milliseconds.
 */
export async function groupEnd(id: number, isEnough: (waitedMs: number) => boolean): Promise<void> {
  const startedAtMs = performance.now();
  for (
    let waitMs: number = POLL_MS[0];
    signalGroup(id, 0);
    waitMs = Math.min(waitMs * 2, POLL_MS[1])
  ) {
    if (isEnough(performance.now() - startedAtMs)) return;
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}
