/**
 * The bench: spawnd and its peers with the same handler, in interleaved rounds on the loopback, so
 * that a disturbance of the machine affects all of them.
 *
 *     deno task bench                      everything; takes some minutes
 *     deno task bench --only first,rtt     some of it
 *     deno task bench --rounds 9 --json    more rounds, and the samples
 *     deno task bench --save               writes results.md and results.svg too
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import type { Load, Target } from "./load.ts";
import { LoadProcess } from "./load_process.ts";
import { showProgress } from "./progress.ts";
import { type Measured, pictureOf, type Result, summaryOf, tableOf } from "./report.ts";
import { GROUPS, type Row, ROWS } from "./rows.ts";
import { type Candidate, findServers, Running } from "./servers.ts";

/** Memory and processor time differ little from one run of a server to the next. */
const FOOTPRINT_ROUNDS = 3;

const USAGE = `deno task bench [--only GROUPS] [--rounds N] [--json] [--save]

  --only GROUPS  some of ${GROUPS.join(",")}
  --rounds N     how often each server is measured (5)
  --json         print the samples
  --save         write results.md and results.svg`;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Measures all servers of a row, round by round, each round in a different order. */
async function measure(
  row: Row,
  candidates: readonly Candidate[],
  rounds: number,
): Promise<Result[]> {
  const servers = candidates.filter(({ name, isCounter }) =>
    row.only === "spawnd" ? name === "spawnd" : !(row.only === "handlers" && isCounter)
  );
  const results = servers.map(({ name }): Result => ({ server: name, rounds: [] }));
  await using running = new AsyncDisposableStack();
  const start = async (server: Candidate): Promise<[Running, Target]> => {
    const instance = await Running.start(server, row.handler, row.options ?? []);
    const isCounter = row.handler === "deno" || server.isCounter === true;
    return [instance, { port: instance.port, service: isCounter ? "counter" : "echo" }];
  };

  const { load, footprint } = row;
  let sample: (index: number, round: number) => Promise<number[]>;
  if (load) {
    const targets = await Promise.all(servers.map(async (server) => {
      const [instance, target] = await start(server);
      running.use(instance);
      return target;
    }));
    await pause(3000); // time for the pool to fill
    sample = async (index, round) => {
      await pause(row.group === "burst" ? 1500 : 100);
      return await samplesOf({ ...load, ...targets[index]!, seed: round });
    };
    // Warms up what is compiled or read only once.
    const warmUp = { ...load, clients: Math.min(load.clients, 16), megabytes: 4 };
    for (const target of targets) await samplesOf({ ...warmUp, ...target }).catch(() => {});
  } else {
    sample = async (index) => {
      await using stack = new AsyncDisposableStack();
      const [instance, target] = await start(servers[index]!);
      stack.use(instance);
      return [await footprint!(instance.pid, target)];
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
        result.error = error instanceof Error ? error.message : String(error);
      }
    }
  }
  return results;
}

async function samplesOf(load: Load): Promise<number[]> {
  await using process = new LoadProcess(load);
  return await process.receive();
}

/** The machine and the versions behind the figures, in one line. */
async function describe(servers: readonly Candidate[]): Promise<string> {
  const cpu = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  const model = /^model name\s*:\s*(.+)$/m.exec(cpu)?.[1] ?? Deno.build.arch;
  const peers = servers.filter(({ package: source, isCounter }) => source && !isCounter);
  const versions = await Promise.all(peers.map(async ({ name, package: source }) => {
    const args = ["-W", "-f", "${Version}", source!];
    const output = await new Deno.Command("dpkg-query", { args }).output().catch(() => undefined);
    return output?.success ? `${name} ${new TextDecoder().decode(output.stdout)}` : name;
  }));
  return [
    `${navigator.hardwareConcurrency} cores of ${model}`,
    `${Deno.build.os} ${/^[\d.]+/.exec(Deno.osRelease())}`,
    `Deno ${Deno.version.deno}`,
    ...versions,
    new Date().toISOString().slice(0, 10),
  ].join(", ");
}

/** What the command line asks for. */
interface Arguments {
  readonly groups: readonly string[];
  readonly rounds: number;
  readonly json: boolean;
  readonly save: boolean;
}

/** Reads the command line; prints what it takes and exits if it is asked for that or is wrong. */
function readArguments(): Arguments {
  const wrong: string[] = [];
  const { help, only, rounds, json, save } = parseArgs(Deno.args, {
    string: ["only", "rounds"],
    boolean: ["json", "save", "help"],
    alias: { help: "h" },
    default: { rounds: "5" },
    unknown: (arg: string) => void wrong.push(`unknown argument ${JSON.stringify(arg)}`),
  });
  if (help) {
    console.log(USAGE);
    Deno.exit(0);
  }
  const groups: string[] = only?.split(",") ?? [...GROUPS];
  const isKnown = groups.every((group) => (GROUPS as readonly string[]).includes(group));
  if (!isKnown) wrong.push(`--only takes ${GROUPS.join(",")}`);
  if (!/^[1-9]\d{0,5}$/.test(rounds)) wrong.push("--rounds takes a number from 1");
  if (wrong.length > 0) {
    console.error(`${wrong.join("\n")}\n${USAGE}`);
    Deno.exit(2);
  }
  return { groups, rounds: Number(rounds), json, save };
}

async function main(): Promise<void> {
  const { groups, rounds, json, save } = readArguments();
  const folder = await Deno.makeTempDir();
  try {
    const { servers, missing } = await findServers(folder);
    for (const { name, package: source } of missing) {
      console.error(`not installed: ${name} (apt-get install ${source})`);
    }
    const all: Measured[] = [];
    for (const row of ROWS.filter(({ group }) => groups.includes(group))) {
      all.push({ row, results: await measure(row, servers, rounds) });
      showProgress("");
      if (!json) console.log(tableOf(all.at(-1)!));
    }
    const caption = await describe(servers);
    if (json) console.log(JSON.stringify({ caption, all }, null, 2));
    else console.log(`${summaryOf(all)}\n\n${caption}`);
    if (save) {
      const here = new URL(".", import.meta.url);
      await Deno.writeTextFile(new URL("results.md", here), `${summaryOf(all)}\n\n${caption}\n`);
      await Deno.writeTextFile(new URL("results.svg", here), pictureOf(all, caption));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

await main();
