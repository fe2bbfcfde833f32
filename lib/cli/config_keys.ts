/**
 * The keys of a configuration file: which options may stand at its top, as defaults or for the
 * command itself, and which in a service. The checker and the schema both read them from here.
 *
 * @module
 */

import { MODULE_OPTIONS, type Option, OPTIONS } from "../server/options.ts";
import { COMMAND_OPTIONS, type Entry } from "./command_options.ts";

const { listen, hostname, port, unix, webSocket, ...shared } = OPTIONS;
const { maxChildren, logLevel, logFormat, status } = COMMAND_OPTIONS;

/** Options of the command that a file can set. */
export const FILE_COMMAND_OPTIONS: readonly Entry[] = Object.entries<Option>({
  maxChildren,
  logLevel,
  logFormat,
  status,
});

/** Options that a service has, and the top of the file has defaults for. */
export const SHARED_OPTIONS: readonly Entry[] = Object.entries<Option>(shared);

/** Options that only a service has: an address or a right for all of them makes no sense. */
export const SERVICE_OPTIONS: readonly Entry[] = Object.entries<Option>({
  listen,
  hostname,
  port,
  unix,
  webSocket,
  ...MODULE_OPTIONS,
});

/** What is given as a path, and is relative to the folder of the file. */
export const isPath = ({ argument }: Option): boolean => argument === "FILE" || argument === "DIR";

/** The keys of a service that are no options. */
export const HANDLER_KEYS = ["module", "args", "command"] as const;

/** The keys at the top that are no options. */
export const TOP_KEYS = ["$schema", "services"] as const;

/** What a service can be called. */
export const SERVICE_NAME = /^[a-z0-9._-]{1,64}$/;

/** What a module is: a file with one of these endings, or an address. */
export const MODULE = "a module, such as handler.ts, or the address of one";
