/**
 * What Linux knows about a running process: its children, descriptors and memory, and whether it
 * waits (proc(5)).
 *
 * @module
 */

import { untilSteady } from "./_waiting.ts";

/** The process ids of the children of `pid`, zombies included (Linux: proc(5)). */
export function childrenOf(pid: number): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((candidate) => {
    try {
      return candidate &&
        new RegExp(`^PPid:\\s+${pid}$`, "m").test(
          Deno.readTextFileSync(`/proc/${candidate}/status`),
        );
    } catch (error) {
      if (hasEnded(error)) return false;
      throw error;
    }
  });
}

/** Whether a process exists and is not a zombie. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch (error) {
    if (hasEnded(error)) return false;
    throw error;
  }
}

/** Whether reading from /proc failed because the process has gone. */
function hasEnded(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || /No such process/.test(String(error));
}

/** What /proc has on a process (Linux: proc(5)); empty if it has just ended. */
export function readProc(pid: number, file: string): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/${file}`);
  } catch (error) {
    if (hasEnded(error)) return "";
    throw error;
  }
}

/** Whether a process is blocked reading from a pipe (Linux: proc(5)). */
export function waitsForInput(pid: number): boolean {
  return /pipe_read$/.test(readProc(pid, "wchan"));
}

/** The number of descriptors that a process has open. */
export function descriptorsOf(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

/** A process's resident memory, in bytes. */
export function memoryOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))![1]) *
    1024;
}

/** Waits until a process has written something and then stopped (Linux: proc(5)). */
export async function untilOutputStops(pid: number): Promise<void> {
  await untilSteady(`the output of process ${pid}`, () => {
    const io = Deno.readTextFileSync(`/proc/${pid}/io`);
    return Math.max(0, Number(/wchar: (\d+)/.exec(io)![1]) - 4096);
  });
}

/** The processes that have `NAME=value` in their environment, zombies excluded (Linux: proc(5)). */
export function processesWith(variable: string): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((candidate) => {
    try {
      return candidate &&
        Deno.readTextFileSync(`/proc/${candidate}/environ`).split("\0").includes(variable);
    } catch (error) {
      if (hasEnded(error) || error instanceof Deno.errors.PermissionDenied) return false;
      throw error;
    }
  });
}
