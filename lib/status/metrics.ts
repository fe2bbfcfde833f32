/**
 * The metrics: a server's numbers and durations for Prometheus. The only file that knows the library
 * that writes the text format; it is loaded only where a status address is given.
 *
 * Names and units follow Prometheus' naming practice: base units, and `_total` for counters.
 *
 * @module
 */

import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Observer } from "../base/observer.ts";
import type { ServerStatus, StatusSource } from "../server/server_status.ts";

/** Counters. */
const COUNTERS: Readonly<Record<string, [help: string, value: (status: ServerStatus) => number]>> =
  {
    connections_accepted_total: ["Connections accepted.", ({ accepted }) => accepted],
    connections_served_total: ["Connections served to their end.", ({ served }) => served],
    connections_failed_total: [
      "Connections refused because no child could be started.",
      ({ failed }) => failed,
    ],
    children_spawned_total: ["Children started, with or without a client.", (s) => s.spawned],
    children_failed_total: ["Children that could not be started.", ({ unspawned }) => unspawned],
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
  connections_ended_total: ["Connections served to their end.", () => "reason", (s) => s.ended],
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

/** A server's metrics. */
export class Metrics implements Observer {
  /** The type of {@linkcode Metrics.text}. */
  readonly contentType: string;
  readonly #registry = new Registry();
  readonly #spawn = this.#histogram("spawn", "How long starting a child blocked the server.", [
    ...[0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1],
  ]);
  readonly #firstByte = this.#histogram("first_byte", "From accept to the first byte sent.", [
    ...[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
  ]);
  readonly #session = this.#histogram("session", "How long a connection had its child.", [
    ...[0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 36_000],
  ]);

  constructor() {
    this.contentType = this.#registry.contentType;
  }

  spawned(seconds: number): void {
    this.#spawn.observe(seconds);
  }

  answered(seconds: number): void {
    this.#firstByte.observe(seconds);
  }

  ended(seconds: number): void {
    this.#session.observe(seconds);
  }

  /** Adds the numbers of this server. */
  attach(server: StatusSource): void {
    const registers = [this.#registry];
    for (const [name, [help, value]] of Object.entries(COUNTERS)) {
      const collect = function (this: Counter) {
        this.reset();
        this.inc(value(server.status()));
      };
      new Counter({ name: `spawnd_${name}`, help, registers, collect });
    }
    for (const [name, [help, label, values]] of Object.entries(FAMILIES)) {
      const collect = function (this: Counter) {
        this.reset();
        for (const [kind, count] of Object.entries(values(server.status()))) {
          this.inc({ [label(kind)]: kind }, count);
        }
      };
      const labelNames = ["reason", "code", "signal"];
      new Counter({ name: `spawnd_${name}`, help, labelNames, registers, collect });
    }
    for (const [name, [help, value]] of Object.entries(GAUGES)) {
      const collect = function (this: Gauge) {
        this.set(value(server.status()));
      };
      new Gauge({ name: `spawnd_${name}`, help, registers, collect });
    }
    new Gauge({
      name: "process_resident_memory_bytes",
      help: "Memory of the server itself, without its children.",
      registers,
      collect() {
        this.set(Deno.memoryUsage().rss);
      },
    });
  }

  /** All metrics in Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    const registers = [this.#registry];
    return new Histogram({ name: `spawnd_${name}_duration_seconds`, help, buckets, registers });
  }
}
