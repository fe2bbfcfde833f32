/**
 * The status: services at one moment, as data. With one service, its facts and those of the process
 * are in one object; with several, each has its own.
 *
 * @module
 */

import type { ConnectionStatus, ServerStatus } from "../server/server_status.ts";
import type { HistoryValues } from "./history.ts";
import type { RefusalStatus } from "./refusals.ts";
import type { ShownService } from "./services.ts";

/** One service at one moment. */
export interface ServiceStatus extends ServerStatus {
  /** Where it listens. */
  readonly addresses: readonly string[];
  /** The handler's name. */
  readonly handler: string;
  /** Whether it is shutting down. */
  readonly draining: boolean;
  /** Whether a client that connects now would be served or queued. */
  readonly ready: boolean;
  /** The last clients that were refused, the latest first. */
  readonly latestRefusals: readonly RefusalStatus[];
  /** The connections being served, oldest first. */
  readonly connections: readonly ConnectionStatus[];
  /** The last minutes, one value a second, the latest last. */
  readonly history: HistoryValues;
}

/** The process at one moment. */
export interface ProcessStatus {
  /** How long it has been listening. */
  readonly uptimeSeconds: number;
  /** The server's process id, as in its log. */
  readonly pid: number;
  /** The version of spawnd. */
  readonly version: string;
  /** Whether it is shutting down. */
  readonly draining: boolean;
  /** Whether a client that connects now to any service would be served or queued. */
  readonly ready: boolean;
  /** Memory of the server itself, without its children. */
  readonly memoryBytes: number;
  /** Memory of all children, where it can be read: see {@linkcode ChildrenMemory}. */
  readonly childrenMemoryBytes?: number;
  /** How many children all services may have at once; no `children` is no limit. */
  readonly limits: { readonly children?: number };
}

/** The content of `/status.json` where there is one service. */
export type Status = ServiceStatus & ProcessStatus;

/** The content of `/status.json` where there are several services. */
export interface ServicesStatus extends ProcessStatus {
  /**
   * The services by name. One that is `draining` while the process is not has left the configuration;
   * while another has its name, it is called `name (2)`.
   */
  readonly services: Readonly<Record<string, ServiceStatus>>;
  /** The names in their order; JavaScript would move those that are integers to the front. */
  readonly names: readonly string[];
}

/** The status of these services; `process` has what they cannot know. */
export function statusOf(
  services: ReadonlyMap<string, ShownService>,
  process: Omit<ProcessStatus, "ready">,
): Status | ServicesStatus {
  const statuses = [...services].map((
    [name, { source, history, refusals }],
  ): [string, ServiceStatus] => [
    name,
    {
      addresses: source.addresses,
      handler: source.handler,
      draining: source.isDraining,
      ready: source.isReady,
      ...source.status(),
      latestRefusals: refusals.latest,
      connections: source.connections(),
      history: history.values,
    },
  ]);
  if (statuses.length === 1) {
    const [[, status]] = statuses as [[string, ServiceStatus]];
    return { ...process, ...status, limits: { ...status.limits, ...process.limits } };
  }
  const ready = readinessOf(services) === "ready";
  return { ...process, ready, services: Object.fromEntries(statuses), names: [...services.keys()] };
}

/**
 * Whether a client that connects now to any service would be served or queued: `ready`, or why not.
 * A service that drains because it has left the configuration does not count.
 */
export function readinessOf(services: ReadonlyMap<string, ShownService>): string {
  const serving = [...services].filter(([, { source }]) => !source.isDraining);
  if (serving.length === 0) return "draining";
  const full = serving.filter(([, { source }]) => !source.isReady).map(([name]) => name);
  if (full.length === 0) return "ready";
  return services.size === 1 ? "full" : `full: ${full.join(", ")}`;
}
