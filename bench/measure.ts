/**
 * Measures one row: all its servers in interleaved rounds, so that a disturbance of the machine
 * affects all of them. A server that fails is left out from then on, and its error is kept.
 *
 * @module
 */

import type { Load, Measure, Target } from "./load.ts";
import { LoadProcess } from "./load_process.ts";
import { countBelow } from "./processes.ts";
import { showProgress } from "./progress.ts";
import type { Result } from "./report.ts";
import type { Row } from "./rows.ts";
import { Running } from "./running.ts";
import { type Candidate, type Certificate, REFERENCES } from "./servers.ts";

/** Memory and processor time differ little from one run of a server to the next. */
const FOOTPRINT_ROUNDS = 3;

/** For how long clients arrive at a share of the capacity: long enough for a queue to show. */
const ARRIVALS_S = 8;

/** Loads that need a pool that is full again. */
const AT_ONCE: ReadonlySet<Measure> = new Set(["burst", "last", "arrivals"]);

/** How long a server may take to end the processes of a load, in milliseconds. */
const SETTLE_MS = 15_000;

/** What the rows of one run have in common. */
export interface Setting {
  readonly servers: readonly Candidate[];
  /** For the rows with TLS. */
  readonly certificate: Certificate | undefined;
  readonly rounds: number;
  /** What shares of the capacity refer to, in connections per second. */
  readonly capacity: number | undefined;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Measures all servers of a row, round by round, each round in a different order. */
export async function measure(row: Row, setting: Setting): Promise<Result[]> {
  const servers = setting.servers.filter((server) => takesPart(server, row));
  const results = servers.map(({ name }): Result => ({ server: name, rounds: [] }));
  await using running = new AsyncDisposableStack();
  const start = (server: Candidate) =>
    Running.start(server, {
      handler: row.handler,
      options: row.options ?? [],
      certificate: row.isTls ? setting.certificate : undefined,
      isWebSocket: row.isWebSocket ?? false,
    });

  const load = loadOf(row, setting.capacity);
  let rounds = setting.rounds;
  let sample: (index: number, round: number) => Promise<number[]>;
  if (load) {
    const targets = await Promise.all(servers.map(async (server, index) => {
      try {
        return running.use(await start(server)).target;
      } catch (error) {
        results[index]!.error = messageOf(error);
      }
    }));
    await pause(3000); // time for the pool to fill
    const idle = countBelow(Deno.pid);
    const settleMs = AT_ONCE.has(load.measure) ? 1500 : 100;
    sample = async (index, round) => {
      await settle(idle);
      await pause(settleMs);
      return await samplesOf({ ...load, ...targets[index]!, seed: round });
    };
    // Warms up what is compiled or read only once.
    const warmUp = { ...load, clients: Math.min(load.clients, 16), megabytes: 4 };
    for (const [index, target] of targets.entries()) {
      if (target === undefined) continue;
      await samplesOf({ ...warmUp, ...target }).catch((error) => {
        results[index]!.error = messageOf(error);
      });
    }
  } else {
    sample = async (index) => {
      await using instance = await start(servers[index]!);
      return [await row.footprint!(instance.pid, instance.target)];
    };
    rounds = Math.min(rounds, FOOTPRINT_ROUNDS);
  }

  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < results.length; turn++) {
      const index = (round + turn) % results.length;
      const result = results[index]!;
      if (result.error !== undefined) continue;
      showProgress(`${row.title}: round ${round + 1} of ${rounds}, ${result.server}`);
      try {
        result.rounds.push(await sample(index, round));
      } catch (error) {
        result.error = messageOf(error);
      }
    }
  }
  return results;
}

/** Whether a server is measured in a row. */
function takesPart(server: Candidate, row: Row): boolean {
  const { name, command, tlsCommand, webSocketCommand } = server;
  if (REFERENCES.includes(name)) return row.references?.includes(name) ?? false;
  if (name !== "spawnd" && row.hasPeers === false) return false;
  return (row.isTls ? tlsCommand : row.isWebSocket ? webSocketCommand : command) !== undefined;
}

function loadOf(
  { load, share }: Row,
  capacity: number | undefined,
): Omit<Load, keyof Target> | undefined {
  if (share === undefined) return load;
  if (capacity === undefined) throw new Error("no server has sustained any connections");
  const rate = share * capacity;
  return { measure: "arrivals", rate, clients: Math.ceil(rate * ARRIVALS_S) };
}

/** Waits until no more processes run than on idle servers: one must not disturb the next. */
async function settle(idle: number): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  while (countBelow(Deno.pid) > idle && performance.now() < deadline) await pause(50);
}

async function samplesOf(load: Load): Promise<number[]> {
  await using process = new LoadProcess(load);
  return await process.receive();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
