/**
 * The results of the bench, for people: tables in Markdown, and notes.
 *
 * @module
 */

import { ANSWER_MS } from "./load.ts";
import { CAPACITY, type Row } from "./rows.ts";
import { REFERENCES } from "./servers.ts";

/** The results of one server. */
export interface Result {
  readonly server: string;
  /** The samples of each round. Infinity stands for a client without an answer. */
  readonly rounds: number[][];
  /** Why there are no samples, or no more. */
  error?: string;
}

/** A row with its results, spawnd first. */
export interface Measured {
  readonly row: Row;
  readonly results: readonly Result[];
}

/** One figure of a row. */
export interface Line {
  readonly title: string;
  /** The figure of a server. */
  readonly of: (result: Result) => number;
}

/** The value that `share` of the samples are below. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

/** The median of the rounds' percentiles, so that one disturbed round does not count. */
function typical({ rounds }: Result, share: number): number {
  return percentile(rounds.map((samples) => percentile(samples, share)), 0.5);
}

/** The figures of a row: the median, and with a tail the 99th percentile (p99). */
export function linesOf({ title, hasTail }: Row): Line[] {
  const lines = [{ title, of: (result: Result) => typical(result, 0.5) }];
  if (hasTail) lines.push({ title: `${title}, p99`, of: (result) => typical(result, 0.99) });
  return lines;
}

/** Whether a server has a figure. */
export const isGood = ({ error, rounds }: Result): boolean =>
  error === undefined && rounds.length > 0;

/** The peers that have a figure, the best one first. */
function peersOf({ row, results }: Measured, { of }: Line): Result[] {
  return results.slice(1).filter((other) => isGood(other) && !REFERENCES.includes(other.server))
    .sort((a, b) => row.isRate ? of(b) - of(a) : of(a) - of(b));
}

/** A table of all servers of a row. */
export function tableOf({ row, results }: Measured): string {
  const ours = results[0]!;
  const lines = results.map((result) => {
    if (!isGood(result)) return `| ${result.server} | failed: ${result.error} | | |`;
    const [p50, p99] = [typical(result, 0.5), typical(result, 0.99)];
    const tail = result.rounds[0]!.length >= 100 ? number(p99) : "";
    const ratio = isGood(ours) ? ratioOf(typical(ours, 0.5), p50) : "";
    return `| ${result.server} | ${number(p50)} | ${tail} | ${ratio} |`;
  });
  return [
    `### ${row.title}`,
    "",
    `| server | median (${row.unit}) | p99 | spawnd ÷ server |`,
    "| --- | ---: | ---: | ---: |",
    ...lines,
    "",
  ].join("\n");
}

/** A table of all rows, each with its best peer and its first reference. */
export function summaryOf(all: readonly Measured[]): string {
  const lines = all.flatMap((measured) => {
    const { row, results } = measured;
    const ours = results[0]!;
    if (!isGood(ours)) return [`| ${row.title} | failed: ${ours.error} | | | | |`];
    const reference = results.find(({ server }) => server === row.references?.[0]);
    return linesOf(row).map((line) => {
      const figure = (other: Result | undefined) =>
        other && isGood(other)
          ? `${number(line.of(other))} ${other.server} | ${ratioOf(line.of(ours), line.of(other))}`
          : " | ";
      const [best] = peersOf(measured, line);
      return `| ${line.title} (${row.unit}) | ${number(line.of(ours))} | ${figure(best)} | ${
        figure(reference)
      } |`;
    });
  });
  return [
    "| median of | spawnd | best peer | spawnd ÷ peer | reference | spawnd ÷ reference |",
    "| --- | ---: | ---: | ---: | ---: | ---: |",
    ...lines,
  ].join("\n");
}

/** What a server sustains. */
export interface Capacity {
  readonly server: string;
  readonly perSecond: number;
}

/** What tcpserver sustains, or else the best peer, or else spawnd; `undefined` if none was measured. */
export function capacityOf(all: readonly Measured[]): Capacity | undefined {
  const measured = all.find(({ row }) => row === CAPACITY);
  if (measured === undefined) return undefined;
  const [line] = linesOf(CAPACITY);
  const peers = peersOf(measured, line!);
  const result = peers.find(({ server }) => server === "tcpserver") ?? peers[0] ??
    measured.results[0]!;
  return isGood(result) ? { server: result.server, perSecond: line!.of(result) } : undefined;
}

/** What the summary does not show: the capacity, clients without an answer, and servers that failed. */
export function notesOf(all: readonly Measured[]): string {
  const notes: string[] = [];
  const loads = all.filter(({ row }) => row.share !== undefined);
  const capacity = capacityOf(all);
  if (loads.length > 0 && capacity) {
    const { server, perSecond } = capacity;
    notes.push(`The capacity is what ${server} sustains: ${number(perSecond)} connections/s.`);
    const unanswered = loads.flatMap(({ row, results }) =>
      results.map(({ server, rounds }) => {
        const samples = rounds.flat();
        const count = samples.filter((sample) => sample === Infinity).length;
        return count > 0 &&
          `${server} ${number(count)} of ${number(samples.length)} (${row.title})`;
      }).filter((text) => text !== false)
    );
    const limit = `${number(ANSWER_MS / 1000)} s`;
    notes.push(
      unanswered.length > 0
        ? `Clients without a reply within ${limit}: ${unanswered.join("; ")}.`
        : `Every client had a reply within ${limit}.`,
    );
  }
  const failed = all.flatMap(({ row, results }) =>
    results.filter(({ error }) => error !== undefined)
      .map(({ server, error }) => `${server} (${row.title}: ${error})`)
  );
  if (failed.length > 0) notes.push(`Failed: ${failed.join("; ")}.`);
  return notes.join(" ");
}

/** Empty if the divisor is 0, or no client was answered. */
function ratioOf(ours: number, theirs: number): string {
  if (theirs === 0 || !Number.isFinite(ours) || !Number.isFinite(theirs)) return "";
  const digits = { minimumSignificantDigits: 2, maximumSignificantDigits: 2 };
  return (ours / theirs).toLocaleString("en", digits);
}

function number(value: number): string {
  if (value === Infinity) return `> ${number(ANSWER_MS)}`;
  return value.toLocaleString(
    "en",
    value < 100 ? { maximumSignificantDigits: 3 } : {
      maximumFractionDigits: 0,
    },
  );
}
