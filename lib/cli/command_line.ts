/**
 * The command line: from arguments to checked options. What there is stands in the table of
 * {@linkcode OPTIONS}, and for the command itself in {@linkcode COMMAND_OPTIONS}.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { closestString } from "@std/text/closest-string";
import { levenshteinDistance } from "@std/text/levenshtein-distance";
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "../base/log.ts";
import {
  commandHandler,
  counterHandler,
  type Handler,
  isModule,
  moduleHandler,
} from "../child/handler.ts";
import { isGrant, PERMISSIONS } from "../child/sandbox.ts";
import { isNetwork } from "../net/address.ts";
import { parseListenAddress } from "../net/listen_address.ts";
import {
  MODULE_OPTIONS,
  type Option,
  OPTIONS,
  type Range,
  RATE_RANGES,
  type ServerOptions,
} from "../server/options.ts";

/** What a command line asks for. */
export interface CommandLine {
  /** A text to print instead of serving. */
  readonly show?: "help" | "version";
  readonly server: ServerOptions;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  /** Where to serve the status page, if anywhere. */
  readonly status?: { readonly hostname: string; readonly port: number };
}

/** A command line that cannot be understood; the message says what would be. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Options of the command that are none of the server's. */
export const COMMAND_OPTIONS = {
  logLevel: {
    name: "log-level",
    argument: "WORD",
    default: "info",
    words: LOG_LEVELS,
    help: "the least important level that is logged",
  },
  logFormat: {
    name: "log-format",
    argument: "WORD",
    default: "text",
    words: LOG_FORMATS,
    help: "form of a log line",
  },
  status: {
    name: "status",
    argument: "[HOST:]PORT",
    help: "serve a status page and metrics over HTTP, on 127.0.0.1 unless a host is given",
  },
  help: { name: "help", short: "h", help: "print this text and exit" },
  version: { name: "version", help: "print the version and exit" },
} as const satisfies Record<string, Option>;

const ALL_OPTIONS = Object.entries<Option>({ ...OPTIONS, ...MODULE_OPTIONS, ...COMMAND_OPTIONS });
/** The names on the command line of the options that `matches` selects. */
const namesOf = (matches: (option: Option) => boolean): string[] =>
  ALL_OPTIONS.map(([, option]) => option).filter(matches).map(({ name }) => name);

/**
 * Reads the command line.
 *
 * @throws {UsageError} An option or value is unknown, missing or out of range.
 */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const unknown: string[] = [];
  const parsed: Record<string, unknown> & { _: string[]; "--": string[] } = parseArgs(args, {
    "--": true,
    stopEarly: true,
    string: ["_", ...namesOf(({ argument }) => argument !== undefined)],
    boolean: namesOf(({ argument }) => argument === undefined),
    collect: namesOf(({ repeatable }) => repeatable === true),
    alias: Object.fromEntries(
      ALL_OPTIONS.flatMap(([, { name, short }]) => short ? [[name, short]] : []),
    ),
    unknown(arg: string, key?: string) {
      if (key !== undefined) unknown.push(arg);
      return key === undefined;
    },
  });

  const values: Record<string, unknown> = {};
  for (const [key, option] of ALL_OPTIONS) {
    const given = parsed[option.name] as boolean | string | string[] | undefined;
    if (given === undefined || given === false) continue;
    if (given === true) values[key] = option.default !== true;
    else if (typeof given === "string") values[key] = readArgument(option, given, args);
    else if (given.length > 0) {
      values[key] = given.map((text) => readArgument(option, text, args));
    }
  }
  if (values.env) values.env = Object.fromEntries(values.env as [string, string][]);
  const separator = args.includes("--") ? ["--", ...parsed["--"]] : [];
  const words = [...parsed._, ...separator];
  for (const arg of args.slice(0, args.length - words.length)) {
    const [, name] = /^--([^=]+)=/.exec(arg) ?? [];
    if (name && namesOf(({ argument }) => argument === undefined).includes(name)) {
      throw new UsageError(`--${name} is a switch and takes no value, got ${JSON.stringify(arg)}`);
    }
  }
  for (const arg of unknown) throw new UsageError(`unknown option ${suggest(arg)}`);
  for (const [key, { name, requires, excludes = [] }] of ALL_OPTIONS) {
    if (values[key] === undefined) continue;
    if (requires && values[requires] === undefined) {
      throw new UsageError(`--${name} requires --${nameOf(requires)}`);
    }
    const excluded = excludes.find((other) => values[other] !== undefined);
    if (excluded) throw new UsageError(`--${name} cannot be given with --${nameOf(excluded)}`);
  }

  const [certs, keys] = [values.cert, values.key].map((files) => (files as string[] ?? []).length);
  if (certs !== keys) {
    throw new UsageError(`every --cert takes a --key, got ${certs} --cert and ${keys} --key`);
  }

  const { help, version, logLevel = "info", logFormat = "text", status, grant, ...server } = values;
  const show = help ? "help" : version ? "version" : undefined;
  const quiet = logLevel === "warn" || logLevel === "error";
  return {
    ...(show && { show }),
    server: {
      ...server,
      handler: show
        ? counterHandler()
        : readHandler(words, { quiet, grant: grant as string[] | undefined }),
    },
    logLevel: logLevel as LogLevel,
    logFormat: logFormat as LogFormat,
    ...(status !== undefined && { status: status as NonNullable<CommandLine["status"]> }),
  };
}

/** The name on the command line of the option with this key. */
export function nameOf(key: string): string {
  return ALL_OPTIONS.find(([candidate]) => candidate === key)![1].name;
}

/** The handler in the words that follow the options. */
function readHandler(
  [first, ...rest]: string[],
  { quiet, grant }: { quiet: boolean; grant: string[] | undefined },
): Handler {
  if (first !== undefined && first !== "--" && isModule(first)) {
    return moduleHandler(first, rest, { grant: grant ?? [] });
  }
  if (grant) {
    throw new UsageError(
      "--grant takes a module, which has no rights without it. A program has those of its user",
    );
  }
  if (first === undefined) return counterHandler({ quiet });
  if (first === "--") {
    const [command, ...args] = rest;
    if (!command) throw new UsageError("-- takes a program and its arguments, got nothing");
    return commandHandler(command, args);
  }
  throw new UsageError(
    `a handler is a module (such as handler.ts) or -- and a program, got ${JSON.stringify(first)}`,
  );
}

/** The value of an argument, in the library's unit. */
function readArgument(option: Option, text: string, args: readonly string[]): unknown {
  const value = text === "" ? undefined : read(option, text);
  if (value !== undefined) return value;
  // The parser never takes a word with a leading dash as an argument. Name it rather than nothing.
  const at = args.lastIndexOf(`--${option.name}`);
  const got = text || (at < 0 ? undefined : args[at + 1]);
  throw new UsageError(
    `--${option.name} takes ${domainOf(option)}, got ${got ? JSON.stringify(got) : "nothing"}`,
  );
}

/** The value that `text` stands for, or `undefined` if the option cannot have it. */
function read({ argument, words, range }: Option, text: string): unknown {
  switch (argument) {
    case "ADDRESS":
      return parseListenAddress(text) && text;
    case "CIDR":
      return isNetwork(text) ? text : undefined;
    case "N":
      return readNumber(text, range!);
    case "NAME=VALUE":
      return /^([^=]+)=(.*)$/s.exec(text)?.slice(1);
    case "NAME[:GROUP]":
      return /^[^:]+(:[^:]+)?$/.test(text) ? text : undefined;
    case "PERMISSION[=VALUES]":
      return isGrant(text) ? text : undefined;
    case "N[/SECONDS]":
      return readRate(text);
    case "PROTOCOL":
      return /^[^,\s]{1,255}$/.test(text) ? text : undefined;
    case "SECONDS":
      return readSeconds(text, range!);
    case "SIGNAL":
      return words!.find((word) => [word, word.replace("SIG", "")].includes(text.toUpperCase()));
    case "WORD":
      return words!.includes(text) ? text : undefined;
    case "[HOST:]PORT":
      return readAddress(text);
    default:
      return text;
  }
}

function readNumber(text: string, [min, max]: Range): number | undefined {
  const value = Number(text);
  return /^\d+$/.test(text) && value >= min && value <= max ? value : undefined;
}

/** Seconds, in milliseconds; the range is in milliseconds too. */
function readSeconds(text: string, [min, max]: Range): number | undefined {
  const value = Math.round(Number(text) * 1000);
  return /^(\d+\.?\d*|\.\d+)$/.test(text) && value >= min && value <= max ? value : undefined;
}

function readRate(text: string): ServerOptions["ratePerSource"] {
  const [, first = "", seconds = "1"] = /^([^/]*)(?:\/(.+))?$/.exec(text) ?? [];
  const count = readNumber(first, RATE_RANGES.count);
  const periodMs = readSeconds(seconds, RATE_RANGES.periodMs);
  return count === undefined || periodMs === undefined ? undefined : { count, periodMs };
}

/** An address and a port, or a port of the loopback address. */
function readAddress(text: string): CommandLine["status"] {
  const [, ipv6, other, digits = ""] = /^(?:(?:\[(.+)\]|([^:[\]]+)):)?(\d+)$/.exec(text) ?? [];
  const port = readNumber(digits, OPTIONS.port.range);
  return port === undefined ? undefined : { hostname: ipv6 ?? other ?? "127.0.0.1", port };
}

/** What an option takes, in words. */
function domainOf({ argument, words, range: [min, max] = [0, 0] }: Option): string {
  switch (argument) {
    case "ADDRESS":
      return "HOST:PORT, :PORT, unix:PATH or fd:N";
    case "HOST":
      return "an address or a host name";
    case "CIDR":
      return "a network such as 192.0.2.0/24 or 2001:db8::/32";
    case "N":
      return `a whole number from ${min} to ${max}`;
    case "N[/SECONDS]":
      return "a number, or a number and seconds, such as 30/60";
    case "SECONDS":
      return `seconds from ${min / 1000} to ${Math.floor(max / 1000)}`;
    case "NAME=VALUE":
      return "a variable's name and value, such as TZ=UTC";
    case "NAME[:GROUP]":
      return "a user, or a user and a group, such as git or www-data:git";
    case "PERMISSION[=VALUES]":
      return `a permission of Deno (${
        listOf(PERMISSIONS)
      }), or one with values, such as env=TZ,LANG`;
    case "PROTOCOL":
      return "one protocol, such as http/1.1, and may be repeated";
    case "TEXT":
      return "a text";
    case "SIGNAL":
    case "WORD":
      return listOf(words!);
    case "[HOST:]PORT":
      return "a port, or an address and a port, such as 9528 or 0.0.0.0:9528";
    default:
      return "a path";
  }
}

/** `a, b or c`. */
export function listOf(words: readonly string[]): string {
  return new Intl.ListFormat("en-GB", { type: "disjunction" }).format(words);
}

/** An unknown option, and the one that was probably meant. */
function suggest(arg: string): string {
  if (/^--(allow|deny)-(read|write|net|run|env|sys|ffi|import)\b/.test(arg)) {
    return `${JSON.stringify(arg)}: it is one of deno's, and goes before main.ts`;
  }
  const name = arg.replace(/^-+|=.*$/gs, "");
  const nearest: string = closestString(name, namesOf(() => true));
  const isNear = levenshteinDistance(name, nearest) <= Math.ceil(name.length / 3);
  return JSON.stringify(arg) + (isNear ? `, did you mean --${nearest}?` : "");
}
