/**
 * The results of the bench as a picture: peers and references relative to spawnd.
 *
 * @module
 */

import { isGood, linesOf, type Measured } from "./report.ts";
import { FORK_SERVER, MINIMAL_RELAY, OVER_TCP, WITHOUT_TLS } from "./servers.ts";

/** Distinct for colour-blind people too, on white and on black (after Okabe and Ito). */
const MARKS: Record<string, [color: string, shape: string]> = {
  "tcpserver": ["#0072b2", "M-5-5h10v10h-10z"],
  "tcpsvd": ["#56b4e9", "M0-6l6 6-6 6-6-6z"],
  "socat": ["#d55e00", "M0-6l6 11h-12z"],
  "ncat": ["#cc79a7", "M0 6l6-11h-12z"],
  "stunnel": ["#e69f00", "M-2-6h4v12h-4z"],
  "websocketd": ["#882255", "M0-6l4 3v6l-4 3-4-3v-6z"],
  [FORK_SERVER]: ["#009e73", "M-6-2h4v-4h4v4h4v4h-4v4h-4v-4h-4z"],
  [MINIMAL_RELAY]: ["#7f7f7f", "M-5-3l2-2 3 3 3-3 2 2-3 3 3 3-2 2-3-3-3 3-2-2 3-3z"],
  [WITHOUT_TLS]: ["#7f7f7f", "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z"],
  [OVER_TCP]: ["#7f7f7f", "M-6-6h12l-12 12h12z"],
};

/** How many characters of the caption fit in one line. */
const CAPTION_WIDTH = 120;

/**
 * A picture of all comparisons: a line for each, with every server placed relative to spawnd, which
 * is 1, on a logarithmic scale.
 */
export function pictureOf(all: readonly Measured[], caption: string): string {
  const lines = all.filter(({ row, results: [ours, ...others] }) =>
    row.hasPeers !== false && isGood(ours!) && others.length > 0
  ).flatMap(({ row, results }) => linesOf(row).map((line) => ({ row, results, line })));
  const captions = caption.match(new RegExp(`.{1,${CAPTION_WIDTH}}(?:, |$)`, "g")) ?? [];
  const [width, left, top, step] = [860, 330, 102, 26];
  const bottom = top + lines.length * step;
  const height = bottom + 46 + captions.length * 16;
  const [least, most] = [0.02, 50];
  const x = (value: number) => {
    const clamped = Math.min(most, Math.max(least, value));
    return left + 16 + (width - left - 44) * Math.log(clamped / least) / Math.log(most / least);
  };
  const text = (at: [number, number], words: string, more = "") =>
    `<text x="${at[0].toFixed(1)}" y="${at[1]}" ${more}>${escape(words)}</text>`;
  const grid = [0.02, 0.1, 1, 10, 50].map((value) =>
    `<line class="${value === 1 ? "own" : "grid"}" x1="${x(value).toFixed(1)}" x2="${
      x(value).toFixed(1)
    }" y1="${top - 12}" y2="${bottom}"/>` +
    text([x(value), bottom + 18], value === 1 ? "spawnd = 1" : `${value} ×`, `text-anchor="middle"`)
  );
  const mark = (name: string, x: string | number, y: number) => {
    const [color, shape] = MARKS[name]!;
    return `<path transform="translate(${x} ${y})" fill="${color}" d="${shape}"/>`;
  };
  const legend = Object.keys(MARKS).map((name, i) => {
    const [x, y] = [30 + i % 5 * 165, 50 + Math.floor(i / 5) * 20];
    return mark(name, x, y) + text([x + 12, y + 4], name);
  });
  const marks = lines.flatMap(({ row, results: [ours, ...others], line }, i) => {
    const y = top + i * step + step / 2;
    return [
      text([left, y + 4], line.title.replaceAll("`", ""), `text-anchor="end"`),
      `<line class="grid" x1="${left + 16}" x2="${width - 28}" y1="${y}" y2="${y}"/>`,
      ...others.filter((other) => isGood(other) && other.server in MARKS).map((other) => {
        const ratio = line.of(ours!) / line.of(other);
        // Neither has a value if both are 0, or no client of either was answered.
        const value = Number.isNaN(ratio) ? 1 : row.isRate ? 1 / ratio : ratio;
        return mark(other.server, x(value).toFixed(1), y);
      }),
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
${text([24, 26], "Peers compared with spawnd: worse on the left of the line", `class="title"`)}
${[...legend, ...grid, ...marks].join("\n")}
${captions.map((line, i) => text([24, bottom + 48 + i * 16], line, `class="faint"`)).join("\n")}
</svg>
`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
