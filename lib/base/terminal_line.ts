/**
 * The log on a terminal: lines for a person who watches, most of which fit into 80 columns. What is
 * kept or read by programs has other forms.
 *
 * A line begins with the local time, on the first line of each day after the date. The level stands
 * in it unless it is `info`. What identifies itself has no key: the number of a connection, its client,
 * the reason, the seconds it took. The other facts of a connection are dimmed, except for trouble and
 * for what its child says. The record of its end has no process id, since that of its begin has it.
 *
 * @module
 */

import type { LogRecord } from "npm:@logtape/logtape@^2.4.2";
import { formatFacts, formatValue, TerminalFact } from "./logfmt.ts";
import { printable } from "./quote.ts";

/** Select Graphic Rendition (ECMA-48); the colours and dimming are those of the terminal's theme. */
const [DIM, RED, YELLOW] = ["2", "31", "33"] as const;

const LEVELS: Partial<Record<LogRecord["level"], readonly [word: string, style: string]>> = {
  debug: ["debug", DIM],
  warning: ["warn", YELLOW],
  error: ["error", RED],
  fatal: ["error", RED],
};

/** What makes a line of a record, with its line break. */
export function terminalFormatter(hasColor: boolean): (record: LogRecord) => string {
  const style = (code: string, text: string) =>
    hasColor && text !== "" ? `\x1b[${code}m${text}\x1b[0m` : text;
  let lastDate = "";
  return ({ timestamp, level, message, properties }) => {
    const [date, time] = localTime(timestamp);
    const when = date === lastDate ? time : `${date} ${time}`;
    lastDate = date;
    const { service, id, client, address, reason, seconds, ...keyed } = whole(properties);
    const [word, levelStyle] = LEVELS[level] ?? [];
    const leading = [
      ...(id === undefined ? [] : [`#${id}`]),
      ...[client, address, reason].filter((value) => value !== undefined).map(formatValue),
      ...(seconds === undefined ? [] : [`${seconds}s`]),
    ];
    const event = printable(message.join(""));
    const { pid, exit, line, error, ...others } = keyed;
    const hasFailed = exit !== undefined && exit !== 0;
    const important = formatFacts({ line, error, ...(hasFailed && { exit }) });
    const rest = formatFacts({
      ...others,
      ...(!hasFailed && { exit }),
      ...(event !== "end" && { pid }),
    });
    return [
      style(DIM, when),
      ...(word === undefined ? [] : [style(levelStyle!, word)]),
      (service === undefined ? "" : `${formatValue(service)}: `) +
      [event, ...leading].join(" ") + important +
      (id === undefined ? rest : style(DIM, rest)),
    ].join(" ") + "\n";
  };
}

/** The facts as a terminal shows them. */
function whole(facts: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(facts).map(([key, value]) => [
      key,
      value instanceof TerminalFact ? value.whole : value,
    ]),
  );
}

/** The date and the time of day where the server runs; that takes no permission. */
function localTime(timestamp: number): [date: string, time: string] {
  const at = new Date(timestamp);
  const join = (numbers: number[], separator: string) =>
    numbers.map((number) => String(number).padStart(2, "0")).join(separator);
  return [
    join([at.getFullYear(), at.getMonth() + 1, at.getDate()], "-"),
    join([at.getHours(), at.getMinutes(), at.getSeconds()], ":"),
  ];
}
