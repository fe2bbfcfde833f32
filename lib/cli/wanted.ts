/**
 * What is to be served: from the command line, or from the configuration file, which can be read
 * again.
 *
 * @module
 */

import type { Wanted } from "../server/services.ts";
import { resolveSettings } from "../server/settings.ts";
import type { CommandLine } from "./command_line.ts";
import { nameOf } from "./command_options.ts";
import type { Configuration } from "./config_file.ts";
import { missingPermissions } from "./permissions.ts";

/** Settings of the command itself that are used at the start only. */
const FIXED = ["logLevel", "logFormat", "status"] as const;

/**
 * Reads what a command line asks for. The configuration file is read, and what reads it is loaded,
 * only where one is given.
 *
 * @throws {UsageError} The file cannot be read, or something in it is wrong.
 */
export async function readServices(commandLine: CommandLine): Promise<Configuration> {
  const { config, overrides, server } = commandLine;
  if (config === undefined) return { ...commandLine, services: new Map([["", server]]) };
  const { readConfiguration } = await import("./config_file.ts");
  return await readConfiguration(config, overrides);
}

/**
 * Reads it again, for what is to be served from now on.
 *
 * @param running What was read at the start.
 * @throws {AggregateError} It cannot be served, or a change takes a restart.
 */
export async function readAgain(
  commandLine: CommandLine,
  running: Configuration,
): Promise<Wanted> {
  const configuration = await readServices(commandLine);
  const problems = [
    ...FIXED.filter((key) => JSON.stringify(configuration[key]) !== JSON.stringify(running[key]))
      .map((key) => `${nameOf(key)}: a change takes a restart`),
    ...missingPermissions(configuration),
  ];
  if (problems.length > 0) throw new AggregateError(problems);
  return wantedOf(configuration);
}

/** The settings of its services. */
export function wantedOf({ services, maxChildren }: Configuration): Wanted {
  const settings = [...services].map(([name, options]) =>
    [name, resolveSettings(options)] as const
  );
  return { services: new Map(settings), maxChildren };
}
