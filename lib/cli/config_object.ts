/**
 * An object of a configuration file: its keys and their values, checked against the option table.
 *
 * @module
 */

import { dirname, resolve } from "node:path";
import { ALL_OPTIONS, type Entry } from "./command_options.ts";
import {
  FILE_COMMAND_OPTIONS,
  HANDLER_KEYS,
  isPath,
  SERVICE_OPTIONS,
  TOP_KEYS,
} from "./config_keys.ts";
import { hintFor } from "./hints.ts";
import { type Fault, lineOf, type Node, propertiesOf, type Property } from "./jsonc.ts";
import { domainOf, readJson } from "./option_values.ts";
import { nearest } from "./suggest.ts";
import { quoted, shown, UsageError } from "./usage_error.ts";

/** How many problems of one file are listed. */
const MAX_LISTED = 50;

/** What is wrong with a file, and where. */
export class Complaints {
  /** The folder of the file. */
  readonly folder: string;
  readonly #text: string;
  readonly #path: string;
  readonly #faults: Fault[] = [];

  constructor(text: string, path: string) {
    this.#text = text;
    this.#path = path;
    this.folder = dirname(resolve(path));
  }

  /** How many problems there are. */
  get count(): number {
    return this.#faults.length;
  }

  /**
   * Adds a problem.
   *
   * @param at What it is about.
   * @param names The service and the key, as far as there are any.
   * @param got The value that is wrong, if it is to be shown.
   * @param hint What follows it.
   */
  add(
    { node }: { node: Node },
    names: readonly string[],
    text: string,
    got?: Node,
    hint = "",
  ): void {
    const what = got ? `${text}, got ${describe(got)}${hint}` : text;
    this.#faults.push({ offset: (got ?? node).offset, text: [...names, what].join(": ") });
  }

  /** Adds errors of the parser: the first of each line, since others often follow from it. */
  addFaults(faults: readonly Fault[]): void {
    let last = 0;
    for (const fault of faults) {
      if (this.count > MAX_LISTED) break; // to find the line of each takes time
      const line = lineOf(this.#text, fault.offset);
      if (line !== last) this.#faults.push(fault);
      last = line;
    }
  }

  /** The error for all of them, in the order of the file, each once. */
  error(): UsageError {
    this.#faults.sort((a, b) => a.offset - b.offset);
    const listed = this.#faults.slice(0, MAX_LISTED).map(({ offset, text }) =>
      `${shown(this.#path)}:${lineOf(this.#text, offset)}: ${text}`
    );
    const more = this.#faults.length - listed.length;
    if (more > 0) listed.push(`${shown(this.#path)}: there is more that is wrong`);
    return new UsageError([...new Set(listed)]);
  }
}

/** An object of the file. */
export interface ConfigObject {
  /** Whether it is one, and not another value. */
  readonly isObject: boolean;
  /** The service that it is; empty for the top of the file. */
  readonly names: readonly string[];
  /** Its keys, of those that it can have. */
  readonly properties: ReadonlyMap<string, Property>;
}

/** Reads the keys of an object, and complains of those that it cannot have. */
export function readObject(
  node: Node,
  names: readonly string[],
  complaints: Complaints,
  { options, others }: { options: readonly Entry[]; others: readonly string[] },
): ConfigObject {
  const isObject = node.type === "object";
  if (!isObject) complaints.add({ node }, names, "takes an object in braces", node);
  const known = [...others, ...options.map(([, { name }]) => name)];
  const properties = new Map<string, Property>();
  for (const property of isObject ? propertiesOf(node) : []) {
    const { key } = property;
    const where = [...names, shown(key)];
    if (!known.includes(key)) complaints.add(property, where, explainUnknown(key, known));
    else if (properties.has(key)) complaints.add(property, where, "is given twice");
    else properties.set(key, property);
  }
  return { isObject, names, properties };
}

/** The values of an object's options, in the library's units, by the options' keys. */
export function readOptions(
  { names, properties }: ConfigObject,
  options: readonly Entry[],
  complaints: Complaints,
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [key, option] of options) {
    const property = properties.get(option.name);
    if (property === undefined) continue;
    const where = [...names, option.name];
    const read = (node: Node) => {
      const value = readJson(option, node.value);
      if (value === undefined) {
        const hint = hintFor(option, String(node.value), "");
        complaints.add(property, where, `takes ${domainOf(option)}`, node, hint);
      }
      return isPath(option) ? toAbsolute(value as string, complaints.folder) : value;
    };
    const { value } = property;
    if (option.argument === "NAME=VALUE") values[key] = readVariables(property, where, complaints);
    else if (!option.repeatable) values[key] = read(value);
    else values[key] = (value.type === "array" ? value.children! : [value]).map(read);
  }
  return values;
}

/** A path that is relative to the folder of the file, as an absolute one. */
export function toAbsolute(path: string | undefined, folder: string): string | undefined {
  return path === undefined ? undefined : resolve(folder, path);
}

/** Variables of the environment: an object of names and values. */
function readVariables(
  property: Property,
  where: readonly string[],
  complaints: Complaints,
): Record<string, string> {
  const { value: object } = property;
  if (object.type !== "object") {
    const example = 'takes an object of names and values, such as { "TZ": "UTC" }';
    complaints.add(property, where, example, object);
    return {};
  }
  const variables = new Map<string, string>();
  for (const variable of propertiesOf(object)) {
    const { key: name, value } = variable;
    const at = [...where, shown(name)];
    if (!/^[^=\0]+$/.test(name)) complaints.add(variable, at, "is no name of a variable");
    if (variables.has(name)) complaints.add(variable, at, "is given twice");
    if (!isText(value)) complaints.add(variable, at, "takes a text", value);
    variables.set(name, value.value);
  }
  return Object.fromEntries(variables);
}

/** Whether a value is text that can be passed to a program. */
export function isText({ type, value }: Node): boolean {
  return type === "string" && !value.includes("\0");
}

/** A value for a message. */
function describe({ type, value }: Node): string {
  if (type === "string") return quoted(value);
  return { array: "a list", object: "an object" }[type as string] ?? String(value);
}

/** Why an object cannot have this key, and which one was probably meant. */
function explainUnknown(key: string, known: readonly string[]): string {
  const isHere = ([, { name }]: Entry) => name === key;
  if (SERVICE_OPTIONS.some(isHere) || HANDLER_KEYS.some((name) => name === key)) {
    return "belongs in a service";
  }
  if (FILE_COMMAND_OPTIONS.some(isHere) || TOP_KEYS.some((name) => name === key)) {
    return "belongs at the top of the file";
  }
  if (ALL_OPTIONS.some(isHere)) return "is for the command line only";
  if (known.includes(`no-${key}`)) {
    return `there is no such key: it is the default, unless "no-${key}" is true`;
  }
  const meant = nearest(key.replace(/^-+/, ""), known);
  return "there is no such key" + (meant ? `, did you mean ${meant}?` : "");
}
