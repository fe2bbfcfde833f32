/**
 * The memory of children, for those who ask for the status.
 *
 * Deno lets nobody read `/proc` without all permissions (seen on 2.9), but cat(1) may, and a server
 * that may run anything may run it. It does so in its own process and at most every few seconds, so
 * the service does not notice. Where cat may not be run, or there is no such `/proc`, nothing is
 * known.
 *
 * @module
 */

import { LimitedBytesTransformStream } from "npm:deno-std@^1.4.0/streams/limited_bytes_transform_stream.js";

/** For how long a number is good enough, in milliseconds. */
const FRESH_MS = 5_000;
/** How long cat(1) may take, in milliseconds. */
const TIMEOUT_MS = 2_000;
/** More than one smaps_rollup has. */
const MAX_FILE_BYTES = 4_096;

/** The memory of children, as it was a few seconds ago. */
export class ChildrenMemory {
  #bytes: Promise<number | undefined> = Promise.resolve(undefined);
  #atMs = -Infinity;

  /**
   * The proportional set sizes of these processes: memory that several share counts in part for
   * each of them (Linux: proc_pid_smaps(5)). `undefined` if it cannot be known.
   */
  bytes(pids: () => readonly number[]): Promise<number | undefined> {
    const now = performance.now();
    if (now - this.#atMs >= FRESH_MS) {
      this.#atMs = now;
      this.#bytes = measure(pids()).catch(() => undefined);
    }
    return this.#bytes;
  }
}

async function measure(pids: readonly number[]): Promise<number | undefined> {
  if (Deno.build.os !== "linux" || !mayRunCat()) return undefined;
  if (pids.length === 0) return 0;
  const cat = new Deno.Command("cat", {
    args: pids.map((pid) => `/proc/${pid}/smaps_rollup`),
    stdin: "null",
    stdout: "piped",
    stderr: "null", // about those that have gone
  }).spawn();
  // What calls itself cat may hang, write without end, or leave its output to another process.
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const limit = new LimitedBytesTransformStream(pids.length * MAX_FILE_BYTES, { error: true });
    return sumOf(await new Response(cat.stdout.pipeThrough(limit, { signal: timeout })).text());
  } finally {
    try {
      cat.kill("SIGKILL");
    } catch { /* it has ended */ }
    await cat.status;
  }
}

/** The sum of what files of the kind of smaps_rollup say; `undefined` if there is none. */
export function sumOf(files: string): number | undefined {
  const sizes = [...files.matchAll(/^Pss: +(\d+) kB$/gm)];
  if (sizes.length === 0) return undefined;
  return sizes.reduce((sum, [, size]) => sum + Number(size), 0) * 1024;
}

/** Asked beforehand, so that Deno asks no one at a terminal. */
function mayRunCat(): boolean {
  return Deno.permissions.querySync({ name: "run", command: "cat" }).state === "granted";
}
