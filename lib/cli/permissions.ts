/**
 * The permissions of Deno that there have to be, and are not. Deno would ask for one, or throw once it
 * is used; to name them all at the start, with their flags, is better.
 *
 * What the list of a flag has in it cannot be asked for, only whether it has something. So that a flag
 * was given a list shows where something else that is needed is in it.
 *
 * @module
 */

import { needsShell } from "../child/launch.ts";
import { formatSocketAddress } from "../net/address.ts";
import type { ServerOptions } from "../server/options.ts";
import type { CommandSettings } from "./command_line.ts";
import { listenAddresses } from "./listen_addresses.ts";
import { BEFORE_MAIN, placeOfFlags } from "./place_of_flags.ts";

/** A permission, and what it is for. */
interface Need {
  readonly permission: Deno.PermissionDescriptor;
  readonly what: string;
  /** What the list of its flag has to have in it. */
  readonly value: string;
  /** The service that needs it, if it has a name. */
  readonly service: string;
}

/** What there is to be served, and besides. */
interface Served extends Pick<CommandSettings, "status"> {
  readonly services: ReadonlyMap<string, ServerOptions>;
}

/**
 * What Deno does not allow of what there is to be served, one line each with the flag that does, and
 * where flags go, unless before main.ts. Lines begin with the names of the services.
 */
export function missingPermissions({ services, status }: Served): string[] {
  const needs = [...services].flatMap(([name, options]) =>
    needsOf(options).map((need) => ({ ...need, service: name }))
  );
  if (status) {
    const host = formatSocketAddress(status);
    needs.push({ ...needNet(`serving its status on ${host}`, host), service: "" });
  }
  const narrowed = new Set(
    needs.filter(({ permission }) =>
      isGranted(permission) && !isGranted({ name: permission.name } as Deno.PermissionDescriptor)
    ).map(({ permission }) => permission.name),
  );
  const missing = new Map<string, Set<string>>();
  const add = (service: string, problem: string) =>
    missing.set(problem, (missing.get(problem) ?? new Set()).add(service));
  for (const need of needs) {
    if (isGranted(need.permission)) continue;
    const advice = adviceFor(need, narrowed.has(need.permission.name));
    add(need.service, `Deno does not allow ${need.what}: ${advice}`);
  }
  // Deno would end the process (2.9.6). An installed spawnd has no deno.json that sets it.
  if (Deno.listenDatagram === undefined) {
    for (const [name, { reusePort }] of services) {
      if (reusePort) add(name, "Deno does not allow --reuse-port: add --unstable-net");
    }
  }
  const lines = [...missing].map(([problem, services]) => {
    const names = [...services].filter((name) => name !== "").join(", ");
    return names === "" ? problem : `${names}: ${problem}`;
  });
  const place = placeOfFlags();
  if (lines.length > 0 && place !== BEFORE_MAIN) lines.push(`Deno's flags go ${place}`);
  return lines;
}

function needsOf(options: ServerOptions): Omit<Need, "service">[] {
  const { handler: { command }, cert = [], key = [], clientCa = [] } = options;
  const needs = listenAddresses(options).flatMap((address) => {
    if (address.transport === "tcp") {
      const host = formatSocketAddress({ ...address, hostname: address.hostname || "::" });
      return [needNet(`listening on ${host}`, host)];
    }
    if (address.transport === "unix") {
      const { path } = address;
      const listed = `unix:${path.startsWith("/") ? "" : "$PWD/"}${path}`; // no relative path is taken
      const net = { ...needNet(`listening on unix:${path}`, `unix:${path}`), value: listed };
      return [net, needRead(path), needWrite(path)];
    }
    return typeof address.fd === "string" ? [needEnv("LISTEN_FDNAMES")] : [];
  });
  return [
    ...needs,
    needRun(command),
    ...(needsShell(options) ? [needRun("sh")] : []),
    ...[...cert, ...key, ...clientCa].map(needRead),
  ];
}

function needNet(what: string, host: string): Omit<Need, "service"> {
  return { permission: { name: "net", host }, what, value: host };
}

function needRun(command: string): Omit<Need, "service"> {
  return { permission: { name: "run", command }, what: `running ${command}`, value: command };
}

function needRead(path: string): Omit<Need, "service"> {
  return { permission: { name: "read", path }, what: `reading ${path}`, value: path };
}

function needWrite(path: string): Omit<Need, "service"> {
  return { permission: { name: "write", path }, what: `writing ${path}`, value: path };
}

function needEnv(variable: string): Omit<Need, "service"> {
  return { permission: { name: "env", variable }, what: `reading ${variable}`, value: variable };
}

/** Whether Deno allows this. */
export function isGranted(permission: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(permission).state === "granted";
}

/** @param isNarrowed Whether its flag was given a list. */
function adviceFor({ permission, value }: Omit<Need, "service">, isNarrowed: boolean): string {
  const { name } = permission;
  if (Deno.permissions.querySync(permission).state === "denied") return `remove its --deny-${name}`;
  if (isNarrowed) return `add ${value} to the list of --allow-${name}`;
  return name === "net" || name === "run"
    ? `add --allow-${name}, or ${value} to its list`
    : `add --allow-${name}=${value}`;
}
