/**
 * The JSON schema of the configuration file, for editors: from the same tables as the checker. Run
 * as a program, it prints the schema; `deno task docs` writes it to docs/schema.json.
 *
 * It is of draft 7, the newest that editors take throughout. It cannot express all that the checker
 * knows: networks, addresses and origins it knows by their characters only, and nothing that depends on the
 * defaults, on another service, or on a key that is given twice.
 *
 * @module
 */

import { type Option, OPTIONS, RATE_RANGES } from "../server/options.ts";
import { type Entry, nameOf } from "./command_options.ts";
import {
  FILE_COMMAND_OPTIONS,
  isPath,
  MODULE,
  SERVICE_NAME,
  SERVICE_OPTIONS,
  SHARED_OPTIONS,
} from "./config_keys.ts";
import { formatValue } from "./option_values.ts";
import { PERMISSIONS } from "../child/sandbox.ts";
import { MODULE_PATTERN } from "../child/handler.ts";
import { HOST_NAME } from "../net/listen_address.ts";

type Schema = Readonly<Record<string, unknown>>;

/** Text that can be passed to a program. */
const WORD: Schema = { type: "string", pattern: "^[^\\u0000]*$" };
const NOT_EMPTY: Schema = { type: "string", pattern: "^[^\\u0000]+$" };
const PORT: Schema = { type: "integer", minimum: 0, maximum: OPTIONS.port.range[1] };
/** An address of a host by its form, perhaps with its zone; whether it is one is for the checker. */
const IPV6 = "[\\dA-Fa-f:.]*:[\\dA-Fa-f:.]*(?:%[^%\\s/\\]\\u0000]+)?";
const NAME_OR_IPV4 = `\\d{1,3}(?:\\.\\d{1,3}){3}|(?![\\d.]+(?::|$))${
  HOST_NAME.source.slice(1, -1)
}`;
/** What follows ws:// in an address. */
const WEB_PATH = '(?:/(?!\\.{1,2}(?:/|$))[!"$&-.0->@-~]*)+';
const WEB_SOCKET = `unix:(?!:/)[^\\u0000](?:(?!:/)[^\\u0000])*(?::${WEB_PATH})?|` +
  `(?:${socketWithout("/\\u0000")})(?:${WEB_PATH})?`;

/** A socket that is passed, without these characters, or over TCP. */
function socketWithout(excluded: string): string {
  return `fd:[^:\\s${excluded}]+|(?:\\[${IPV6}\\]|\\*|${NAME_OR_IPV4})?:\\d{1,5}`;
}

/** The schema of a configuration file. */
export function configurationSchema(): Schema {
  const options = [...FILE_COMMAND_OPTIONS, ...SHARED_OPTIONS, ...SERVICE_OPTIONS];
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "spawnd's configuration file",
    allowTrailingCommas: true, // Visual Studio Code's own
    ...objectOf({
      $schema: { type: "string", description: "The address of this schema." },
      ...referencesTo(FILE_COMMAND_OPTIONS),
      ...referencesTo(SHARED_OPTIONS),
      services: {
        description: "What to serve, by name.",
        type: "object",
        minProperties: 1,
        propertyNames: { pattern: SERVICE_NAME.source },
        additionalProperties: { $ref: "#/definitions/service" },
      },
    }),
    required: ["services"],
    ...exclusions(SHARED_OPTIONS),
    definitions: {
      service: {
        description: "A service: its addresses, its handler, and options. " +
          "Without module and command it is the counter service.",
        ...objectOf({
          module: {
            description: `What serves a client: ${MODULE}, run without permissions; a path is ` +
              "relative to the folder of this file.",
            ...WORD,
            allOf: [{ pattern: MODULE_PATTERN.source }],
          },
          args: { description: "The arguments of the module.", type: "array", items: WORD },
          command: {
            description: "What serves a client: a program and its arguments.",
            type: "array",
            items: [NOT_EMPTY],
            additionalItems: WORD,
            minItems: 1,
          },
          ...referencesTo(SERVICE_OPTIONS),
          ...referencesTo(SHARED_OPTIONS),
        }),
        dependencies: { args: ["module"], grant: ["module"], "check-types": ["module"] },
        ...exclusions(SHARED_OPTIONS, [["module", "command"]]),
      },
      ...Object.fromEntries(options.map(([, option]) => [option.name, schemaOf(option)])),
    },
  };
}

function objectOf(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: "object", properties, additionalProperties: false };
}

/** Properties that are options, by name. */
function referencesTo(options: readonly Entry[]): Record<string, Schema> {
  return Object.fromEntries(
    options.map(([, { name }]) => [name, { $ref: `#/definitions/${name}` }]),
  );
}

/** That of two keys that exclude each other only one can be given. */
function exclusions(options: readonly Entry[], more: [string, string][] = []): Schema {
  const pairs = options.flatMap(([, { name, excludes = [] }]) =>
    excludes.map((other) => [name, nameOf(other)])
  );
  return { allOf: [...more, ...pairs].map((required) => ({ not: { required } })) };
}

/** An option: what it does, and the values that it can have. */
function schemaOf(option: Option): Schema {
  const { argument, help, repeatable, needs = [], requires } = option;
  const conditions = [...(requires ? [nameOf(requires)] : []), ...needs].join(" and ");
  const text = help.charAt(0).toUpperCase() + help.slice(1).replaceAll(/--(?=[a-z])/g, "");
  const unit = argument === "SECONDS" ? ", in seconds" : "";
  const place = isPath(option) ? "; a relative path starts at the folder of this file" : "";
  const description = `${text}${unit}${place}${conditions && `; needs ${conditions}`}.`;
  const value = valueOf(option);
  if (argument === "NAME=VALUE") return { description, ...value };
  return {
    description,
    ...(repeatable ? { anyOf: [{ type: "array", items: value }, value] } : value),
    ...defaultFor(option),
  };
}

/** The default, if it is a value that the file can have. */
function defaultFor(option: Option): Schema {
  const { argument, default: value, repeatable } = option;
  if (argument === undefined) return { default: false };
  if (value === undefined || repeatable) return {};
  if (typeof value === "number") return { default: Number(formatValue(option, value)) };
  return { default: typeof value === "string" ? value : Number(formatValue(option, value)) };
}

/** The values that an option can have, one of them where there can be several. */
function valueOf({ argument, words, range: [min, max] = [0, 0] }: Option): Schema {
  switch (argument) {
    case undefined:
      return { type: "boolean" };
    case "ADDRESS":
      return {
        type: "string",
        pattern: `^(?:ws://(?:${WEB_SOCKET})|unix:[^\\u0000]+|${socketWithout("\\u0000")})$`,
      };
    case "ADDRESS[/PATH]":
      return { type: "string", pattern: `^(?:${WEB_SOCKET})$` };
    case "HOST":
      return { type: "string", pattern: `^(?:${IPV6}|${NAME_OR_IPV4})$` };
    case "CIDR":
      return { type: "string", pattern: "^[\\dA-Fa-f:.]+(?:/\\d{1,3})?$" };
    case "N":
      return { type: "integer", minimum: min, maximum: max };
    case "SECONDS":
      return { type: "number", minimum: min / 1000, maximum: max / 1000 };
    case "N[/SECONDS]": {
      const [minimum, maximum] = RATE_RANGES.count;
      const seconds = "(?:\\d+\\.?\\d*|\\.\\d+)";
      return {
        anyOf: [
          { type: "integer", minimum, maximum },
          { type: "string", pattern: `^\\d+(?:/${seconds})?$` },
        ],
      };
    }
    case "NAME=VALUE":
      return {
        type: "object",
        propertyNames: { pattern: "^[^=\\u0000]+$" },
        additionalProperties: WORD,
      };
    case "NAME[:GROUP]":
      return { type: "string", pattern: "^[^:\\u0000]+(?::[^:\\u0000]+)?$" };
    case "ORIGIN":
      return { type: "string", pattern: "^(?:\\*|null|[a-z][a-z0-9+.-]*://[^/?#@*\\s\\u0000]+)$" };
    case "PERMISSION[=VALUES]":
      return { type: "string", pattern: `^(?:${PERMISSIONS.join("|")})(?:=[^\\u0000]+)?$` };
    case "PROTOCOL":
      return { type: "string", pattern: "^[^,\\s\\u0000]{1,255}$" };
    case "TOKEN":
      return { type: "string", pattern: "^[\\w!#$%&'*+.^`|~-]+$" };
    case "SIGNAL":
      return { anyOf: [{ enum: words }, { type: "string", pattern: anyCase(words!) }] };
    case "TEXT":
      return { type: "string" };
    case "WORD":
      return { enum: words };
    case "[HOST:]PORT":
      return {
        anyOf: [
          PORT,
          { type: "string", pattern: "^(?:(?:\\[[^\\u0000]+\\]|[^:[\\]\\u0000]+):)?\\d+$" },
        ],
      };
    default:
      return NOT_EMPTY;
  }
}

/** Signals with or without SIG, in capitals or not. */
function anyCase(signals: readonly string[]): string {
  const letters = (text: string) =>
    text.replace(/[A-Z]/g, (letter) => `[${letter}${letter.toLowerCase()}]`);
  const names = signals.map((signal) => letters(signal.replace("SIG", "")));
  return `^(?:${letters("SIG")})?(?:${names.join("|")})$`;
}

if (import.meta.main) console.log(JSON.stringify(configurationSchema(), null, 2));
