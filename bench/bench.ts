/**
 * The bench: spawnd beside its peers with the same handler, in interleaved rounds on the loopback,
 * so that whatever the machine does at the moment it does to all of them.
 *
 *     deno task bench                      everything; some minutes
 *     deno task bench --only first,rtt     some of it
 *     deno task bench --rounds 9 --json    more rounds, and the samples
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import type { Load, Measure } from "./load.ts";
import { type Candidate, findServers, type Handler, Running } from "./servers.ts";

/** One comparison: what is measured, how, and which servers can take part. */
interface Row {
  readonly group: "first" | "burst" | "steady" | "rtt" | "rate" | "bulk";
  readonly title: string;
  readonly unit: "ms" | "µs" | "connections/s" | "MB/s";
  readonly handler: Handler;
  readonly load: Omit<Load, "port" | "service" | "measure"> & { readonly measure: Measure };
  /** Options of spawnd beyond its defaults. */
  readonly options?: string[];
}

const ROWS: Row[] = [
  {
    group: "first",
    title: "first reply on a new connection, Deno handler",
    unit: "ms",
    handler: "deno",
    load: { measure: "first", clients: 20 },
  },
  {
    group: "first",
    title: "first reply, native handler, spawnd with --warm 4",
    unit: "ms",
    handler: "native",
    load: { measure: "first", clients: 20 },
    options: ["--warm", "4"],
  },
  {
    group: "first",
    title: "first reply, native handler, all cold",
    unit: "ms",
    handler: "native",
    load: { measure: "first", clients: 20 },
  },
  {
    group: "burst",
    title: "64 clients at once, Deno handler, spawnd with --warm 64: the last first reply",
    unit: "ms",
    handler: "deno",
    load: { measure: "burst", clients: 64 },
    options: ["--warm", "64"],
  },
  ...[50, 80].map((rate): Row => ({
    group: "steady",
    title: `first reply at ${rate} arrivals a second, each staying 200 ms, Deno handler`,
    unit: "ms",
    handler: "deno",
    load: { measure: "steady", clients: rate * 3, rate },
  })),
  {
    group: "rtt",
    title: "round trip, Deno handler",
    unit: "µs",
    handler: "deno",
    load: { measure: "rtt", clients: 2000 },
  },
  {
    group: "rate",
    title: "short connections by 16 clients, Deno handler",
    unit: "connections/s",
    handler: "deno",
    load: { measure: "rate", clients: 100 },
  },
  {
    group: "rate",
    title: "short connections by 16 clients, native handler",
    unit: "connections/s",
    handler: "native",
    load: { measure: "rate", clients: 800 },
  },
  ...[1, 16].map((clients): Row => ({
    group: "bulk",
    title: `bytes there and back over ${clients} connection${clients > 1 ? "s" : ""}, cat`,
    unit: "MB/s",
    handler: "native",
    load: { measure: "bulk", clients, megabytes: 256 / clients },
  })),
];

/** What came out for one server. */
interface Result {
  readonly server: string;
  readonly samples: number[];
  /** Why there are none, or no more. */
  error?: string;
}

/** The value below which `share` of the samples are. */
function percentile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

/** Runs the load in a process of its own. */
async function run(load: Load): Promise<number[]> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--allow-net"],
      ...[new URL("load.ts", import.meta.url).href, JSON.stringify(load)],
    ],
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(60_000),
  }).output();
  const decoder = new TextDecoder();
  if (success) return JSON.parse(decoder.decode(stdout));
  const [line = "it took too long"] = decoder.decode(stderr).split("\n");
  throw new Error(line.replace(/^error: (Uncaught )?(\(in promise\) )?(Error: )?/, ""));
}

/** Measures all servers of a row, round by round, every round in another order. */
async function measure(
  row: Row,
  servers: readonly Candidate[],
  rounds: number,
  progress: (text: string) => void,
): Promise<Result[]> {
  const { handler } = row;
  await using stack = new AsyncDisposableStack();
  const taking = servers.filter(({ isCounter }) => !(isCounter && row.group === "bulk"));
  const entries = await Promise.all(taking.map(async (server) => {
    const running = await Running.start(server, handler, row.options ?? []);
    stack.use(running);
    const service = handler === "deno" || server.isCounter ? "counter" : "echo";
    const result: Result = { server: server.name, samples: [] };
    return { result, load: { ...row.load, port: running.port, service } satisfies Load };
  }));
  // The pool has time to fill; what is compiled or read once is.
  await new Promise((resolve) => setTimeout(resolve, 3000));
  for (let round = -1; round < rounds; round++) {
    const turn = (round + 1) % entries.length;
    for (const { result, load } of [...entries.slice(turn), ...entries.slice(0, turn)]) {
      if (result.error !== undefined) continue;
      progress(`${row.title}: round ${round + 1} of ${rounds}, ${result.server}`);
      try {
        const warmUp = { ...load, clients: Math.min(load.clients, 16), megabytes: 4 };
        const samples = await run(round < 0 ? warmUp : { ...load, seed: round });
        if (round >= 0) result.samples.push(...samples);
      } catch (error) {
        result.error = error instanceof Error ? error.message : String(error);
      }
      await new Promise((resolve) => setTimeout(resolve, row.group === "burst" ? 1500 : 100));
    }
  }
  return entries.map(({ result }) => result);
}

/** A row's results as a table in Markdown, spawnd first. */
function tableOf(row: Row, results: readonly Result[]): string {
  const ours = percentile(results[0]!.samples, 0.5);
  const lines = results.map(({ server, samples, error }) => {
    if (error !== undefined) return `| ${server} | failed: ${error} | | |`;
    const p50 = percentile(samples, 0.5);
    const p99 = samples.length >= 50 ? percentile(samples, 0.99).toPrecision(3) : "";
    return `| ${server} | ${p50.toPrecision(3)} | ${p99} | ${(ours / p50).toFixed(3)} |`;
  });
  return [
    `### ${row.title}`,
    "",
    `| server | median (${row.unit}) | p99 | spawnd ÷ it |`,
    "| --- | ---: | ---: | ---: |",
    ...lines,
    "",
  ].join("\n");
}

async function main(): Promise<void> {
  const { only, rounds, json } = parseArgs(Deno.args, {
    string: ["only", "rounds"],
    boolean: ["json"],
    default: { rounds: "5" },
  });
  const groups = new Set(ROWS.map(({ group }) => group as string));
  const wanted: string[] = only === undefined ? [...groups] : only.split(",");
  const unknown = wanted.find((group) => !groups.has(group));
  if (unknown !== undefined || !(Number(rounds) >= 1)) {
    console.error(`--only takes ${[...groups].join(",")}; --rounds a number from 1`);
    Deno.exit(2);
  }
  const folder = await Deno.makeTempDir();
  const isTerminal = Deno.stderr.isTerminal();
  const progress = (text: string) =>
    isTerminal && Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
  try {
    const { servers, missing } = await findServers(folder);
    for (const { name, package: source } of missing) {
      console.error(`not here: ${name} (apt-get install ${source})`);
    }
    const all = [];
    for (const row of ROWS.filter(({ group }) => wanted.includes(group))) {
      const results = await measure(row, servers, Number(rounds), progress);
      progress("");
      if (!json) console.log(tableOf(row, results));
      all.push({ ...row, results });
    }
    if (json) console.log(JSON.stringify(all, null, 2));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

await main();
