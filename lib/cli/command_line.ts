/**
 * The command line: from arguments to checked options. What there is stands in the table of
 * {@linkcode OPTIONS}, and for the command itself in {@linkcode COMMAND_OPTIONS}.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import type { LogFormat, LogLevel } from "../base/log.ts";
import {
  commandHandler,
  counterHandler,
  type Handler,
  isModule,
  moduleHandler,
} from "../child/handler.ts";
import type { Option, ServerOptions } from "../server/options.ts";
import { ALL_OPTIONS, COMMAND_OPTIONS, nameOf } from "./command_options.ts";
import {
  idleWebSocketOptions,
  listenAddresses,
  overlapWith,
  ownedByStatus,
  WITHOUT_WEB_SOCKET,
} from "./listen_addresses.ts";
import { findConflicts, unmatchedKeys } from "./option_rules.ts";
import { domainOf, readText, type StatusAddress } from "./option_values.ts";
import { nearest } from "./suggest.ts";
import { quoted, UsageError } from "./usage_error.ts";

export { UsageError };

/** What the command itself can be told, on the command line or in a configuration file. */
export interface CommandSettings {
  readonly logLevel: LogLevel;
  /** The form of a log line; by default, where stderr goes decides. */
  readonly logFormat?: LogFormat;
  /** Where to serve the status page, if anywhere. */
  readonly status?: StatusAddress;
  /** How many children may have a client, over all services; 0 is no limit. */
  readonly maxChildren: number;
}

/** What a command line asks for. */
export interface CommandLine extends CommandSettings {
  /** A text to print instead of serving. */
  readonly show?: "help" | "version";
  /** The configuration file, which has the services then, and not `server`. */
  readonly config?: string;
  /** Of {@linkcode CommandSettings}, those that are given and so take the place of the file's. */
  readonly overrides: Partial<CommandSettings>;
  /** Whether to say what would be served, instead of serving. */
  readonly check: boolean;
  /** Whether to serve one client and exit. */
  readonly once: boolean;
  readonly server: ServerOptions;
}

/** The names of the options that `matches` selects. */
const namesOf = (matches: (option: Option) => boolean): string[] =>
  ALL_OPTIONS.map(([, option]) => option).filter(matches).map(({ name }) => name);

/**
 * Reads the command line.
 *
 * @throws {UsageError} An option or value is unknown, missing or out of range, or there is one too
 * many.
 */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const problems: string[] = [];
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
  const counts: Record<string, number> = {};
  /** Whether what looks like a handler may be the argument of an option. */
  let isAmbiguous = unknown.length > 0;
  for (const [key, option] of ALL_OPTIONS) {
    const given = parsed[option.name] as boolean | string | string[] | undefined;
    if (given === undefined || given === false) continue;
    const read = (text: string) => {
      const value = readText(option, text);
      if (value === undefined) {
        const got = text || wordAfter(option.name, args);
        if (unknown.includes(got)) unknown.splice(unknown.indexOf(got), 1);
        if (text === "") isAmbiguous = true;
        problems.push(
          `--${option.name} takes ${domainOf(option)}, got ${got ? quoted(got) : "nothing"}`,
        );
      }
      return value;
    };
    if (given === true) values[key] = option.default !== true;
    else if (typeof given === "string") values[key] = read(given);
    else if (given.length > 0) values[key] = given.map(read);
    counts[key] = Array.isArray(given) ? given.length : 1;
  }
  const separator = args.includes("--") ? ["--", ...parsed["--"]] : [];
  const words = [...parsed._, ...separator];
  const switches = namesOf(({ argument }) => argument === undefined);
  for (const arg of args.slice(0, args.length - words.length)) {
    const [, name] = /^--([^=]+)=/.exec(arg) ?? [];
    if (name && switches.includes(name)) {
      problems.push(`--${name} is a switch and takes no value, got ${quoted(arg)}`);
    }
  }
  problems.push(...unknown.map(explainUnknown));
  for (const { key, text } of findConflicts(counts, "--")) {
    problems.push(`--${nameOf(key)} ${text}`);
  }
  problems.push(...[unmatchedKeys(counts, "--")].filter((text) => text !== undefined));

  const { help, version, config, check = false, once = false, ...some } = values;
  const { grant, checkTypes, ...rest } = some;
  const { logLevel, logFormat, status, maxChildren, ...server } = rest;
  const overrides = Object.fromEntries(
    Object.entries({ logLevel, logFormat, status, maxChildren })
      .filter(([, value]) => value !== undefined),
  ) as Partial<CommandSettings>;
  const settings = { ...DEFAULTS, ...overrides };
  const show = help ? "help" : version ? "version" : undefined;
  let handler = counterHandler({ quiet: isQuiet(settings.logLevel) });
  if (counts.config) {
    for (
      const key of Object.keys(counts).filter((key) => counts[key] && !(key in COMMAND_OPTIONS))
    ) {
      problems.push(`--${nameOf(key)} cannot be given with --config: set it in the file`);
    }
    if (words.length > 0) {
      problems.push(
        `a handler cannot be given with --config: set it in the file, got ${quoted(words[0]!)}`,
      );
    }
  } else if (!show && !isAmbiguous) {
    const named = readHandler(words, { grant, checkTypes } as ModuleOptions);
    if (typeof named === "string") problems.push(named);
    else handler = named ?? handler;
  }
  if (problems.length === 0 && !counts.config) {
    for (const key of idleWebSocketOptions({ ...server, handler })) {
      problems.push(`--${nameOf(key)} ${WITHOUT_WEB_SOCKET}: add --websocket`);
    }
    const owned = ownedByStatus(settings);
    for (const address of listenAddresses({ ...server, handler })) {
      const one = { owner: "the server", address };
      const problem = overlapWith(owned, one);
      const option = address.webSocketPath === undefined ? "listen" : "websocket";
      if (problem) problems.push(`--${option}: ${problem}`);
      owned.push(one);
    }
  }
  if (problems.length > 0) throw new UsageError(problems);
  if (server.env) server.env = Object.fromEntries(server.env as [string, string][]);
  return {
    ...(show && { show }),
    ...(config !== undefined && { config: config as string }),
    ...settings,
    overrides,
    check: check as boolean,
    once: once as boolean,
    server: { ...server, handler },
  };
}

/** The settings of the command where nothing is given. */
export const DEFAULTS: CommandSettings = {
  logLevel: COMMAND_OPTIONS.logLevel.default,
  maxChildren: COMMAND_OPTIONS.maxChildren.default,
};

/** Whether the counter service is not to report its messages. */
export function isQuiet(level: LogLevel): boolean {
  return level === "warn" || level === "error";
}

/** What only a module can be told. */
export interface ModuleOptions {
  readonly grant?: readonly (string | undefined)[] | undefined;
  readonly checkTypes?: boolean | undefined;
}

/** What is wrong with an option of a module without one, by the option's key. */
export const WITHOUT_MODULE: Readonly<Record<keyof ModuleOptions, string>> = {
  grant: "applies to modules only; a program has the rights of its user",
  checkTypes: "applies to modules only",
};

/** A module as a handler. Of its grants, those that are wrong have been complained about. */
export function readModule(
  module: string,
  args: readonly string[],
  { grant = [], checkTypes = false }: ModuleOptions,
): Handler {
  const grants = grant.filter((text) => text !== undefined);
  return moduleHandler(module, args, { grant: grants, checkTypes });
}

/** The handler in the words that follow the options, if any; or what is wrong with them. */
function readHandler(
  [first, ...rest]: string[],
  options: ModuleOptions,
): Handler | string | undefined {
  if (first !== undefined && first !== "--" && isModule(first)) {
    return readModule(first, rest, options);
  }
  for (const [key, text] of Object.entries(WITHOUT_MODULE)) {
    if (options[key as keyof ModuleOptions]) return `--${nameOf(key)} ${text}`;
  }
  if (first === undefined) return undefined;
  if (first === "--") {
    const [command, ...args] = rest;
    return command
      ? commandHandler(command, args)
      : "-- takes a program and its arguments, got nothing";
  }
  return `a handler is a module (such as handler.ts) or -- and a program, got ${quoted(first)}`;
}

/**
 * The word after an option that got no argument: the parser takes no word with a leading dash as one.
 * Empty if there is none.
 */
function wordAfter(name: string, args: readonly string[]): string {
  const at = args.lastIndexOf(`--${name}`);
  return at < 0 ? "" : args[at + 1] ?? "";
}

/** What is wrong with an unknown option, and the one that was probably meant. */
function explainUnknown(arg: string): string {
  if (/^--(allow|deny)-(read|write|net|run|env|sys|ffi|import)\b/.test(arg)) {
    return `unknown option ${quoted(arg)}: it is one of deno's, and goes before main.ts`;
  }
  const meant = nearest(arg.replace(/^-+|=.*$/gs, ""), namesOf(() => true));
  return `unknown option ${quoted(arg)}` + (meant ? `, did you mean --${meant}?` : "");
}
