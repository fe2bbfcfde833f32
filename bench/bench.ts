/**
 * The bench: spawnd and its peers with the same handler, in interleaved rounds on the loopback, so
 * that a disturbance of the machine affects all of them.
 *
 *     deno task bench                      everything; takes about three quarters of an hour
 *     deno task bench --only first,rtt     some of it
 *     deno task bench --rounds 9 --json    more rounds, and the samples
 *     deno task bench --save               writes results.md and results.svg too
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { makeCertificate } from "./certificate.ts";
import { measure } from "./measure.ts";
import { pictureOf } from "./picture.ts";
import { showProgress } from "./progress.ts";
import { capacityOf, type Measured, notesOf, summaryOf, tableOf } from "./report.ts";
import { CAPACITY, GROUPS, ROWS } from "./rows.ts";
import { type Candidate, findServers } from "./servers.ts";

const HERE = new URL(".", import.meta.url).pathname;

const USAGE = `deno task bench [--only GROUPS] [--rounds N] [--json] [--save [FOLDER]]

  --only GROUPS  some of ${GROUPS.join(",")};
                 load measures the capacity first
  --rounds N     how often each server is measured (5)
  --json         print the samples; null stands for a client without an answer
  --save FOLDER  write results.md and results.svg, by default to bench/`;

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
  /** Where the report is written, if it is. */
  readonly save: string | undefined;
}

/** Reads the command line; prints what it takes and exits if it is asked for that or is wrong. */
function readArguments(): Arguments {
  const wrong: string[] = [];
  const { help, only, rounds, json, save } = parseArgs(Deno.args, {
    string: ["only", "rounds", "save"],
    boolean: ["json", "help"],
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
  return { groups, rounds: Number(rounds), json, save: save === "" ? HERE : save };
}

async function main(): Promise<void> {
  const { groups, rounds, json, save } = readArguments();
  const folder = await Deno.makeTempDir();
  try {
    const { servers, missing } = await findServers(folder);
    for (const { name, package: source } of missing) {
      console.error(`not installed: ${name} (apt-get install ${source})`);
    }
    const certificate = await makeCertificate(folder);
    if (!certificate) console.error("not installed: openssl (apt-get install openssl)");
    const rows = ROWS.filter((row) =>
      groups.includes(row.group) || row === CAPACITY && groups.includes("load")
    ).filter(({ isTls }) => certificate || !isTls);
    const all: Measured[] = [];
    for (const row of rows) {
      const capacity = capacityOf(all)?.perSecond;
      const results = await measure(row, { servers, certificate, rounds, capacity });
      all.push({ row, results });
      showProgress("");
      if (!json) console.log(tableOf(all.at(-1)!));
    }
    const caption = await describe(servers);
    const report = [summaryOf(all), notesOf(all), caption].filter((part) => part !== "");
    if (json) console.log(JSON.stringify({ caption, all }, null, 2));
    else console.log(report.join("\n\n"));
    if (save !== undefined) {
      await Deno.mkdir(save, { recursive: true });
      await Deno.writeTextFile(`${save}/results.md`, `${report.join("\n\n")}\n`);
      await Deno.writeTextFile(`${save}/results.svg`, pictureOf(all, caption));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

await main();
