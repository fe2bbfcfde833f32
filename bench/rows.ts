/**
 * The rows of the comparison: what is measured, how, and with which handler.
 *
 * @module
 */

import { memoryOf, processorTimeOf } from "./footprint.ts";
import type { Load, Target } from "./load.ts";
import { FORK_SERVER, type Handler, MINIMAL_RELAY, OVER_TCP, WITHOUT_TLS } from "./servers.ts";

/** The values of `--only`. */
export const GROUPS = [
  "first",
  "burst",
  "rate",
  "load",
  "rtt",
  "bulk",
  "tls",
  "websocket",
  "memory",
] as const;

/** One comparison. */
export interface Row {
  readonly group: typeof GROUPS[number];
  readonly title: string;
  readonly unit: "ms" | "µs" | "connections/s" | "messages/s" | "MB/s" | "KiB";
  /** Whether more is better; for a time or a size, less is. */
  readonly isRate?: boolean;
  /** Whether its 99th percentile gets a line of its own. */
  readonly hasTail?: boolean;
  readonly handler: Handler;
  /** Options of spawnd beyond its defaults. */
  readonly options?: string[];
  /** Whether clients connect with TLS, to all servers but a reference that shows its cost. */
  readonly isTls?: boolean;
  /** Whether they speak WebSocket, to all servers but a reference that shows its cost. */
  readonly isWebSocket?: boolean;
  /** The load on a running server, the same in every round; */
  readonly load?: Omit<Load, keyof Target>;
  /** or Poisson arrivals for some seconds, at this share of the capacity; */
  readonly share?: number;
  /** or what is measured on a server that has just been started. */
  readonly footprint?: (pid: number, target: Target) => Promise<number>;
  /** Whether the peers take part; by default they do. */
  readonly hasPeers?: boolean;
  /** The references that take part too. The summary shows the first. */
  readonly references?: readonly string[];
}

/**
 * What a server sustains: 16 clients in a closed loop keep all the cores of a small machine busy with
 * starting processes, and no server has a queue to lose itself in. The clients are those of the rows
 * with arrivals, which come at shares of this rate.
 */
export const CAPACITY: Row = {
  group: "rate",
  title: "short connections by 16 clients, Deno handler",
  unit: "connections/s",
  isRate: true,
  handler: "deno",
  load: { measure: "rate", clients: 300 },
  references: [FORK_SERVER],
};

/** All comparisons. {@linkcode CAPACITY} comes before the rows that need it. */
export const ROWS: readonly Row[] = [
  {
    group: "first",
    title: "first reply, Deno handler",
    unit: "ms",
    hasTail: true,
    handler: "deno",
    load: { measure: "first", clients: 120 },
    references: [FORK_SERVER],
  },
  {
    group: "first",
    title: "first reply, cat, `--warm 4`",
    unit: "ms",
    handler: "native",
    load: { measure: "first", clients: 20 },
    options: ["--warm", "4"],
    references: [FORK_SERVER],
  },
  {
    group: "first",
    title: "first reply, cat, cold",
    unit: "ms",
    handler: "native",
    load: { measure: "first", clients: 20 },
    references: [FORK_SERVER],
  },
  {
    group: "burst",
    title: "last reply of 64 at once, Deno handler, `--warm 64`",
    unit: "ms",
    handler: "deno",
    load: { measure: "last", clients: 64 },
    options: ["--warm", "64"],
    references: [FORK_SERVER],
  },
  {
    group: "burst",
    title: "first reply to 64 at once, Deno handler, `--warm 0`",
    unit: "ms",
    handler: "deno",
    load: { measure: "burst", clients: 64 },
    options: ["--warm", "0"],
    references: [FORK_SERVER],
  },
  CAPACITY,
  {
    group: "rate",
    title: "short connections by 16 clients, cat",
    unit: "connections/s",
    isRate: true,
    handler: "native",
    load: { measure: "rate", clients: 800 },
    references: [MINIMAL_RELAY, FORK_SERVER],
  },
  ...[0.4, 0.7, 1, 1.5].map((share): Row => ({
    group: "load",
    title: `first reply at ${share.toFixed(1)} of capacity, Deno handler`,
    unit: "ms",
    hasTail: true,
    handler: "deno",
    share,
    references: [FORK_SERVER],
  })),
  {
    group: "rtt",
    title: "round trip, Deno handler",
    unit: "µs",
    handler: "deno",
    load: { measure: "rtt", clients: 2000 },
    references: [FORK_SERVER],
  },
  {
    group: "rtt",
    title: "round trip, cat",
    unit: "µs",
    handler: "native",
    load: { measure: "rtt", clients: 2000 },
    references: [MINIMAL_RELAY, FORK_SERVER],
  },
  ...[1, 16].map((clients): Row => ({
    group: "bulk",
    title: `echo over ${clients} connection${clients > 1 ? "s" : ""}, cat`,
    unit: "MB/s",
    isRate: true,
    handler: "native",
    load: { measure: "bulk", clients, megabytes: 256 / clients },
    references: [MINIMAL_RELAY],
  })),
  {
    group: "tls",
    title: "TLS: first reply, Deno handler",
    unit: "ms",
    handler: "deno",
    isTls: true,
    load: { measure: "first", clients: 60 },
    references: [WITHOUT_TLS],
  },
  {
    group: "tls",
    title: "TLS: round trip of 32 KiB, cat",
    unit: "µs",
    handler: "native",
    isTls: true,
    load: { measure: "rtt", clients: 100, bytes: 32_768 },
    references: [WITHOUT_TLS],
  },
  {
    group: "tls",
    title: "TLS: echo over 1 connection, cat",
    unit: "MB/s",
    isRate: true,
    handler: "native",
    isTls: true,
    load: { measure: "bulk", clients: 1, megabytes: 128 },
    references: [WITHOUT_TLS],
  },
  {
    group: "websocket",
    title: "WebSocket: first message, Deno handler",
    unit: "ms",
    handler: "deno",
    isWebSocket: true,
    load: { measure: "first", clients: 120 },
    references: [OVER_TCP],
  },
  {
    group: "websocket",
    title: "WebSocket: first message, cat, cold",
    unit: "ms",
    handler: "native",
    isWebSocket: true,
    load: { measure: "first", clients: 20 },
    references: [OVER_TCP],
  },
  {
    group: "websocket",
    title: "WebSocket: short lines there and back, cat",
    unit: "messages/s",
    isRate: true,
    handler: "native",
    isWebSocket: true,
    load: { measure: "messages", clients: 5000 },
    references: [OVER_TCP],
  },
  {
    group: "websocket",
    title: "WebSocket: last reply of 64, Deno handler, `--warm 64`",
    unit: "ms",
    handler: "deno",
    isWebSocket: true,
    load: { measure: "last", clients: 64 },
    options: ["--warm", "64"],
    references: [OVER_TCP],
  },
  ...[false, true].map((isTls): Row => ({
    group: "memory",
    title: `${isTls ? "TLS: " : ""}memory per idle connection, 1,500 open, cat`,
    unit: "KiB",
    handler: "native",
    isTls,
    footprint: (pid, target) => memoryOf(pid, target, "cat"),
  })),
  ...[10, 1500].map((open): Row => ({
    group: "memory",
    title: `processor time per exchange, ${open.toLocaleString("en")} open, cat`,
    unit: "µs",
    handler: "native",
    footprint: (pid, target) => processorTimeOf(pid, target, open),
    hasPeers: false,
  })),
];
