/**
 * The fuzz: servers with random options and handlers, under random clients and signals, one round
 * after the other. After each round, every connection must be accounted for, every answer right, and
 * nothing left over.
 *
 *     deno task fuzz 300          # seconds; 60 by default
 *     deno task fuzz 300 42       # the rounds of this seed
 *     deno task fuzz 1 42 7       # its seventh round alone
 *
 * The seed decides what is planned; when it happens to meet what, the machine decides.
 *
 * @module
 */

import { showProgress } from "../bench/progress.ts";
import { readArguments } from "./_arguments.ts";
import { Certificates } from "./_certificates.ts";
import { describePlan, planRound } from "./_fuzz_plan.ts";
import { RoundError, runRound } from "./_fuzz_round.ts";

const USAGE = `deno task fuzz [SECONDS] [SEED] [ROUND]

Starts rounds of random servers, clients and signals for SECONDS (60), those of a SEED (random)
from a ROUND (1) on. A round takes about five seconds.`;

/** Prints why a round failed, and how to repeat it. */
function report(error: unknown, seed: number, round: number): void {
  console.error(`round ${round} failed: ${error instanceof Error ? error.message : error}`);
  if (error instanceof RoundError) {
    console.error([error.command, "the end of its log:", ...error.lines].join("\n"));
  }
  console.error(`again: deno task fuzz 1 ${seed} ${round}`);
}

async function main(): Promise<number> {
  const [seconds, seed, first] = readArguments(USAGE, [
    ["SECONDS", 1, 60],
    ["SEED", 0, Math.floor(Math.random() * 1e9)],
    ["ROUND", 1, 1],
  ]) as [number, number, number];
  console.log(`seed ${seed}`);
  const certificates = await Certificates.make().catch(() => undefined);
  if (!certificates) console.log("without TLS: openssl is not installed");
  const files = { folder: await Deno.makeTempDir(), certificates };
  const began = performance.now();
  const total = { connections: 0, answers: 0 };
  let round = first;
  try {
    for (; performance.now() - began < seconds * 1000; round++) {
      const plan = planRound(seed, round);
      console.log(describePlan(plan));
      const left = Math.ceil(seconds - (performance.now() - began) / 1000);
      showProgress(`${total.connections} connections so far, ${left} s left`);
      const tally = await runRound(plan, files);
      showProgress("");
      total.connections += tally.connections;
      total.answers += tally.answers;
    }
  } catch (error) {
    showProgress("");
    report(error, seed, round);
    return 1;
  } finally {
    await Deno.remove(files.folder, { recursive: true });
    await certificates?.[Symbol.asyncDispose]();
  }
  console.log(
    `ok: rounds ${first} to ${round - 1}, ${total.connections} connections, ` +
      `${total.answers} of them with a whole answer that was due`,
  );
  return 0;
}

Deno.exit(await main());
