/**
 * The addresses that a server with these options will listen on.
 *
 * @module
 */

import { formatAddress, parseAddress } from "../net/address.ts";
import {
  formatListenAddress,
  type ListenAddress,
  parseListenAddress,
} from "../net/listen_address.ts";
import type { ServerOptions } from "../server/options.ts";
import { addressesOf } from "../server/settings.ts";

/** The addresses, in the order in which they are given; the default if none is. */
export function listenAddresses(options: ServerOptions): ListenAddress[] {
  return addressesOf(options).map((text) => parseListenAddress(text)!);
}

/**
 * A text that is the same for two ways to write one address; `undefined` for port 0, which is
 * another port each time.
 */
export function identityOf(address: ListenAddress): string | undefined {
  if (address.transport !== "tcp") return formatListenAddress(address);
  const { hostname, port } = address;
  if (port === 0) return undefined;
  const bytes = parseAddress(hostname || "::");
  const canonical = bytes ? formatAddress(bytes) : hostname.toLowerCase();
  return formatListenAddress({ ...address, hostname: canonical });
}
