/**
 * The rows of the comparison: what is measured, how, and with which handler.
 *
 * @module
 */

import { memoryOf, processorTimeOf } from "./footprint.ts";
import type { Load, Target } from "./load.ts";
import type { Handler } from "./servers.ts";

/** The values of `--only`. */
export const GROUPS = ["first", "burst", "steady", "rtt", "rate", "bulk", "memory"] as const;

/** One comparison. */
export interface Row {
  readonly group: typeof GROUPS[number];
  readonly title: string;
  readonly unit: "ms" | "µs" | "connections/s" | "MB/s" | "KiB";
  /** Whether more is better; for a time or a size, less is. */
  readonly isRate?: boolean;
  /** Whether its 99th percentile gets a line of its own. */
  readonly hasTail?: boolean;
  readonly handler: Handler;
  /** Options of spawnd beyond its defaults. */
  readonly options?: string[];
  /** The load on a running server, the same in every round; */
  readonly load?: Omit<Load, keyof Target>;
  /** or what is measured on a server that has just been started. */
  readonly footprint?: (pid: number, target: Target) => Promise<number>;
  /** Which servers take part: those that can run a program, or spawnd alone; by default all. */
  readonly only?: "handlers" | "spawnd";
}

/** All comparisons. */
export const ROWS: readonly Row[] = [
  {
    group: "first",
    title: "first reply, Deno handler",
    unit: "ms",
    hasTail: true,
    handler: "deno",
    load: { measure: "first", clients: 120 },
  },
  {
    group: "first",
    title: "first reply, cat, `--warm 4`",
    unit: "ms",
    handler: "native",
    load: { measure: "first", clients: 20 },
    options: ["--warm", "4"],
  },
  {
    group: "first",
    title: "first reply, cat, cold",
    unit: "ms",
    handler: "native",
    load: { measure: "first", clients: 20 },
  },
  {
    group: "burst",
    title: "last reply of 64 at once, Deno handler, `--warm 64`",
    unit: "ms",
    handler: "deno",
    load: { measure: "burst", clients: 64 },
    options: ["--warm", "64"],
  },
  ...[50, 80].map((rate): Row => ({
    group: "steady",
    title: `first reply at ${rate} clients a second, Deno handler`,
    unit: "ms",
    hasTail: true,
    handler: "deno",
    load: { measure: "steady", clients: rate * 3, rate },
  })),
  {
    group: "rtt",
    title: "round trip, Deno handler",
    unit: "µs",
    handler: "deno",
    load: { measure: "rtt", clients: 2000 },
  },
  {
    group: "rate",
    title: "short connections by 16 clients, Deno handler",
    unit: "connections/s",
    isRate: true,
    handler: "deno",
    load: { measure: "rate", clients: 100 },
  },
  {
    group: "rate",
    title: "short connections by 16 clients, cat",
    unit: "connections/s",
    isRate: true,
    handler: "native",
    load: { measure: "rate", clients: 800 },
  },
  ...[1, 16].map((clients): Row => ({
    group: "bulk",
    title: `echo over ${clients} connection${clients > 1 ? "s" : ""}, cat`,
    unit: "MB/s",
    isRate: true,
    handler: "native",
    load: { measure: "bulk", clients, megabytes: 256 / clients },
    only: "handlers",
  })),
  {
    group: "memory",
    title: "memory per idle connection, 1,500 open, cat",
    unit: "KiB",
    handler: "native",
    footprint: (pid, target) => memoryOf(pid, target, "cat"),
    only: "handlers",
  },
  ...[10, 1500].map((open): Row => ({
    group: "memory",
    title: `processor time per exchange, ${open.toLocaleString("en")} open, cat`,
    unit: "µs",
    handler: "native",
    footprint: (pid, target) => processorTimeOf(pid, target, open),
    only: "spawnd",
  })),
];
