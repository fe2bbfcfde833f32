/**
 * The addresses that a server with these options will listen on.
 *
 * @module
 */

import {
  addressProblem,
  formatListenAddress,
  formatSocket,
  type ListenAddress,
  overlap,
  parseListenAddress,
} from "../net/listen_address.ts";
import { type ServerOptions, WEB_SOCKETS } from "../server/options.ts";
import { addressesOf } from "../server/settings.ts";
import type { StatusAddress } from "./option_values.ts";
import { shown } from "./usage_error.ts";

/** The addresses, in the order in which they are given; the default if none is. */
export function listenAddresses(options: ServerOptions): ListenAddress[] {
  return addressesOf(options).map((text) => parseListenAddress(text)!);
}

/** The options for WebSockets, by key, that these have although they serve none. */
export function idleWebSocketOptions(options: ServerOptions): string[] {
  if (listenAddresses(options).some(({ webSocketPath }) => webSocketPath !== undefined)) return [];
  return Object.keys(WEB_SOCKETS).filter((key) =>
    options[key as keyof ServerOptions] !== undefined
  );
}

/** What is wrong with such an option. */
export const WITHOUT_WEB_SOCKET = "is for WebSockets, but there is no address for them";

/** An address, and the name of what listens there. */
export interface Owned {
  readonly owner: string;
  readonly address: ListenAddress;
}

/** The address of the status page, if there is one. */
export function ownedByStatus({ status }: { readonly status?: StatusAddress }): Owned[] {
  return status ? [{ owner: "the status page", address: { transport: "tcp", ...status } }] : [];
}

/** The key of the option by which a server's address is given. */
export function optionOf(
  address: ListenAddress,
  index: number,
  { listen = [], hostname, port }: Partial<ServerOptions>,
): string {
  if (index < listen.length) return "listen";
  if (address.webSocketPath !== undefined) return "webSocket";
  if (address.transport === "unix") return "unix";
  if (addressProblem(address) !== undefined) return "hostname";
  return hostname === undefined && port === undefined ? "status" : "port"; // it overlaps the default
}

/** What is wrong with an address, by itself or beside others. */
export function problemOf(one: Owned, others: readonly Owned[]): string | undefined {
  const problem = addressProblem(one.address);
  if (problem === undefined) return overlapWith(others, one);
  return `${shown(formatSocket(one.address))}: ${problem}`;
}

/** Only one of two addresses that overlap can be listened on. */
function overlapWith(others: readonly Owned[], one: Owned): string | undefined {
  const found = others.find(({ address }) => overlap(address, one.address));
  if (found === undefined) return undefined;
  const [text, other] = [one.address, found.address].map((a) => shown(formatListenAddress(a)));
  const isOwn = found.owner === one.owner;
  if (text === other) {
    return isOwn ? `${text} is given twice` : `${found.owner} listens on ${text} too`;
  }
  const isPath = one.address.webSocketPath !== undefined &&
    formatSocket(one.address) === formatSocket(found.address);
  return `${text} overlaps ${other}` +
    (isOwn ? "" : `, where ${found.owner} listens`) +
    (isPath ? ": a socket has one path; a proxy can join several" : "");
}
