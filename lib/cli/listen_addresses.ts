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
import { OPTIONS, type ServerOptions } from "../server/options.ts";

/** The addresses, in the order in which they are given; the default if none is. */
export function listenAddresses(options: ServerOptions): ListenAddress[] {
  const { listen = [], hostname, port, unix } = options;
  const addresses = listen.map((text) => parseListenAddress(text)!);
  const isDefault = listen.length === 0 && unix === undefined;
  if (hostname !== undefined || port !== undefined || isDefault) {
    addresses.push({
      transport: "tcp",
      hostname: hostname ?? OPTIONS.hostname.default,
      port: port ?? OPTIONS.port.default,
    });
  }
  if (unix !== undefined) addresses.push({ transport: "unix", path: unix });
  return addresses;
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
