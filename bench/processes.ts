/**
 * The processes of this machine, read from /proc (Linux).
 *
 * @module
 */

/** A process. */
export interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly name: string | undefined;
}

/** All processes that have not ended; none without /proc. */
export function processes(): Process[] {
  const all: Process[] = [];
  try {
    for (const { name: pid } of Deno.readDirSync("/proc")) {
      if (/^\d+$/.test(pid)) all.push(...statusOf(pid));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return all;
}

/** How many processes `root` has started, and they in turn, that have not ended. */
export function countBelow(root: number, all: readonly Process[] = processes()): number {
  return all.filter(({ parent }) => parent === root)
    .reduce((count, { pid }) => count + 1 + countBelow(pid, all), 0);
}

/** Empty if it has ended in the meantime, or is a zombie. */
function statusOf(pid: string): [Process] | [] {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    const field = (name: string) => new RegExp(`^${name}:\\s+(.+)$`, "m").exec(status)?.[1];
    if (field("State")?.startsWith("Z")) return [];
    return [{ pid: Number(pid), parent: Number(field("PPid")), name: field("Name") }];
  } catch {
    return [];
  }
}
