/**
 * The results of the bench, for people: tables in Markdown and a picture.
 *
 * @module
 */

import type { Row } from "./rows.ts";
import { FORK_SERVER } from "./servers.ts";

/** The results of one server. */
export interface Result {
  readonly server: string;
  /** The samples of each round. */
  readonly rounds: number[][];
  /** Why there are no samples, or no more. */
  error?: string;
}

/** A row with its results, spawnd first. */
export interface Measured {
  readonly row: Row;
  readonly results: readonly Result[];
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

/** How many times as good as spawnd another server is. */
function advantage({ isRate }: Row, ours: number, theirs: number): number {
  return isRate ? theirs / ours : ours / theirs;
}

const isGood = ({ error, rounds }: Result) => error === undefined && rounds.length > 0;

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
    `| server | median (${row.unit}) | 99th percentile | spawnd ÷ server |`,
    "| --- | ---: | ---: | ---: |",
    ...lines,
    "",
  ].join("\n");
}

/** A table of all rows, each with its best peer. */
export function summaryOf(all: readonly Measured[]): string {
  const lines = all.flatMap(({ row, results }) =>
    (row.hasTail ? [0.5, 0.99] : [0.5]).map((share) => {
      const at = (result: Result) => typical(result, share);
      const [ours, ...others] = results;
      if (!isGood(ours!)) return `| ${row.title} | failed: ${ours!.error} | | | | |`;
      const value = (other: Result | undefined) =>
        other && isGood(other) ? `${number(at(other))}` : "";
      const ratio = (other: Result | undefined) =>
        other && isGood(other) ? ratioOf(at(ours!), at(other)) : "";
      const best = others.filter((other) => isGood(other) && other.server !== FORK_SERVER)
        .sort((a, b) => row.isRate ? at(b) - at(a) : at(a) - at(b))[0];
      const fork = others.find(({ server }) => server === FORK_SERVER);
      const title = `${row.title}${share === 0.5 ? "" : ", 99th percentile"} (${row.unit})`;
      const name = best ? `${value(best)} ${best.server}` : "";
      return `| ${title} | ${value(ours)} | ${name} | ${ratio(best)} | ${value(fork)} | ${
        ratio(fork)
      } |`;
    })
  );
  return [
    `| median of | spawnd | best peer | spawnd ÷ peer | ${FORK_SERVER} | spawnd ÷ fork |`,
    "| --- | ---: | ---: | ---: | ---: | ---: |",
    ...lines,
  ].join("\n");
}

/** Empty if the divisor is 0. */
function ratioOf(ours: number, theirs: number): string {
  if (theirs === 0) return "";
  const digits = { minimumSignificantDigits: 2, maximumSignificantDigits: 2 };
  return (ours / theirs).toLocaleString("en", digits);
}

function number(value: number): string {
  return value.toLocaleString(
    "en",
    value < 100 ? { maximumSignificantDigits: 3 } : {
      maximumFractionDigits: 0,
    },
  );
}

/** Distinct for colour-blind people too, on white and on black (after Okabe and Ito). */
const MARKS: Record<string, [color: string, shape: string]> = {
  "tcpserver": ["#0072b2", "M-5-5h10v10h-10z"],
  "tcpsvd": ["#56b4e9", "M0-6l6 6-6 6-6-6z"],
  "socat": ["#d55e00", "M0-6l6 11h-12z"],
  "ncat": ["#cc79a7", "M0 6l6-11h-12z"],
  [FORK_SERVER]: ["#009e73", "M-6-2h4v-4h4v4h4v4h-4v4h-4v-4h-4z"],
};

/**
 * A picture of all comparisons: a line for each, with every server placed relative to spawnd, which
 * is 1, on a logarithmic scale.
 */
export function pictureOf(all: readonly Measured[], caption: string): string {
  const rows = all.filter(({ row, results }) => row.only !== "spawnd" && isGood(results[0]!));
  const [width, left, top, step] = [860, 330, 84, 26];
  const height = top + rows.length * step + 62;
  const [least, most] = [0.02, 50];
  const x = (value: number) => {
    const clamped = Math.min(most, Math.max(least, value));
    return left + 16 + (width - left - 44) * Math.log(clamped / least) / Math.log(most / least);
  };
  const text = (at: [number, number], words: string, more = "") =>
    `<text x="${at[0].toFixed(1)}" y="${at[1]}" ${more}>${escape(words)}</text>`;
  const bottom = top + rows.length * step;
  const grid = [0.02, 0.1, 1, 10, 50].map((value) =>
    `<line class="${value === 1 ? "own" : "grid"}" x1="${x(value).toFixed(1)}" x2="${
      x(value).toFixed(1)
    }" y1="${top - 12}" y2="${bottom}"/>` +
    text([x(value), bottom + 18], value === 1 ? "spawnd" : `${value} ×`, `text-anchor="middle"`)
  );
  const legend = Object.entries(MARKS).map(([name, [color, shape]], i) =>
    `<path transform="translate(${left + 24 + i * 96} 46)" fill="${color}" d="${shape}"/>` +
    text([left + 34 + i * 96, 50], name)
  );
  const lines = rows.flatMap(({ row, results: [ours, ...others] }, i) => {
    const y = top + i * step + step / 2;
    const marks = others.filter((other) => isGood(other) && other.server in MARKS).map((other) => {
      const [color, shape] = MARKS[other.server]!;
      const value = advantage(row, typical(ours!, 0.5), typical(other, 0.5));
      const at = x(Number.isFinite(value) && value > 0 ? value : most).toFixed(1);
      return `<path transform="translate(${at} ${y})" fill="${color}" d="${shape}"/>`;
    });
    return [
      text([left, y + 4], row.title.replaceAll("`", ""), `text-anchor="end"`),
      `<line class="grid" x1="${left + 16}" x2="${width - 28}" y1="${y}" y2="${y}"/>`,
      ...marks,
    ];
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="Peers compared with spawnd">
<style>
  .card { fill: #fff; } text { fill: #1f2328; font: 12px system-ui, sans-serif; }
  .title { font-size: 15px; font-weight: 600; } .faint { fill: #59636e; }
  .grid { stroke: #d1d9e0; } .own { stroke: #1f2328; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; } text { fill: #e6edf3; } .faint { fill: #9198a1; }
    .grid { stroke: #30363d; } .own { stroke: #e6edf3; }
  }
</style>
<rect class="card" width="${width}" height="${height}" rx="8"/>
${text([24, 26], "Peers compared with spawnd: left of the line is worse", `class="title"`)}
${[...legend, ...grid, ...lines].join("\n")}
${text([24, height - 14], caption, `class="faint"`)}
</svg>
`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
