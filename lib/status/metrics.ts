/**
 * The metrics: the numbers and durations of services for Prometheus. The only file that knows the
 * library that writes the text format; it is loaded only where a status address is given.
 *
 * Names and units follow Prometheus' naming practice: base units, and `_total` for counters.
 *
 * @module
 */

import { AggregatorRegistry, Counter, Gauge, Histogram, Registry } from "npm:prom-client@^15.1.3";
import type { Observer } from "../base/observer.ts";
import type { ServerStatus, StatusSource } from "../server/server_status.ts";

/** Counters. */
const COUNTERS: Readonly<Record<string, [help: string, value: (status: ServerStatus) => number]>> =
  {
    connections_accepted_total: ["Connections accepted.", ({ accepted }) => accepted],
    connections_failed_total: [
      "Connections refused because no child could be started.",
      ({ failed }) => failed,
    ],
    children_spawned_total: ["Children started, with or without a client.", (s) => s.spawned],
    children_spawn_failures_total: ["Children that failed to start.", (s) => s.spawnFailures],
    received_bytes_total: ["Bytes that children took from clients.", ({ bytesIn }) => bytesIn],
    sent_bytes_total: ["Bytes that clients took from children.", ({ bytesOut }) => bytesOut],
  };

/** Gauges. */
const GAUGES: typeof COUNTERS = {
  connections_active: ["Connections served, or waiting for a child.", ({ active }) => active],
  connections_waiting: ["Connections waiting for a slot.", ({ waiting }) => waiting],
  connections_limit: ["Connections that may be served at once.", (s) => s.limits.connections],
  queue_limit: ["Connections that may wait for a slot.", (s) => s.limits.queue],
  children_warm: ["Children waiting for a client.", ({ warm }) => warm],
};

/** Counters with labels; a value has the one that its name belongs to. */
const FAMILIES: Readonly<
  Record<
    string,
    [
      help: string,
      label: (name: string) => string,
      values: (status: ServerStatus) => Readonly<Record<string, number>>,
    ]
  >
> = {
  connections_refused_total: ["Connections not served.", () => "reason", (s) => s.refused],
  connections_ended_total: [
    "Connections served to their end.",
    () => "reason",
    (s) => s.endReasons,
  ],
  children_exited_total: [
    "Children that have ended, by exit code or signal.",
    (name) => /^\d+$/.test(name) ? "code" : "signal",
    ({ exits }) => exits,
  ],
  children_killed_total: [
    "Children that needed a signal to end, by the last one sent.",
    () => "signal",
    ({ killed }) => killed,
  ],
};

/** See {@linkcode Observer.answered}. */
const FIRST_BYTE = "From accept, or the end of handshakes, to the first byte of the child sent, " +
  "without the wait for the client's first byte or end of input.";

/** The type of {@linkcode metricsText}. */
export const METRICS_TYPE: string = Registry.PROMETHEUS_CONTENT_TYPE;

/** The metrics of one service. */
export class Metrics implements Omit<Observer, "refused"> {
  readonly #registry = new Registry();
  readonly #spawn = this.#histogram("spawn", "How long starting a child blocked the server.", [
    ...[0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1],
  ]);
  readonly #firstByte = this.#histogram("first_byte", FIRST_BYTE, [
    ...[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
  ]);
  readonly #session = this.#histogram("session", "How long a connection had its child.", [
    ...[0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 36_000],
  ]);

  spawned(seconds: number): void {
    this.#spawn.observe(seconds);
  }

  answered(seconds: number): void {
    this.#firstByte.observe(seconds);
  }

  ended(seconds: number): void {
    this.#session.observe(seconds);
  }

  /** Adds the numbers of the service. */
  attach(service: StatusSource): void {
    const registers = [this.#registry];
    for (const [name, [help, value]] of Object.entries(COUNTERS)) {
      const collect = function (this: Counter) {
        this.reset();
        this.inc(value(service.status()));
      };
      new Counter({ name: `spawnd_${name}`, help, registers, collect });
    }
    for (const [name, [help, label, values]] of Object.entries(FAMILIES)) {
      const collect = function (this: Counter) {
        this.reset();
        for (const [kind, count] of Object.entries(values(service.status()))) {
          this.inc({ [label(kind)]: kind }, count);
        }
      };
      const labelNames = ["reason", "code", "signal"];
      new Counter({ name: `spawnd_${name}`, help, labelNames, registers, collect });
    }
    for (const [name, [help, value]] of Object.entries(GAUGES)) {
      const collect = function (this: Gauge) {
        this.set(value(service.status()));
      };
      new Gauge({ name: `spawnd_${name}`, help, registers, collect });
    }
  }

  /** Their values now, each with these labels too. */
  async values(labels: Readonly<Record<string, string>>): Promise<MetricValues> {
    const metrics = await this.#registry.getMetricsAsJSON();
    return metrics.map((metric) => ({
      ...metric,
      values: metric.values.map((value) => ({ ...value, labels: { ...labels, ...value.labels } })),
    }));
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    const registers = [this.#registry];
    return new Histogram({ name: `spawnd_${name}_duration_seconds`, help, buckets, registers });
  }
}

/** What is the process's own. */
export interface ProcessMetrics {
  /** How many children there may be at once, over all services; 0 is no limit. */
  readonly maxChildren: number;
  /** Memory of all children, if it is known. */
  readonly childrenMemoryBytes: number | undefined;
}

/** The values of several metrics. */
type MetricValues = Awaited<ReturnType<Registry["getMetricsAsJSON"]>>;

/**
 * All metrics in Prometheus' text format; those of a service have its name as a label where there are
 * several.
 */
export async function metricsText(
  services: ReadonlyMap<string, Metrics>,
  process: ProcessMetrics,
): Promise<string> {
  const values = [...services].map(([service, metrics]) =>
    metrics.values(services.size > 1 ? { service } : {})
  );
  const all = await Promise.all([...values, processValues(process)]);
  // Each name has its description once, however many services have a value under it.
  return await AggregatorRegistry.aggregate(all).metrics();
}

/** The values that are the process's own. */
function processValues(
  { maxChildren, childrenMemoryBytes }: ProcessMetrics,
): Promise<MetricValues> {
  const registry = new Registry();
  const add = (name: string, help: string, value: number) =>
    new Gauge({ name, help, registers: [registry] }).set(value);
  if (maxChildren > 0) {
    add("spawnd_children_limit", "Children that all services may have at once.", maxChildren);
  }
  if (childrenMemoryBytes !== undefined) {
    const memory = "Memory of all children, with their shares of what they share.";
    add("spawnd_children_memory_bytes", memory, childrenMemoryBytes);
  }
  const memory = "Memory of the server itself, without its children.";
  add("process_resident_memory_bytes", memory, Deno.memoryUsage().rss);
  const start = "Start time of the server, in seconds since 1970.";
  add("process_start_time_seconds", start, performance.timeOrigin / 1000);
  return registry.getMetricsAsJSON();
}
