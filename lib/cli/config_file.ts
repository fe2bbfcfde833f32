/**
 * The configuration file: reads it, and says everything that is wrong with it, each with its line.
 * Loaded only with `--config`.
 *
 * @module
 */

import { messageOf } from "../base/message_of.ts";
import type { ServerOptions } from "../server/options.ts";
import { type CommandSettings, DEFAULTS, isQuiet } from "./command_line.ts";
import { nameOf } from "./command_options.ts";
import { FILE_COMMAND_OPTIONS, SERVICE_NAME, SHARED_OPTIONS, TOP_KEYS } from "./config_keys.ts";
import { Complaints, readObject, readOptions } from "./config_object.ts";
import { countsOf, readService } from "./config_service.ts";
import { parseJsonc, propertiesOf } from "./jsonc.ts";
import {
  idleWebSocketOptions,
  listenAddresses,
  ownedByStatus,
  problemOf,
  WITHOUT_WEB_SOCKET,
} from "./listen_addresses.ts";
import { findConflicts } from "./option_rules.ts";
import { shown, UsageError } from "./usage_error.ts";

/** What a configuration file asks for. */
export interface Configuration extends CommandSettings {
  /** What to serve, by name; at least one. */
  readonly services: ReadonlyMap<string, ServerOptions>;
}

/** A configuration of which some is wrong. */
export class ConfigurationError extends UsageError {
  /** What there is nothing wrong with. */
  readonly rest: Configuration;

  constructor({ problems }: UsageError, rest: Configuration) {
    super(problems);
    this.rest = rest;
  }
}

/** The largest file that is read, in bytes. */
const MAX_BYTES = 1024 * 1024;

/**
 * Reads a configuration file. Needs `--allow-read` for it.
 *
 * @param overrides What takes the place of the file's own settings.
 * @throws {UsageError} It cannot be read, or something in it is wrong.
 */
export async function readConfiguration(
  path: string,
  overrides: Partial<CommandSettings> = {},
): Promise<Configuration> {
  return parseConfiguration(await readText(path), path, overrides);
}

/**
 * Reads the text of a configuration file.
 *
 * @param path The file, for messages, and for what is relative to its folder.
 * @throws {UsageError} Something in it is wrong.
 */
export function parseConfiguration(
  text: string,
  path: string,
  overrides: Partial<CommandSettings> = {},
): Configuration {
  const complaints = new Complaints(text, path);
  const { root, faults } = parseJsonc(text);
  if (faults.length > 0) {
    complaints.addFaults(faults);
    throw complaints.error();
  }
  const top = readObject(root!, [], complaints, {
    options: [...FILE_COMMAND_OPTIONS, ...SHARED_OPTIONS],
    others: TOP_KEYS,
  });
  const settings = {
    ...DEFAULTS,
    ...readOptions(top, FILE_COMMAND_OPTIONS, complaints),
    ...overrides,
  };
  const defaults = { object: top, values: readOptions(top, SHARED_OPTIONS, complaints) };
  for (const { key, isMissing, text } of findConflicts(countsOf(defaults.values))) {
    if (isMissing) continue; // a service may have it
    complaints.add(top.properties.get(nameOf(key))!, [nameOf(key)], text);
  }
  const schema = top.properties.get("$schema");
  if (schema && schema.value.type !== "string") {
    complaints.add(schema, ["$schema"], "takes the address of a JSON schema", schema.value);
  }

  const named = top.properties.get("services");
  const isObject = named?.value.type === "object";
  const entries = isObject ? propertiesOf(named.value) : [];
  if (top.isObject && entries.length === 0) {
    const example = 'an object of services, such as { "counter": { "listen": ":9527" } }';
    const isWrong = named && !isObject;
    complaints.add(
      named ?? { node: root! },
      ["services"],
      isWrong ? `takes ${example}` : `there is no service: give ${example}`,
      isWrong ? named.value : undefined,
    );
  }
  const services = new Map<string, ServerOptions>();
  const names = new Set<string>();
  const owned = ownedByStatus(settings);
  for (const property of entries) {
    const { key: name } = property;
    const count = complaints.count;
    if (!SERVICE_NAME.test(name)) {
      complaints.add(
        property,
        ["services", shown(name)],
        "a name is 1 to 64 of a-z, 0-9, '.', '_' and '-'",
      );
    }
    if (names.has(name)) complaints.add(property, [shown(name)], "there are two of this name");
    names.add(name);
    const { options, object } = readService(property, complaints, {
      defaults,
      isOnly: entries.length === 1,
      quiet: isQuiet(settings.logLevel),
    });
    if (complaints.count > count) continue;
    services.set(name, options);
    for (const key of idleWebSocketOptions(options)) {
      const option = nameOf(key);
      const place = object.properties.get(option);
      if (place) complaints.add(place, [shown(name), option], WITHOUT_WEB_SOCKET);
    }
    for (const address of listenAddresses(options)) {
      const one = { owner: shown(name), address };
      const problem = problemOf(one, owned);
      const place = object.properties.get("listen") ?? property;
      if (problem) complaints.add(place, [shown(name), "listen"], problem);
      owned.push(one);
    }
  }
  const configuration = { ...settings, services };
  if (complaints.count > 0) throw new ConfigurationError(complaints.error(), configuration);
  return configuration;
}

/** The text of the file. */
async function readText(path: string): Promise<string> {
  const fail = (text: string) => new UsageError([`${shown(path)}: ${text}`]);
  if (path.includes("\0")) throw fail("there is no such file");
  if (Deno.permissions.querySync({ name: "read", path }).state !== "granted") {
    throw fail(`Deno does not allow reading it: add --allow-read=${path}`);
  }
  const buffer = new Uint8Array(MAX_BYTES + 1);
  let length = 0;
  try {
    // A pipe could keep the reader waiting for ever.
    const { isFile, isDirectory } = await Deno.stat(path);
    if (!isFile) throw new Error(isDirectory ? "it is a folder" : "it is no regular file");
    using file = await Deno.open(path);
    for (let n: number | null = 0; n !== null && length < buffer.length; length += n ?? 0) {
      n = await file.read(buffer.subarray(length));
    }
  } catch (error) {
    const reason = REASONS.find(([type]) => error instanceof type)?.[1] ?? messageOf(error);
    throw fail(reason);
  }
  if (length > MAX_BYTES) throw fail("it is larger than 1 MiB");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(buffer.subarray(0, length));
  } catch {
    throw fail("it is not UTF-8 text");
  }
}

/** What the errors of `Deno.open` mean. */
const REASONS = [
  [Deno.errors.NotFound, "there is no such file"],
  [Deno.errors.PermissionDenied, "its permissions do not allow this user to read it"],
  [Deno.errors.NotCapable, "Deno reads it only with --allow-all"], // such as /dev, /proc
] as const;
