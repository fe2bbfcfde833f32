/**
 * The settings: a server's options, checked and complete.
 *
 * @module
 */

import { HANDSHAKE_CAPACITY } from "../admission/admission.ts";
import { networkAround } from "../net/address.ts";
import { formatListenAddress, parseListenAddress } from "../net/listen_address.ts";
import { type Option, OPTIONS, type Range, RATE_RANGES, type ServerOptions } from "./options.ts";

/** Options that stay absent where they are not given. */
type Optional = "unix" | "cwd" | "user" | "uid" | "gid";

/** The options with their defaults filled in; `listen` has all addresses. */
export type Settings = Required<Omit<ServerOptions, Optional>> & Pick<ServerOptions, Optional>;

/**
 * Fills in the defaults and checks the ranges.
 *
 * @throws {RangeError} A number is outside its range, or an option lacks another that it requires, or has
 * one that it excludes.
 */
export function resolveSettings(options: ServerOptions): Settings {
  const { handler, maxConnections = OPTIONS.maxConnections.default } = options;
  const ofHandler: Record<string, unknown> = {
    warm: Math.min(handler.warm, maxConnections),
    wsMode: handler.wsMode,
  };
  const given = options as unknown as Record<string, unknown>;
  const settings: Record<string, unknown> = { handler };
  for (const [key, option] of Object.entries<Option>(OPTIONS)) {
    const value = given[key] ?? ofHandler[key] ?? option.default;
    if (value === undefined) continue;
    if (option.range) requireInRange(key, value as number, option.range);
    if (option.words?.includes(value as string) === false) {
      throw new RangeError(`Cannot listen as ${key} must be one of ${option.words}: got ${value}`);
    }
    if (option.requires && isGiven(given[key]) && !isGiven(given[option.requires])) {
      throw new RangeError(`Cannot listen as ${key} requires ${option.requires}`);
    }
    for (const other of option.excludes ?? []) {
      if (given[other] === undefined) continue;
      throw new RangeError(`Cannot listen as ${key} excludes ${other}`);
    }
    settings[key] = value;
  }
  const { cert, key } = settings as unknown as Settings;
  if (cert.length !== key.length) {
    throw new RangeError(
      `Cannot listen as every cert has a key: there are ${cert.length} and ${key.length}`,
    );
  }
  for (const name of ["rate", "ratePerSource"] as const) {
    const { count, periodMs } = settings[name] as Settings["rate"];
    requireInRange(`${name}.count`, count, RATE_RANGES.count);
    requireInRange(`${name}.periodMs`, periodMs, RATE_RANGES.periodMs);
  }
  return { ...settings as unknown as Settings, listen: addressesOf(options) };
}

/**
 * All addresses that a server with these options listens on.
 *
 * @throws {RangeError} One of them is none.
 */
export function addressesOf(
  { listen = [], hostname, port, unix, webSocket = [] }: ServerOptions,
): string[] {
  const isShort = hostname !== undefined || port !== undefined ||
    listen.length + webSocket.length === 0 && unix === undefined;
  const tcp = {
    transport: "tcp",
    hostname: hostname ?? OPTIONS.hostname.default,
    port: port ?? OPTIONS.port.default,
  } as const;
  const texts = [
    ...listen,
    ...(isShort ? [formatListenAddress(tcp)] : []),
    ...(unix === undefined ? [] : [`unix:${unix}`]),
    ...webSocket.map((text) => `ws://${text}`),
  ];
  for (const text of texts) {
    if (parseListenAddress(text)) continue;
    throw new RangeError(`Cannot listen on ${JSON.stringify(text)}: it is not an address`);
  }
  return texts;
}

/** How many children these services keep warm together. */
export function warmOf(services: readonly Settings[]): number {
  return services.reduce((sum, { warm }) => sum + warm, 0);
}

/**
 * What is wrong with a limit on the children of these services: each must be able to have one for a
 * client beside all the warm ones.
 */
export function childrenProblem(
  services: readonly Settings[],
  maxChildren: number,
): string | undefined {
  const least = warmOf(services) + services.length;
  if (maxChildren === 0 || maxChildren >= least) return undefined;
  return `max-children is ${maxChildren}, but ${least} are needed, all warm children and one more for each service: raise max-children, or lower warm`;
}

/** What of a server's settings is allowed, but hardly meant; one line each. */
export function warningsOf(settings: Settings): string[] {
  const { warm, maxConnections, deny } = settings;
  const warnings = [];
  if (warm > maxConnections) {
    warnings.push(
      `warm is ${warm}, but only max-connections, ${maxConnections}, can have a client: lower warm, or raise max-connections`,
    );
  }
  for (const key of ["acceptProxy", "allow", "deny", "exempt"] as const) {
    for (const text of settings[key]) {
      const network = networkAround(text);
      if (network === undefined) continue;
      warnings.push(
        `${OPTIONS[key].name} ${text} is all of ${network}: write that, or one address alone`,
      );
    }
  }
  for (const text of deny.filter((text) => text.endsWith("/0"))) {
    const kind = text.includes(":") ? "IPv6" : "IPv4";
    warnings.push(
      `deny ${text} refuses every ${kind} client: to admit some, give them with allow alone`,
    );
  }
  return warnings;
}

/** What the server has open besides, and what a start needs for a moment (measured on Deno 2.9.6). */
const OTHER_DESCRIPTORS = 32;

/** Whether these services may need more descriptors than there may be, and what to do about it. */
export function descriptorsWarning(
  services: readonly Settings[],
  maxChildren: number,
  limit: number,
): string | undefined {
  // A child has two pipes and a handle, or three pipes, and a client has its socket.
  const childOf = ({ stderr }: Settings) => stderr === "log" ? 4 : 3;
  const sum = (of: (settings: Settings) => number) =>
    services.reduce((sum, settings) => sum + of(settings), 0);
  const clients = sum((one) => one.maxConnections * (childOf(one) + 1));
  const mostClients = maxChildren === 0
    ? Infinity
    : (maxChildren - warmOf(services)) * (Math.max(...services.map(childOf)) + 1);
  const needed = OTHER_DESCRIPTORS + Math.min(clients, mostClients) +
    sum((one) => one.listen.length + (one.queue || HANDSHAKE_CAPACITY) + one.warm * childOf(one));
  if (limit >= needed) return undefined;
  return `the system allows ${limit} descriptors, but ${needed} are needed for all clients and children that may be there at once: ` +
    `raise the limit (ulimit -n, or LimitNOFILE= in a unit), or lower max-connections`;
}

/** Whether an option has a value; an empty list is none. */
function isGiven(value: unknown): boolean {
  return value !== undefined && !(Array.isArray(value) && value.length === 0);
}

function requireInRange(name: string, value: number, [min, max]: Range): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new RangeError(
    `Cannot listen as ${name} must be a whole number from ${min} to ${max}: current value is ${value}`,
  );
}
