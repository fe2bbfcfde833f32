/**
 * A service of a configuration file: its options, with the defaults at the top of the file, and its
 * handler.
 *
 * @module
 */

import { commandHandler, counterHandler, type Handler, isModule } from "../child/handler.ts";
import { formatListenAddress, parseListenAddress } from "../net/listen_address.ts";
import type { ServerOptions } from "../server/options.ts";
import { ALL_OPTIONS, nameOf } from "./command_options.ts";
import { HANDLER_KEYS, MODULE, SERVICE_OPTIONS, SHARED_OPTIONS } from "./config_keys.ts";
import {
  type Complaints,
  type ConfigObject,
  isText,
  readObject,
  readOptions,
  toAbsolute,
} from "./config_object.ts";
import { type ModuleOptions, readModule, WITHOUT_MODULE } from "./handler_words.ts";
import type { Node, Property } from "./jsonc.ts";
import { findConflicts, unmatchedKeys } from "./option_rules.ts";
import { shown } from "./usage_error.ts";

type Values = Readonly<Record<string, unknown>>;

/** What a service is read with. */
interface Surroundings {
  /** The top of the file. */
  readonly defaults: { readonly object: ConfigObject; readonly values: Values };
  /** Whether the file has no other service. */
  readonly isOnly: boolean;
  /** Whether the counter service is not to report its messages. */
  readonly quiet: boolean;
}

/** Reads a service; what is returned is of use only if there are no complaints. */
export function readService(
  property: Property,
  complaints: Complaints,
  { defaults, isOnly, quiet }: Surroundings,
): { options: ServerOptions; object: ConfigObject } {
  const names = [shown(property.key)];
  const own = [...SHARED_OPTIONS, ...SERVICE_OPTIONS];
  const object = readObject(property.value, names, complaints, {
    options: own,
    others: HANDLER_KEYS,
  });
  const { grant, checkTypes, ...given } = readOptions(object, own, complaints);
  const values = { ...inherit(defaults.values, given), ...given };
  const placeOf = (key: string) =>
    object.properties.get(nameOf(key)) ?? defaults.object.properties.get(nameOf(key)) ?? property;
  for (const [key, scheme] of [["listen", ""], ["webSocket", "ws://"]] as const) {
    if (!(key in values)) continue;
    values[key] = (values[key] as string[]).map((text) => {
      const absolute = toAbsoluteSocket(scheme + text, complaints.folder);
      if (absolute !== undefined) return absolute.slice(scheme.length);
      complaints.add(placeOf(key), [...names, nameOf(key)], HAS_TWO_PATHS);
      return text;
    });
  }

  const counts = countsOf(values);
  for (const { key, other, isMissing, text } of findConflicts(counts)) {
    if (!isMissing && !(key in given) && !(other in given)) continue; // the defaults' own
    complaints.add(placeOf(key), [...names, nameOf(key)], text);
  }
  const unmatched = unmatchedKeys(counts);
  if (unmatched) complaints.add(placeOf("cert"), [...names, "cert"], unmatched);
  const hasAddress = ["listen", "hostname", "port", "unix", "webSocket"].some((key) => counts[key]);
  if (!hasAddress && "listen" in given) {
    complaints.add(placeOf("listen"), [...names, "listen"], "has no address in it");
  } else if (object.isObject && !hasAddress && !isOnly) {
    complaints.add(
      property,
      [...names, "listen"],
      "is missing: several services need an address each",
    );
  }
  const handler = readHandler(object, complaints, { grant, checkTypes } as ModuleOptions);
  return { options: { ...values, handler: handler ?? counterHandler({ quiet }) }, object };
}

/**
 * The defaults that a service keeps: not those that its own options exclude, and of TLS nothing that
 * only makes sense with a certificate, if it has none. (It keeps `client-ca`: without its
 * certificate, that is an error, and not a service for everybody.)
 */
function inherit(defaults: Values, own: Values): Record<string, unknown> {
  const excludes = (a: string, b: string) =>
    ALL_OPTIONS.find(([key]) => key === a)![1].excludes?.includes(b) ?? false;
  const hasTls = countsOf({ ...defaults, ...own }).cert !== 0;
  return Object.fromEntries(
    Object.entries(defaults).filter(([key]) =>
      !Object.keys(own).some((other) => excludes(key, other) || excludes(other, key)) &&
      (hasTls || !["alpn", "tlsMin"].includes(key))
    ),
  );
}

/** How many values each option has; an empty list is none. */
export function countsOf(values: Values): Record<string, number> & { cert: number } {
  const counts = Object.entries(values)
    .map(([key, value]) => [key, Array.isArray(value) ? value.length : 1]);
  return { cert: 0, ...Object.fromEntries(counts) };
}

const HAS_TWO_PATHS = "the path of the file has :/ in it, where that of a WebSocket would begin: " +
  "choose another folder";

/**
 * An address with the path of a Unix socket, which is relative to the folder of the file, as an absolute
 * one; `undefined` if that would be read as another address.
 */
function toAbsoluteSocket(text: string, folder: string): string | undefined {
  const address = parseListenAddress(text);
  if (address?.transport !== "unix") return text;
  const path = toAbsolute(address.path, folder)!;
  const absolute = formatListenAddress({ ...address, path });
  const read = parseListenAddress(absolute);
  return read?.transport === "unix" && read.path === path ? absolute : undefined;
}

/** The handler that a service names, if it names one. */
function readHandler(
  { names, properties }: ConfigObject,
  complaints: Complaints,
  options: ModuleOptions,
): Handler | undefined {
  const [module, args, command] = HANDLER_KEYS.map((key) => properties.get(key));
  const complain = (property: Property, text: string, got?: Node) =>
    complaints.add(property, [...names, property.key], text, got);
  if (module && command) complain(command, "cannot be given with module");
  for (const [key, text] of Object.entries(WITHOUT_MODULE)) {
    const property = properties.get(nameOf(key));
    if (property && !module) complain(property, text);
  }
  if (args && !module) complain(args, "requires module; a program's arguments go in command");

  const words = args && readWords(args.value);
  if (args && !words) complain(args, 'takes a list of texts, such as ["-v"]', args.value);
  if (command) {
    const [program, ...rest] = readWords(command.value) ?? [];
    if (program) return commandHandler(programPath(program, complaints.folder), rest);
    complain(
      command,
      'takes a list of a program and its arguments, such as ["bc", "-l"]',
      command.value,
    );
  }
  if (!module) return undefined;
  const { value } = module;
  if (!isText(value) || !isModule(value.value)) {
    complain(module, `takes ${MODULE}`, value);
    return undefined;
  }
  const path = /^(?:file|https?|jsr|npm):/.test(value.value)
    ? value.value
    : toAbsolute(value.value, complaints.folder)!;
  return readModule(path, words ?? [], options);
}

/** The texts of a list; `undefined` if it is something else. */
function readWords(node: Node): string[] | undefined {
  return node.type === "array" && node.children!.every(isText)
    ? node.children!.map(({ value }) => value)
    : undefined;
}

/** A program as it is if it is a name to look up in PATH, or else its absolute path. */
function programPath(program: string, folder: string): string {
  return program.includes("/") ? toAbsolute(program, folder)! : program;
}
