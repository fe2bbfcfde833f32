/**
 * The handler, as words of the command line or of a configuration file name it.
 *
 * @module
 */

import { commandHandler, type Handler, isModule, moduleHandler } from "../child/handler.ts";
import { nameOf } from "./command_options.ts";
import { quoted } from "./usage_error.ts";

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
export function readHandler(
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
  const what = `a handler is a module (such as handler.ts) or -- and a program, got ${
    quoted(first)
  }`;
  return /^[‐-―−]/.test(first) ? `${what}: options begin with plain hyphens` : what;
}
