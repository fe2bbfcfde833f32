/**
 * The options of the command itself, and all options in the order of `--help`.
 *
 * @module
 */

import { LOG_FORMATS, LOG_LEVELS } from "../base/log.ts";
import { MODULE_OPTIONS, type Option, OPTIONS } from "../server/options.ts";

/** Options of the command that are none of the server's. */
export const COMMAND_OPTIONS = {
  config: {
    name: "config",
    short: "c",
    argument: "FILE",
    needs: ["Deno's --allow-read"],
    help: "serve the services of this configuration file",
  },
  check: {
    name: "check",
    help: "print what would be served, or everything that is wrong, and exit",
  },
  once: {
    name: "once",
    excludes: ["config"],
    help: "serve one client, then exit with its handler's exit code",
  },
  maxChildren: {
    name: "max-children",
    argument: "N",
    default: 0,
    range: [0, 1_000_000],
    help: "children over all services, warm ones too; 0 is no limit",
  },
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
    defaultText: "text or journal",
    words: LOG_FORMATS,
    help: "log format; by default journal if stderr is the systemd journal, else text",
  },
  status: {
    name: "status",
    argument: "[HOST:]PORT",
    help: "serve a status page and metrics over HTTP, on 127.0.0.1 unless a host is given",
  },
  help: { name: "help", short: "h", help: "print a summary and exit" },
  version: { name: "version", short: "V", help: "print the version and exit" },
} as const satisfies Record<string, Option>;

/** An option with its key. */
export type Entry = readonly [key: string, option: Option];

/** All options, with their keys. */
export const ALL_OPTIONS: readonly Entry[] = Object.entries<Option>({
  ...OPTIONS,
  ...MODULE_OPTIONS,
  ...COMMAND_OPTIONS,
});

/** The name, without dashes, of the option with this key. */
export function nameOf(key: string): string {
  return ALL_OPTIONS.find(([candidate]) => candidate === key)![1].name;
}
