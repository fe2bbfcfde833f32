/**
 * The permissions of Deno that a server needs and does not have. Deno would ask for one, or throw
 * once it is used; to name them all at the start, with their flags, is better.
 *
 * @module
 */

import { formatSocketAddress } from "../net/address.ts";
import type { ServerOptions } from "../server/options.ts";
import { listenAddresses } from "./listen_addresses.ts";
import type { StatusAddress } from "./option_values.ts";

/** A permission, what it is for, and its flag without the dashes, perhaps with what else will do. */
type Need = readonly [permission: Deno.PermissionDescriptor, what: string, flag: string];

/** What Deno does not allow of what these options need, one line each with the flag that does. */
export function missingPermissions(options: ServerOptions, status?: StatusAddress): string[] {
  const { handler: { command }, cert = [], key = [], clientCa = [] } = options;
  const needs: Need[] = [];
  const read = (path: string) => needs.push(needFile("read", path));
  for (const address of listenAddresses(options)) {
    if (address.transport === "tcp") {
      const host = formatSocketAddress({ ...address, hostname: address.hostname || "::" });
      needs.push(needNet(`listening on ${host}`, host));
    } else if (address.transport === "unix") {
      read(address.path);
      needs.push(needFile("write", address.path));
    } else if (typeof address.fd === "string") {
      const variable = "LISTEN_FDNAMES";
      needs.push([{ name: "env", variable }, `reading ${variable}`, `env=${variable}`]);
    }
  }
  needs.push([{ name: "run", command }, `running ${command}`, "run"]);
  if (status) {
    const host = formatSocketAddress(status);
    needs.push(needNet(`serving its status on ${host}`, host));
  }
  for (const path of [...cert, ...key, ...clientCa]) read(path);
  const missing = needs.flatMap(([permission, what, flag]) => {
    const { state } = Deno.permissions.querySync(permission);
    if (state === "granted") return [];
    const advice = state === "denied"
      ? `remove its --deny-${permission.name}`
      : `add --allow-${flag}`;
    return [`Deno does not allow ${what}: ${advice}`];
  });
  // Deno would end the process (2.9.6). An installed spawnd has no deno.json that sets it.
  if (options.reusePort && Deno.listenDatagram === undefined) {
    missing.push("Deno does not allow --reuse-port: add --unstable-net");
  }
  return [...new Set(missing)];
}

/** What a list has in it cannot be asked for, only whether it has one address. */
function needNet(what: string, host: string): Need {
  return [{ name: "net", host }, what, `net, or ${host} to its list`];
}

function needFile(name: "read" | "write", path: string): Need {
  const what = name === "read" ? "reading" : "writing";
  return [{ name, path }, `${what} ${path}`, `${name}=${path}`];
}
