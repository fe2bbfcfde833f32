/**
 * The text of `--help`, made from the table of options.
 *
 * @module
 */

import { type Option, OPTIONS, THEMES } from "../server/options.ts";
import { COMMAND_OPTIONS, nameOf } from "./command_options.ts";
import { listOf } from "./option_values.ts";

/** Where the right column begins. */
const COLUMN = 30;
/** The lines that a text in the right column of an 80-column terminal has. */
const LINES = new RegExp(`[^ ].{0,${80 - COLUMN - 1}}(?= |$)`, "g");
const NO_BREAK = "\u00a0";

/** What each signal does. */
export const SIGNALS: Readonly<Record<string, string>> = {
  "SIGTERM, SIGINT": "stop accepting, drain, exit; a second one kills at once",
  "SIGHUP": "read configuration and TLS files again; new warm children",
  "SIGUSR2, SIGUSR1": "log one line of numbers (on SIGUSR1 Deno opens its debugger)",
};

/** What each exit status means. */
export const EXIT_STATUS: Readonly<Record<string, string>> = {
  "0": "every connection ended by itself, or --check found nothing wrong",
  "1": "some were cut, or the server could not start",
  "2": "the command line or the configuration is wrong",
  "any other": "with --once, that of the handler",
  "128 + number": "of the second signal that ended it",
};

/** The text of `--help`. */
export function usage(): string {
  const themes = Object.entries({ ...THEMES, "The command itself": COMMAND_OPTIONS })
    .map(([theme, options]) => [`${theme}:`, ...Object.values(options).map(entryOf)].join("\n"));
  return `spawnd: a TCP server that gives every connection a process of its own

Usage: spawnd [options] [handler]
       deno run --allow-net --allow-run main.ts [options] [handler]

Handler:
  (none)                    the counter service: a numbered block per message
  handler.ts [args...]      a module (.ts .js .mts .mjs .tsx .jsx, or a file:
                            https: jsr: npm: address), run without permissions
  -- program [args...]      any program that reads stdin and writes stdout

${themes.join("\n\n")}

Signals:
${rowsOf(SIGNALS)}

Exit status:
${rowsOf(EXIT_STATUS)}

Examples:
  spawnd                                     the counter service on port 9527
  spawnd --port 7000 --max-per-source 5 handler.ts
  spawnd --host 127.0.0.1 --warm 4 -- bc -l
  spawnd --config services.jsonc --check     also needs Deno's --allow-read
`;
}

/** A list of terms, with their texts in a column beside them. */
function rowsOf(texts: Readonly<Record<string, string>>): string {
  const width = Math.max(...Object.keys(texts).map((term) => term.length));
  return Object.entries(texts).map(([term, text]) => `  ${term.padEnd(width)}  ${text}`).join("\n");
}

/** An option with its help beside it, or below it where it is too long. */
function entryOf(option: Option): string {
  const { name, short, argument, help, words, repeatable, requires, needs = [] } = option;
  const term = `  ${short ? `-${short}, ` : ""}--${name}${argument ? ` ${argument}` : ""}`;
  const conditions = [...(requires ? [`--${nameOf(requires)}`] : []), ...needs].join(" and ");
  const defaultValue = defaultOf(option);
  const text = help +
    (words ? `: ${listOf(words)}` : "") +
    (repeatable ? "; may be repeated" : "") +
    (conditions && `; needs ${conditions}`) +
    (defaultValue && ` (default ${defaultValue})`.replaceAll(/(?<=\S) /g, NO_BREAK));
  const lines = text.match(LINES)!.map((line) => line.replaceAll(NO_BREAK, " ").trim());
  if (term.length >= COLUMN) lines.unshift("");
  return term.padEnd(COLUMN) + lines.join(`\n${" ".repeat(COLUMN)}`);
}

/** An option's default as the command line would have it; empty where there is none to show. */
export function defaultOf({ argument, default: value, defaultText }: Option): string {
  if (defaultText !== undefined) return defaultText;
  if (argument === "SECONDS") return String(Number(value) / 1000);
  if (argument === "N[/SECONDS]") return String(OPTIONS.ratePerSource.default.count);
  return value === undefined || typeof value === "boolean" ? "" : String(value);
}
