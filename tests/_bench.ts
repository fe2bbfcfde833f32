/**
 * The load of the bench, with a deadline.
 *
 * @module
 */

import type { Load } from "../bench/load.ts";
import { LoadProcess } from "../bench/load_process.ts";
import { within } from "./_waiting.ts";

/** Runs a load in a process of its own; rejects with the load's own message. */
export async function samplesOf(load: Load): Promise<number[]> {
  await using process = new LoadProcess(load);
  return await within(load.measure, process.receive<number[]>());
}
