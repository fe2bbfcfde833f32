/**
 * What open connections cost the server itself, without its handlers: memory for each connection, and
 * processor time for an exchange while many others are open. Reads /proc, so it needs Linux.
 *
 * @module
 */

import type { Target } from "./load.ts";
import { LoadProcess } from "./load_process.ts";
import { processes } from "./processes.ts";

const FEW = 10;
const MANY = 1_500;

/**
 * Kibibytes for each further idle connection, up to 1,500: the memory of the server's processes, with
 * shared pages divided among those that share them (smaps_rollup, proc(5)). It includes neither the
 * handler's processes nor the kernel's buffers.
 */
export async function memoryOf(pid: number, target: Target, handler: string): Promise<number> {
  await using _few = await hold(target, FEW);
  const before = memory(pid, handler);
  await using _many = await hold(target, MANY - FEW);
  return Math.max(0, memory(pid, handler) - before) / (MANY - FEW);
}

/** Microseconds of the server's processor time for an exchange, with `open` connections open. */
export async function processorTimeOf(pid: number, target: Target, open: number): Promise<number> {
  const exchanges = 20_000; // enough for some hundred clock ticks
  await using _held = await hold(target, open - 1);
  const before = processorTime(pid);
  await using load = new LoadProcess({ ...target, measure: "rtt", clients: exchanges });
  await load.receive();
  return (processorTime(pid) - before) / exchanges;
}

/** Opens connections that stay open until they are disposed of. */
async function hold(target: Target, clients: number): Promise<LoadProcess> {
  const load = new LoadProcess({ ...target, measure: "hold", clients });
  await load.receive();
  // Time for the server to finish, and free, what it does after a reply.
  await new Promise((resolve) => setTimeout(resolve, 2000));
  return load;
}

function memory(root: number, handler: string): number {
  const all = processes();
  const memoryBelow = (pid: number): number => {
    const maps = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
    const own = Number(/^Pss:\s+(\d+) kB$/m.exec(maps)?.[1] ?? 0);
    return all.filter(({ parent, name }) => parent === pid && name !== handler)
      .reduce((sum, child) => sum + memoryBelow(child.pid), own);
  };
  return memoryBelow(root);
}

/** Microseconds of processor time that a process has used, in steps of 10 ms (stat, proc(5)). */
function processorTime(pid: number): number {
  const [, afterName] = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ");
  const fields = afterName!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}
