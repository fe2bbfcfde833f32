/**
 * The command line: from arguments to validated options, and the usage text. One table says what
 * there is; parsing, messages and `--help` are read from it.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { closestString } from "@std/text/closest-string";
import { levenshteinDistance } from "@std/text/levenshtein-distance";
import {
  commandHandler,
  counterHandler,
  type Handler,
  isModule,
  moduleHandler,
} from "./handler.ts";
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "./log.ts";
import { DEFAULTS, RANGES, type ServerOptions } from "./settings.ts";
import type { StderrMode } from "./worker.ts";

/** What a command line asks for. */
export interface CommandLine {
  /** A text to print instead of serving. */
  readonly show?: "help" | "version";
  readonly server: ServerOptions;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

/** A command line that cannot be understood; the message says what would be. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const STDERR_MODES: readonly StderrMode[] = ["inherit", "log", "null"];

interface Option {
  readonly name: string;
  readonly help: string;
  /** What its value is called in the usage text; a switch has none. */
  readonly takes?: "ADDRESS" | "N" | "SECONDS" | "WORD";
  /** The words it can be, where it takes one. */
  readonly words?: readonly string[];
  /** The server option it sets; one in milliseconds takes seconds here. */
  readonly sets?: keyof ServerOptions;
  /** The default in words, where the server's options do not have it. */
  readonly default?: string;
}

const OPTIONS: readonly Option[] = [
  { name: "host", takes: "ADDRESS", sets: "hostname", help: "address or name to listen on" },
  { name: "port", takes: "N", sets: "port", help: "TCP port; 0 takes a free one" },
  { name: "backlog", takes: "N", sets: "backlog", help: "connections the kernel may hold" },
  {
    name: "warm",
    takes: "N",
    sets: "warm",
    default: "modules: 4, programs: 0",
    help: "children kept ready",
  },
  {
    name: "max-connections",
    takes: "N",
    sets: "maxConnections",
    help: "served at once; the backlog holds more",
  },
  {
    name: "eof-timeout",
    takes: "SECONDS",
    sets: "eofTimeoutMs",
    help: "silence after the input's end; 0: no limit",
  },
  {
    name: "kill-timeout",
    takes: "SECONDS",
    sets: "killTimeoutMs",
    help: "from end of input to SIGTERM to SIGKILL",
  },
  {
    name: "drain-timeout",
    takes: "SECONDS",
    sets: "drainTimeoutMs",
    help: "left to connections by SIGTERM",
  },
  {
    name: "stderr",
    takes: "WORD",
    words: STDERR_MODES,
    sets: "stderr",
    help: "stderr of children",
  },
  { name: "log-level", takes: "WORD", words: LOG_LEVELS, default: "info", help: "least logged" },
  {
    name: "log-format",
    takes: "WORD",
    words: LOG_FORMATS,
    default: "text",
    help: "form of a line",
  },
  { name: "help", help: "print this and exit" },
  { name: "version", help: "print the version and exit" },
];

/**
 * Reads the command line.
 *
 * @throws {UsageError} Something in it is unknown, missing or out of range.
 */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const unknown: string[] = [];
  const parsed: Record<string, unknown> & { _: string[]; "--": string[] } = parseArgs(args, {
    "--": true,
    stopEarly: true,
    string: ["_", ...OPTIONS.filter(({ takes }) => takes).map(({ name }) => name)],
    boolean: OPTIONS.filter(({ takes }) => !takes).map(({ name }) => name),
    alias: { help: "h" },
    unknown(arg: string, key?: string) {
      if (key !== undefined) unknown.push(arg);
      return key === undefined;
    },
  });

  const server: Record<string, unknown> = {};
  for (const option of OPTIONS) {
    const text = parsed[option.name];
    if (typeof text !== "string") continue;
    // A word that begins with a dash is never taken for a value: name it, rather than nothing.
    const at = args.indexOf(`--${option.name}`);
    const got = text || (at < 0 ? undefined : args[at + 1]);
    const value = text === "" ? undefined : read(option, text);
    if (value === undefined) {
      throw new UsageError(
        `--${option.name} takes ${domain(option)}, got ${got ? JSON.stringify(got) : "nothing"}`,
      );
    }
    if (option.sets) server[option.sets] = value;
  }
  for (const arg of unknown) throw new UsageError(`unknown option ${suggest(arg)}`);

  const { help, version, "log-level": logLevel = "info", "log-format": logFormat = "text" } =
    parsed;
  const show = help ? "help" : version ? "version" : undefined;
  const separator = args.includes("--") ? ["--", ...parsed["--"]] : [];
  const quiet = logLevel === "warn" || logLevel === "error";
  return {
    ...(show && { show }),
    server: { ...server, handler: readHandler([...parsed._, ...separator], quiet) },
    logLevel: logLevel as LogLevel,
    logFormat: logFormat as LogFormat,
  };
}

/** The handler in the words that follow the options. */
function readHandler([first, ...rest]: string[], quiet: boolean): Handler {
  if (first === undefined) return counterHandler({ quiet });
  if (first === "--") {
    const [command, ...args] = rest;
    if (!command) throw new UsageError("-- takes a program and its arguments, got nothing");
    return commandHandler(command, args);
  }
  if (isModule(first)) return moduleHandler(first, rest);
  throw new UsageError(
    `a handler is a module (such as handler.ts) or -- and a program, got ${JSON.stringify(first)}`,
  );
}

/** The value of an option, or `undefined` if it cannot have this one. */
function read({ takes, words, sets }: Option, text: string): string | number | undefined {
  if (words) return words.includes(text) ? text : undefined;
  if (takes === "ADDRESS") return text;
  const isSeconds = takes === "SECONDS";
  if (!(isSeconds ? /^(\d+\.?\d*|\.\d+)$/ : /^\d+$/).test(text)) return undefined;
  const value = isSeconds ? Math.round(Number(text) * 1000) : Number(text);
  const [min, max] = RANGES[sets as keyof typeof RANGES];
  return value >= min && value <= max ? value : undefined;
}

/** What an option takes, in words. */
function domain({ takes, words, sets }: Option): string {
  if (words) return new Intl.ListFormat("en-GB", { type: "disjunction" }).format(words);
  if (takes === "ADDRESS") return "an address or a host name";
  const [min, max] = RANGES[sets as keyof typeof RANGES];
  return takes === "SECONDS"
    ? `seconds from ${min / 1000} to ${Math.floor(max / 1000)}`
    : `a whole number from ${min} to ${max}`;
}

/** An option that is unknown, and the one that was probably meant. */
function suggest(arg: string): string {
  const name = arg.replace(/^-+|=.*$/gs, "");
  const nearest: string = closestString(name, OPTIONS.map((option) => option.name));
  const isNear = levenshteinDistance(name, nearest) <= Math.ceil(name.length / 3);
  return JSON.stringify(arg) + (isNear ? `, did you mean --${nearest}?` : "");
}

/** The usage text. */
export function usage(): string {
  const lines = OPTIONS.map((option) => {
    const term = option.takes ? `${option.name} ${option.takes}` : option.name;
    const choice = option.words ? `: ${domain(option)}` : "";
    const standard = defaultOf(option);
    const end = standard === undefined ? "" : ` (${standard})`;
    return `  --${term.padEnd(22)}  ${option.help}${choice}${end}`;
  });
  return `spawnd: a TCP server that gives every connection a process of its own

Usage: deno run --allow-net --allow-run main.ts [options] [handler]

Handler:
  (none)                    the counter service: a numbered block a message
  handler.ts [args...]      a module (.ts .js .mts .mjs .tsx .jsx, or a file:
                            https: jsr: npm: address), run without permissions
  -- program [args...]      any program that reads stdin and writes stdout

Options (durations are seconds and may have a fraction):
${lines.join("\n")}

Signals:
  SIGTERM, SIGINT   stop accepting, drain, exit; a second one kills at once
  SIGHUP            replace the warm children, so that new clients get new code
  SIGUSR2, SIGUSR1  log one line of numbers (on SIGUSR1 Deno opens its debugger)

Exit status:
  0  all connections ended by themselves
  1  some were cut, or the server could not start
  2  the command line is wrong
  128 + the signal's number, after a second signal
`;
}

function defaultOf({ sets, takes, default: named }: Option): string | undefined {
  if (named !== undefined || sets === undefined) return named;
  const value = DEFAULTS[sets as keyof typeof DEFAULTS];
  return String(takes === "SECONDS" ? Number(value) / 1000 : value);
}
