/**
 * The command line: from arguments to validated options, and the usage text. One table says what
 * there is; parsing, messages and `--help` are read from it.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { closestString } from "@std/text/closest-string";
import { levenshteinDistance } from "@std/text/levenshtein-distance";
import { isNetwork } from "../net/address.ts";
import {
  commandHandler,
  counterHandler,
  type Handler,
  isModule,
  moduleHandler,
} from "../child/handler.ts";
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "../base/log.ts";
import { DEFAULTS, RANGES, RATE_RANGES, type ServerOptions } from "../server/settings.ts";
import type { StderrMode } from "../child/worker.ts";

/** What a command line asks for. */
export interface CommandLine {
  /** A text to print instead of serving. */
  readonly show?: "help" | "version";
  readonly server: ServerOptions;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  /** Where to tell of the server's status, if anywhere. */
  readonly status?: { readonly hostname: string; readonly port: number };
}

/** A command line that cannot be understood; the message says what would be. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const STDERR_MODES: readonly StderrMode[] = ["inherit", "log", "null"];

/** The smallest and the largest value. */
type Range = readonly [min: number, max: number];

interface Option {
  readonly name: string;
  readonly help: string;
  /** What its value is called in the usage text; a switch has none. */
  readonly takes?:
    | "ADDRESS"
    | "CIDR"
    | "FILE"
    | "N"
    | "N[/SECONDS]"
    | "SECONDS"
    | "TEXT"
    | "WORD"
    | "[HOST:]PORT";
  /** The words it can be, where it takes one. */
  readonly words?: readonly string[];
  /** The server option it sets; one in milliseconds takes seconds here. */
  readonly sets?: keyof ServerOptions;
  /** The default in words, where the server's options do not have it. */
  readonly default?: string;
  /** An option it is of no use without. */
  readonly needs?: string;
}

const THEMES: Readonly<Record<string, readonly Option[]>> = {
  "Where to listen": [
    { name: "host", takes: "ADDRESS", sets: "hostname", help: "address or name to listen on" },
    { name: "port", takes: "N", sets: "port", help: "TCP port; 0 takes a free one" },
    { name: "backlog", takes: "N", sets: "backlog", help: "connections the kernel may hold" },
    { name: "reuse-port", sets: "reusePort", help: "share the port with other servers" },
    { name: "unix", takes: "FILE", sets: "unix", help: "listen on this Unix socket too" },
    {
      name: "cert",
      takes: "FILE",
      sets: "cert",
      needs: "key",
      help: "speak TLS; certificate chain in PEM",
    },
    { name: "key", takes: "FILE", sets: "key", needs: "cert", help: "its private key in PEM" },
    {
      name: "accept-proxy",
      takes: "CIDR",
      sets: "acceptProxy",
      help: "proxies to read a PROXY header from",
    },
  ],
  "Who may come in (a source is an IPv4 address or an IPv6 /64)": [
    { name: "max-connections", takes: "N", sets: "maxConnections", help: "served at once" },
    { name: "queue", takes: "N", sets: "queue", help: "may wait for one of these to end; 0: none" },
    { name: "queue-timeout", takes: "SECONDS", sets: "queueTimeoutMs", help: "and so long" },
    {
      name: "max-per-source",
      takes: "N",
      sets: "maxPerSource",
      help: "connections of a source; 0: no limit",
    },
    {
      name: "rate-per-source",
      takes: "N[/SECONDS]",
      sets: "ratePerSource",
      help: "new ones of a source; 0: no limit",
    },
    { name: "allow", takes: "CIDR", sets: "allow", help: "only these networks; may be repeated" },
    { name: "deny", takes: "CIDR", sets: "deny", help: "not these, whatever --allow says" },
    { name: "refusal", takes: "TEXT", sets: "refusal", help: "what a refused client is sent" },
  ],
  "How long (seconds, which may have a fraction)": [
    {
      name: "handshake-timeout",
      takes: "SECONDS",
      sets: "handshakeTimeoutMs",
      help: "for TLS or a PROXY header",
    },
    {
      name: "idle-timeout",
      takes: "SECONDS",
      sets: "idleTimeoutMs",
      help: "without a byte; 0: no limit",
    },
    {
      name: "session-timeout",
      takes: "SECONDS",
      sets: "sessionTimeoutMs",
      help: "in all; 0: no limit",
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
  ],
  "The children": [
    {
      name: "warm",
      takes: "N",
      sets: "warm",
      default: "modules: 8, programs: 0",
      help: "children kept ready",
    },
    {
      name: "send-proxy",
      takes: "N",
      sets: "sendProxy",
      help: "PROXY header to read first; 0: none",
    },
    { name: "uid", takes: "N", sets: "uid", needs: "gid", help: "user they run as" },
    { name: "gid", takes: "N", sets: "gid", help: "group they run as" },
    {
      name: "stderr",
      takes: "WORD",
      words: STDERR_MODES,
      sets: "stderr",
      help: "their stderr",
    },
  ],
  "What is to be seen": [
    { name: "log-level", takes: "WORD", words: LOG_LEVELS, default: "info", help: "least logged" },
    {
      name: "log-format",
      takes: "WORD",
      words: LOG_FORMATS,
      default: "text",
      help: "form of a line",
    },
    {
      name: "status",
      takes: "[HOST:]PORT",
      help: "status page and metrics (on 127.0.0.1)",
    },
    { name: "help", help: "print this and exit" },
    { name: "version", help: "print the version and exit" },
  ],
};

const OPTIONS = Object.values(THEMES).flat();

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
    collect: OPTIONS.filter(({ takes }) => takes === "CIDR").map(({ name }) => name),
    alias: { help: "h" },
    unknown(arg: string, key?: string) {
      if (key !== undefined) unknown.push(arg);
      return key === undefined;
    },
  });

  const server: Record<string, unknown> = {};
  for (const option of OPTIONS) {
    const given = parsed[option.name] as boolean | string | string[] | undefined;
    if (given === undefined || given === false) continue;
    if (given === true) {
      if (option.sets) server[option.sets] = true;
      continue;
    }
    const texts = Array.isArray(given) ? given : [given];
    const values = texts.map((text) => {
      const value = text === "" ? undefined : read(option, text);
      if (value !== undefined) return value;
      // A word that begins with a dash is never taken for a value: name it, rather than nothing.
      const at = args.indexOf(`--${option.name}`);
      const got = text || (at < 0 ? undefined : args[at + 1]);
      throw new UsageError(
        `--${option.name} takes ${domain(option)}, got ${got ? JSON.stringify(got) : "nothing"}`,
      );
    });
    if (option.sets && texts.length > 0) {
      server[option.sets] = Array.isArray(given) ? values : values[0];
    }
  }
  for (const arg of unknown) throw new UsageError(`unknown option ${suggest(arg)}`);
  for (const { name, needs } of OPTIONS) {
    if (needs && parsed[name] !== undefined && parsed[needs] === undefined) {
      throw new UsageError(`--${name} is of no use without --${needs}`);
    }
  }

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
    ...(parsed.status !== undefined && { status: readAddress(parsed.status as string)! }),
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
function read({ takes, words, sets }: Option, text: string): unknown {
  if (words) return words.includes(text) ? text : undefined;
  if (takes === "CIDR") return isNetwork(text) ? text : undefined;
  if (takes === "N" || takes === "SECONDS") {
    return readNumber(text, takes, RANGES[sets as keyof typeof RANGES]);
  }
  if (takes === "[HOST:]PORT") return readAddress(text);
  if (takes === "N[/SECONDS]") {
    const [, first = "", seconds = "1"] = /^([^/]*)(?:\/(.+))?$/.exec(text) ?? [];
    const count = readNumber(first, "N", RATE_RANGES.count);
    const periodMs = readNumber(seconds, "SECONDS", RATE_RANGES.periodMs);
    return count === undefined || periodMs === undefined ? undefined : { count, periodMs };
  }
  return text;
}

/** A number in its range, seconds in milliseconds; `undefined` if it is none. */
function readNumber(text: string, takes: "N" | "SECONDS", [min, max]: Range): number | undefined {
  const isSeconds = takes === "SECONDS";
  if (!(isSeconds ? /^(\d+\.?\d*|\.\d+)$/ : /^\d+$/).test(text)) return undefined;
  const value = isSeconds ? Math.round(Number(text) * 1000) : Number(text);
  return value >= min && value <= max ? value : undefined;
}

/** An address and a port, or a port of the loopback; `undefined` if it is neither. */
function readAddress(text: string): CommandLine["status"] {
  const [, ipv6, other, digits = ""] = /^(?:(?:\[(.+)\]|([^:[\]]+)):)?(\d+)$/.exec(text) ?? [];
  const port = readNumber(digits, "N", RANGES.port);
  return port === undefined ? undefined : { hostname: ipv6 ?? other ?? "127.0.0.1", port };
}

/** What an option takes, in words. */
function domain({ takes, words, sets }: Option): string {
  if (words) return new Intl.ListFormat("en-GB", { type: "disjunction" }).format(words);
  const [min, max] = RANGES[sets as keyof typeof RANGES] ?? [];
  switch (takes) {
    case "ADDRESS":
      return "an address or a host name";
    case "CIDR":
      return "a network such as 192.0.2.0/24 or 2001:db8::/32";
    case "N":
      return `a whole number from ${min} to ${max}`;
    case "SECONDS":
      return `seconds from ${min / 1000} to ${Math.floor(max / 1000)}`;
    case "N[/SECONDS]":
      return "a number, or a number and seconds, such as 30/60";
    case "[HOST:]PORT":
      return "a port, or an address and a port, such as 9528 or 0.0.0.0:9528";
    case "TEXT":
      return "a text";
    default:
      return "a path";
  }
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
  const themes = Object.entries(THEMES).map(([theme, options]) =>
    [`${theme}:`, ...options.map(usageOf)].join("\n")
  );
  return `spawnd: a TCP server that gives every connection a process of its own

Usage: deno run --allow-net --allow-run main.ts [options] [handler]

Handler:
  (none)                    the counter service: a numbered block a message
  handler.ts [args...]      a module (.ts .js .mts .mjs .tsx .jsx, or a file:
                            https: jsr: npm: address), run without permissions
  -- program [args...]      any program that reads stdin and writes stdout

${themes.join("\n\n")}

Signals:
  SIGTERM, SIGINT   stop accepting, drain, exit; a second one kills at once
  SIGHUP            new warm children, for new code; read --cert and --key again
  SIGUSR2, SIGUSR1  log one line of numbers (on SIGUSR1 Deno opens its debugger)

Exit status:
  0  all connections ended by themselves
  1  some were cut, or the server could not start
  2  the command line is wrong
  128 + the signal's number, after a second signal
`;
}

function usageOf(option: Option): string {
  const term = option.takes ? `${option.name} ${option.takes}` : option.name;
  const choice = option.words ? `: ${domain(option)}` : "";
  const standard = defaultOf(option);
  const end = standard === undefined ? "" : ` (${standard})`;
  return `  --${term.padEnd(28)} ${option.help}${choice}${end}`;
}

function defaultOf({ sets, takes, default: named }: Option): string | undefined {
  if (named !== undefined || sets === undefined) return named;
  const value = DEFAULTS[sets as keyof typeof DEFAULTS];
  if (takes === undefined) return undefined;
  if (takes === "SECONDS") return String(Number(value) / 1000);
  if (takes === "N[/SECONDS]") return String(DEFAULTS.ratePerSource.count);
  return value === undefined || takes === "CIDR" || takes === "TEXT" ? undefined : String(value);
}
