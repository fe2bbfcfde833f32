/**
 * The settings: what a server can be told, its defaults and its limits, in one place for the library
 * and the command line.
 *
 * @module
 */

import type { Rate } from "../admission/admission.ts";
import type { Handler } from "../child/handler.ts";
import type { StderrMode } from "../child/worker.ts";

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
   * Whether other servers may listen on the same port and share its clients (Linux: SO_REUSEPORT,
   * socket(7)). Deno has it with `--unstable-net`, which spawnd's deno.json gives.
   *
   * @default {false}
   */
  reusePort?: boolean;
  /**
   * The path of a Unix socket to listen on besides; no address rule, limit or TLS applies to it.
   * Needs `--allow-read` and `--allow-write`.
   *
   * @default {none}
   */
  unix?: string;
  /**
   * The file of the certificate chain in PEM; with it and `key`, TCP clients have to speak TLS, after
   * their PROXY header if they have one. Needs `--allow-read`, and `--allow-net` for 127.0.0.1.
   *
   * @default {none}
   */
  cert?: string;
  /**
   * The file of the certificate's private key in PEM.
   *
   * @default {none}
   */
  key?: string;
  /**
   * Proxies, as networks in CIDR notation: who connects from there has to begin with a PROXY header,
   * and is whom that names. From elsewhere none is looked for.
   *
   * @default {[]}
   */
  acceptProxy?: readonly string[];
  /**
   * How many connections are served at once, at least 1.
   *
   * @default {256}
   */
  maxConnections?: number;
  /**
   * How many clients may wait for one of those to end; with 0 they are refused at once. When as many
   * wait, nobody is accepted, and the kernel's backlog holds the rest.
   *
   * @default {64}
   */
  queue?: number;
  /**
   * How long a client waits before it is refused, at least 1, in milliseconds.
   *
   * @default {10000}
   */
  queueTimeoutMs?: number;
  /**
   * How many connections one source may have, waiting or served; 0 is no limit. A source is an IPv4
   * address or an IPv6 network of 64 bits.
   *
   * @default {0}
   */
  maxPerSource?: number;
  /**
   * How often one source may connect: `count` times at once, and as often again every `periodMs`
   * milliseconds; a count of 0 is no limit.
   *
   * @default {{ count: 0, periodMs: 1000 }}
   */
  ratePerSource?: Rate;
  /**
   * Who may connect, as networks in CIDR notation; where there are none, everybody.
   *
   * @default {[]}
   */
  allow?: readonly string[];
  /**
   * Who may not, whatever `allow` says.
   *
   * @default {[]}
   */
  deny?: readonly string[];
  /**
   * What a refused client is sent before its connection is closed.
   *
   * @default {""}
   */
  refusal?: string;
  /**
   * How long a TLS handshake or a PROXY header may take, at least 1, in milliseconds.
   *
   * @default {5000}
   */
  handshakeTimeoutMs?: number;
  /**
   * How long a connection may be without a byte either way, in milliseconds; 0 is no limit.
   *
   * @default {0}
   */
  idleTimeoutMs?: number;
  /**
   * How long a connection may take in all, in milliseconds; 0 is no limit.
   *
   * @default {0}
   */
  sessionTimeoutMs?: number;
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
   * How many children to keep started ahead of their clients; 0 starts every child cold.
   *
   * @default {handler.warm}
   */
  warm?: number;
  /**
   * The version of the PROXY header that a child reads before its client's bytes, 1 or 2; 0 sends
   * none.
   *
   * @default {0}
   */
  sendProxy?: number;
  /**
   * The user that children run as, by number; needs a server run by root, and `gid`.
   *
   * @default {the server's}
   */
  uid?: number;
  /**
   * The group that children run as, by number, and the only one they have.
   *
   * @default {the server's}
   */
  gid?: number;
  /**
   * What becomes of the children's stderr.
   *
   * @default {"inherit"}
   */
  stderr?: StderrMode;
}

/** Options without a default: what they are about does not happen without them. */
type Absent = "unix" | "cert" | "key" | "uid" | "gid";

/** The options with their defaults filled in. */
export type Settings = Required<Omit<ServerOptions, Absent>> & Pick<ServerOptions, Absent>;

/** The options that have a fixed default. */
export const DEFAULTS = {
  hostname: "0.0.0.0",
  port: 9527,
  backlog: 511,
  reusePort: false,
  acceptProxy: [],
  maxConnections: 256,
  queue: 64,
  queueTimeoutMs: 10_000,
  maxPerSource: 0,
  ratePerSource: { count: 0, periodMs: 1000 },
  allow: [],
  deny: [],
  refusal: "",
  handshakeTimeoutMs: 5_000,
  idleTimeoutMs: 0,
  sessionTimeoutMs: 0,
  eofTimeoutMs: 30_000,
  killTimeoutMs: 5_000,
  drainTimeoutMs: 30_000,
  sendProxy: 0,
  stderr: "inherit",
} as const satisfies Partial<ServerOptions>;

/** The longest wait a timer can be set for, in milliseconds: beyond it, a timer fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** The smallest and the largest value of every option that is a number. */
export const RANGES = {
  port: [0, 65_535],
  backlog: [1, 2 ** 31 - 1],
  maxConnections: [1, 1_000_000],
  queue: [0, 1_000_000],
  queueTimeoutMs: [1, LONGEST_MS],
  maxPerSource: [0, 1_000_000],
  handshakeTimeoutMs: [1, LONGEST_MS],
  idleTimeoutMs: [0, LONGEST_MS],
  sessionTimeoutMs: [0, LONGEST_MS],
  eofTimeoutMs: [0, LONGEST_MS],
  killTimeoutMs: [0, LONGEST_MS],
  drainTimeoutMs: [0, LONGEST_MS],
  warm: [0, 10_000],
  sendProxy: [0, 2],
  uid: [0, 2 ** 32 - 2],
  gid: [0, 2 ** 32 - 2],
} as const;

/** The same for the parts of a rate. */
export const RATE_RANGES = { count: [0, 1_000_000], periodMs: [1, LONGEST_MS] } as const;

/**
 * Fills in the defaults.
 *
 * @throws {RangeError} A number is outside its range, or an option cannot be without or with another.
 */
export function resolveSettings(options: ServerOptions): Settings {
  const settings: Settings = { ...DEFAULTS, warm: options.handler.warm, ...options };
  const { ratePerSource, cert, key, uid, gid } = settings;
  for (const [name, range] of Object.entries(RANGES)) {
    requireInRange(name, settings[name as keyof typeof RANGES], range);
  }
  requireInRange("ratePerSource.count", ratePerSource.count, RATE_RANGES.count);
  requireInRange("ratePerSource.periodMs", ratePerSource.periodMs, RATE_RANGES.periodMs);
  if ((cert === undefined) !== (key === undefined)) {
    throw new RangeError("Cannot listen as cert and key must come together");
  }
  if (uid !== undefined && gid === undefined) {
    throw new RangeError("Cannot listen as uid must come with gid");
  }
  return settings;
}

function requireInRange(
  name: string,
  value: number | undefined,
  [min, max]: readonly [number, number],
): void {
  if (value === undefined || Number.isInteger(value) && value >= min && value <= max) return;
  throw new RangeError(
    `Cannot listen as ${name} must be a whole number from ${min} to ${max}: current value is ${value}`,
  );
}
