/**
 * The values of options: from text on the command line, or from JSON in a configuration file, to the
 * library's units. Both have the same ranges, and describe them in the same words.
 *
 * @module
 */

import { isGrant, PERMISSIONS } from "../child/sandbox.ts";
import { isNetwork } from "../net/address.ts";
import {
  isHost,
  parseHostAndPort,
  parseListenAddress,
  parseWebSocketAddress,
} from "../net/listen_address.ts";
import { type Option, type Range, RATE_RANGES, type ServerOptions } from "../server/options.ts";
import { hintFor } from "./hints.ts";
import { quoted, shown } from "./usage_error.ts";

/** Where the status page is served. */
export interface StatusAddress {
  readonly hostname: string;
  readonly port: number;
}

/** The value that `text` stands for, or `undefined` if the option cannot have it. */
export function readText(option: Option, text: string): unknown {
  if (text === "") return undefined;
  const { argument, words, range } = option;
  switch (argument) {
    case "ADDRESS":
      return parseListenAddress(text) && text;
    case "ADDRESS[/PATH]":
      return parseWebSocketAddress(text) && text;
    case "HOST":
      return isHost(text) ? text : undefined;
    case "CIDR":
      return isNetwork(text) ? text : undefined;
    case "N":
      return readNumber(text, range!);
    case "NAME=VALUE":
      return /^([^=]+)=(.*)$/s.exec(text)?.slice(1);
    case "NAME[:GROUP]":
      return /^[^:]+(:[^:]+)?$/.test(text) ? text : undefined;
    case "ORIGIN":
      return text === "*" || isOrigin(text) ? text : undefined;
    case "PERMISSION[=VALUES]":
      return isGrant(text) ? text : undefined;
    case "N[/SECONDS]":
      return readRate(text);
    case "PROTOCOL":
      return /^[^,\s]{1,255}$/.test(text) ? text : undefined;
    case "TOKEN":
      return /^[\w!#$%&'*+.^`|~-]+$/.test(text) ? text : undefined;
    case "SECONDS":
      return readSeconds(text, range!);
    case "SIGNAL":
      return words!.find((word) => [word, word.replace("SIG", "")].includes(text.toUpperCase()));
    case "WORD":
      return words!.includes(text) ? text : undefined;
    case "[HOST:]PORT":
      return readAddress(text);
    case "FILE":
      return hintFor(option, text) ? undefined : text;
    default:
      return text;
  }
}

/**
 * The value that a JSON value other than a list or an object stands for, or `undefined` if the
 * option cannot have it.
 */
export function readJson(option: Option, value: unknown): unknown {
  const { argument, default: standard, range } = option;
  if (argument === undefined) {
    return typeof value === "boolean" ? value === (standard !== true) : undefined;
  }
  if (typeof value === "number") {
    if (argument === "SECONDS") return toMilliseconds(value, range!);
    return NUMERIC.includes(argument) ? readText(option, String(value)) : undefined;
  }
  if (typeof value !== "string" || argument === "N" || argument === "SECONDS") return undefined;
  if (argument === "TEXT") return value;
  return value.includes("\0") ? undefined : readText(option, value);
}

/** Arguments that can be a number in JSON. */
const NUMERIC: readonly string[] = ["N", "N[/SECONDS]", "[HOST:]PORT"];

function readNumber(text: string, [min, max]: Range): number | undefined {
  const value = Number(text);
  return /^\d+$/.test(text) && value >= min && value <= max ? value : undefined;
}

function readSeconds(text: string, range: Range): number | undefined {
  return /^(\d+\.?\d*|\.\d+)$/.test(text) ? toMilliseconds(Number(text), range) : undefined;
}

/** Seconds in milliseconds, as the range is; what is shorter than one is one, not none. */
function toMilliseconds(seconds: number, [min, max]: Range): number | undefined {
  if (!(seconds >= min / 1000 && seconds <= max / 1000)) return undefined;
  return Math.round(seconds * 1000) || Math.ceil(seconds);
}

/**
 * Whether it is one as browsers write it: of a web site, of an app with a scheme of its own, or `null`
 * for a file and others.
 */
function isOrigin(text: string): boolean {
  const { protocol, host } = URL.parse(text) ?? {};
  return text === "null" || Boolean(host) && text === `${protocol}//${host}` && !text.includes("*");
}

function readRate(text: string): ServerOptions["ratePerSource"] {
  const [, first = "", seconds = "1"] = /^([^/]*)(?:\/(.+))?$/.exec(text) ?? [];
  const count = readNumber(first, RATE_RANGES.count);
  const periodMs = readSeconds(seconds, RATE_RANGES.periodMs);
  return count === undefined || periodMs === undefined ? undefined : { count, periodMs };
}

/** An address and a port, or a port of the loopback address. */
function readAddress(text: string): StatusAddress | undefined {
  const address = parseHostAndPort(/^\d+$/.test(text) ? `127.0.0.1:${text}` : text);
  return address?.hostname === "" ? undefined : address;
}

/** What an option takes, in words. */
export function domainOf({ argument, words, range: [min, max] = [0, 0] }: Option): string {
  switch (argument) {
    case undefined:
      return "true or false";
    case "ADDRESS":
      return "HOST:PORT, :PORT, unix:PATH or fd:N, or ws:// and one of these";
    case "ADDRESS[/PATH]":
      return "an address and perhaps a path, such as :8080/chat";
    case "HOST":
      return "an address or a host name";
    case "CIDR":
      return "a network such as 192.0.2.0/24 or 2001:db8::/32";
    case "N":
      return `a whole number from ${min} to ${max}`;
    case "N[/SECONDS]":
      return "a number, or a number and seconds, such as 30/60";
    case "SECONDS":
      return `seconds from ${min / 1000} to ${Math.floor(max / 1000)}`;
    case "NAME=VALUE":
      return "a variable's name and value, such as TZ=UTC";
    case "NAME[:GROUP]":
      return "a user, or a user and a group, such as git or www-data:git";
    case "ORIGIN":
      return "an origin as browsers say it, such as https://example.com or http://localhost:5173, or *";
    case "PERMISSION[=VALUES]":
      return `a permission of Deno (${
        listOf(PERMISSIONS)
      }), or one with values, such as env=TZ,LANG`;
    case "PROTOCOL":
      return "one protocol, such as http/1.1, and may be repeated";
    case "TOKEN":
      return "one sub-protocol, such as mqtt, and may be repeated";
    case "TEXT":
      return "a text";
    case "SIGNAL":
    case "WORD":
      return listOf(words!);
    case "[HOST:]PORT":
      return "a port, or an address and a port, such as 9528 or 0.0.0.0:9528";
    default:
      return "a path";
  }
}

/** An option's value in the library's unit, as text that the command line would read. */
export function formatValue({ argument }: Option, value: unknown): string {
  if (argument === "SECONDS") return String(Number(value) / 1000);
  if (argument === "TEXT") return quoted(String(value));
  if (argument === "N[/SECONDS]") {
    const { count, periodMs } = value as NonNullable<ServerOptions["rate"]>;
    return periodMs === 1000 ? String(count) : `${count}/${periodMs / 1000}`;
  }
  if (argument === "NAME=VALUE") {
    return Object.entries(value as object).map(([name, text]) => shown(`${name}=${text}`)).join(
      " ",
    );
  }
  return (Array.isArray(value) ? value : [value]).map((one) => shown(String(one))).join(" ");
}

/** `a, b or c`. */
export function listOf(words: readonly string[]): string {
  return new Intl.ListFormat("en-GB", { type: "disjunction" }).format(words);
}
