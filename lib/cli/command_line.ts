/**
 * The command line: from arguments to checked options. What there is stands in the table of
 * {@linkcode OPTIONS}, and for the command itself in {@linkcode COMMAND_OPTIONS}.
 *
 * @module
 */

import { parseArgs } from "npm:deno-std@^1.4.0/cli/parse_args.js"; // @std/cli
import type { LogFormat, LogLevel } from "../base/log.ts";
import { counterHandler } from "../child/handler.ts";
import type { Option, ServerOptions } from "../server/options.ts";
import { ALL_OPTIONS, COMMAND_OPTIONS, nameOf } from "./command_options.ts";
import { type ModuleOptions, readHandler } from "./handler_words.ts";
import { hintFor } from "./hints.ts";
import {
  idleWebSocketOptions,
  listenAddresses,
  optionOf,
  ownedByStatus,
  problemOf,
  WITHOUT_WEB_SOCKET,
} from "./listen_addresses.ts";
import { findConflicts, unmatchedKeys } from "./option_rules.ts";
import { domainOf, readText, type StatusAddress } from "./option_values.ts";
import { explainUnknown } from "./unknown_option.ts";
import { quoted, shown, UsageError } from "./usage_error.ts";

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
  /** What of it is allowed, but hardly meant; one line each. */
  readonly warnings: readonly string[];
  readonly server: ServerOptions;
}

/** What is wrong with a switch that has a value. */
const SWITCH = "is a switch and takes no value";

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
  const switches = namesOf(({ argument }) => argument === undefined);
  const parsed: Record<string, unknown> & { _: string[]; "--": string[] } = parseArgs(args, {
    "--": true,
    stopEarly: true,
    string: ["_", ...namesOf(({ argument }) => argument !== undefined)],
    boolean: switches,
    collect: namesOf(({ argument }) => argument !== undefined),
    alias: Object.fromEntries(
      ALL_OPTIONS.flatMap(([, { name, short }]) => short ? [[name, short]] : []),
    ),
    unknown(arg: string, key?: string) {
      const isSwitch = switches.includes(arg.replace(/^--|=.*$/gs, ""));
      if (key !== undefined && !isSwitch && !unknown.includes(arg)) unknown.push(arg);
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
    counts[key] = Array.isArray(given) ? given.length : 1;
    const readOne = (text: string) => {
      const value = readText(option, text);
      if (value === undefined) {
        if (text === "" && unknown.some((arg) => hasLetter(arg, option))) return;
        const got = text || wordAfter(option, args);
        if (unknown.includes(got)) unknown.splice(unknown.indexOf(got), 1);
        if (text === "") isAmbiguous = true;
        problems.push(
          `--${option.name} takes ${domainOf(option)}, got ${got ? quoted(got) : "nothing"}` +
            hintFor(option, got),
        );
      }
      return value;
    };
    if (!Array.isArray(given)) {
      values[key] = option.default !== true;
      if (given !== true) problems.push(`--${option.name} ${SWITCH}, got ${quoted(String(given))}`); // -h=1
      continue;
    }
    const read = given.map(readOne);
    if (option.repeatable && given.length > 0) values[key] = read;
    else if (given.length > 0) values[key] = read[0];
    if (option.repeatable || given.length < 2 || read.includes(undefined)) continue;
    const all = new Intl.ListFormat("en-GB").format(given.map(quoted));
    problems.push(`--${option.name} can be given once, got ${all}`);
  }
  const separator = args.includes("--") ? ["--", ...parsed["--"]] : [];
  const words = [...parsed._, ...separator];
  const options = args.slice(0, args.length - words.length);
  for (const [index, arg] of options.entries()) {
    const [, name = "", value] = /^--([^=]+)(=?)/.exec(arg) ?? [];
    const next = options[index + 1] ?? "";
    if (!switches.includes(name) || !value && !/^(?:true|false)$/.test(next)) continue;
    problems.push(`--${name} ${SWITCH}, got ${quoted(value ? arg : next)}`);
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
    if (words.length > 0 && !isAmbiguous) {
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
    for (const [index, address] of listenAddresses({ ...server, handler }).entries()) {
      const one = { owner: "the server", address };
      const problem = problemOf(one, owned);
      if (problem) problems.push(`--${nameOf(optionOf(address, index, server))}: ${problem}`);
      owned.push(one);
    }
  }
  if (problems.length > 0) throw new UsageError(problems, "Try --help for all options.");
  if (server.env) server.env = Object.fromEntries(server.env as [string, string][]);
  return {
    ...(show && { show }),
    ...(config !== undefined && { config: config as string }),
    ...settings,
    overrides,
    check: check as boolean,
    once: once as boolean,
    warnings: strayOptions(parsed._),
    server: { ...server, handler },
  };
}

/** What looks like an option of spawnd, but stands after a module, which gets it. */
function strayOptions([module, ...args]: readonly string[]): string[] {
  return ALL_OPTIONS.map(([, { name }]) => `--${name}`)
    .filter((option) => args.some((arg) => arg.split("=")[0] === option))
    .map((option) =>
      `${option} goes to ${shown(module!)}: options of spawnd come before the module`
    );
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

/**
 * The word after an option that got no argument: the parser takes no word with a leading dash as one.
 * Empty if there is none.
 */
function wordAfter({ name, short }: Option, args: readonly string[]): string {
  const at = args.findLastIndex((arg) => arg === `--${name}` || arg === `-${short}`);
  return at < 0 ? "" : args[at + 1] ?? "";
}

/** Whether an argument such as `-port`, which the parser takes for letters, has that of an option. */
function hasLetter(arg: string, { short }: Option): boolean {
  return short !== undefined && /^-[^-]./.test(arg) && arg.includes(short);
}
