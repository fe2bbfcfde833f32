/**
 * The events of the log and their facts, as docs/reference.md has them.
 *
 * @module
 */

const REFERENCE = Deno.readTextFileSync(new URL("../docs/reference.md", import.meta.url));

/** The words in backquotes. */
const wordsOf = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);

/** The names in the first column of a table with this head. */
export function columnOf(head: string): string[] {
  const [, rows] = new RegExp(`^\\| ${head} .*\\n\\| -.*\\n((?:\\|.*\\n)*)`, "m").exec(REFERENCE)!;
  return [...rows!.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1]!);
}

/** The names of the facts of each event, with those of all that is said of it. */
export const EVENTS: ReadonlyMap<string, readonly string[]> = new Map(
  [.../^\| event .*\n\| -.*\n((?:\|.*\n)*)/m.exec(REFERENCE)![1]!.matchAll(
    /^\| `([^`]+)` .*?\|.*$/gm,
  )]
    .map(([row, event]) => [event!, wordsOf(row).slice(1)]),
);

/** What every record may have. */
const COMMON = ["@timestamp", "level", "message", "logger", "service"];
/** Numbers by reason are in these. */
const COUNTS = ["status", "stopped"];
const REASONS = [...columnOf("reason"), ...columnOf("refused")];

/** What a record says that its event is not documented to say. */
export function undocumentedFacts(record: Readonly<Record<string, unknown>> & { message: string }) {
  const documented = EVENTS.get(record.message);
  if (documented === undefined) return [];
  return Object.keys(record).filter((fact) =>
    ![...COMMON, ...documented].includes(fact) &&
    !(COUNTS.includes(record.message) && (REASONS.includes(fact) || fact.startsWith("SIG")))
  );
}
