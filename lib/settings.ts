/**
 * The settings: what a server can be told, its defaults and its limits, in one place for the library
 * and the command line.
 *
 * @module
 */

import type { Handler } from "./handler.ts";
import type { StderrMode } from "./worker.ts";

/** How {@linkcode Server.listen} sets a server up. */
export interface ServerOptions {
  /** What every connection is served by. */
  handler: Handler;
  /**
   * The address or name to listen on.
   *
   * @default {"0.0.0.0"}
   */
  hostname?: string;
  /**
   * The TCP port, 0 to 65535; 0 takes a free one.
   *
   * @default {9527}
   */
  port?: number;
  /**
   * How many connections the kernel holds until they are accepted; at least 1, and the kernel has
   * a limit of its own (Linux: net.core.somaxconn, listen(2)).
   *
   * @default {511}
   */
  backlog?: number;
  /**
   * How many children to keep started ahead of their clients; 0 starts every child cold.
   *
   * @default {handler.warm}
   */
  warm?: number;
  /**
   * How many connections are served at once, at least 1. At the limit nothing is accepted until
   * one has ended, and the kernel's backlog holds the rest.
   *
   * @default {256}
   */
  maxConnections?: number;
  /**
   * How long a child may be silent after its client's input has ended, in milliseconds; 0 is no
   * limit.
   *
   * @default {30000}
   */
  eofTimeoutMs?: number;
  /**
   * How long a child that is being stopped gets at each rung (stdin closed, SIGTERM, SIGKILL), in
   * milliseconds.
   *
   * @default {5000}
   */
  killTimeoutMs?: number;
  /**
   * How long a shutdown lets sessions go on, in milliseconds.
   *
   * @default {30000}
   */
  drainTimeoutMs?: number;
  /**
   * What becomes of the children's stderr.
   *
   * @default {"inherit"}
   */
  stderr?: StderrMode;
}

/** The options with their defaults filled in. */
export type Settings = Required<ServerOptions>;

/** The options that have a fixed default. */
export const DEFAULTS = {
  hostname: "0.0.0.0",
  port: 9527,
  backlog: 511,
  maxConnections: 256,
  eofTimeoutMs: 30_000,
  killTimeoutMs: 5_000,
  drainTimeoutMs: 30_000,
  stderr: "inherit",
} as const satisfies Partial<ServerOptions>;

/** The longest wait a timer can be set for, in milliseconds: beyond it, a timer fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** The smallest and the largest value of every option that is a number. */
export const RANGES = {
  port: [0, 65_535],
  backlog: [1, 2 ** 31 - 1],
  warm: [0, 10_000],
  maxConnections: [1, 1_000_000],
  eofTimeoutMs: [0, LONGEST_MS],
  killTimeoutMs: [0, LONGEST_MS],
  drainTimeoutMs: [0, LONGEST_MS],
} as const;

/**
 * Fills in the defaults.
 *
 * @throws {RangeError} A number is outside its range.
 */
export function resolveSettings(options: ServerOptions): Settings {
  const settings = { ...DEFAULTS, warm: options.handler.warm, ...options };
  for (const [name, [min, max]] of Object.entries(RANGES)) {
    const value = settings[name as keyof typeof RANGES];
    if (Number.isInteger(value) && value >= min && value <= max) continue;
    throw new RangeError(
      `Cannot listen as ${name} must be a whole number from ${min} to ${max}: current value is ${value}`,
    );
  }
  return settings;
}
