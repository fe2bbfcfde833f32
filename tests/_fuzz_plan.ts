/**
 * The plan of a round of the fuzz: how the server is started, what every client does and when, and
 * which signals are sent meanwhile. A seed and a round decide all of it before anything starts, so
 * that a failure can be repeated.
 *
 * @module
 */

import { type HandlerName, HANDLERS } from "./_fuzz_handlers.ts";
import { Random } from "../bench/random.ts";

/** What a client sends ahead of its own bytes; all but `none` only to a server that reads it. */
export type Header = "none" | "v1" | "v2" | "unknown" | "local" | "garbage" | "cut";

/** One step of what a client writes. */
export type Write =
  | { readonly send: number }
  | { readonly drip: number }
  | { readonly pauseMs: number }
  | "half-close";

/** A client that connects, reads and writes at once, and leaves. */
export interface ClientPlan {
  readonly startMs: number;
  readonly via: "tcp" | "unix" | "web";
  readonly header: Header;
  /** The client that its header names. */
  readonly source: { readonly hostname: string; readonly port: number };
  readonly tls: boolean;
  readonly reads: "eagerly" | "slowly" | "never";
  readonly writes: readonly Write[];
  /** Whether it stays until its input ends, or closes after its last write. */
  readonly waits: boolean;
  /** When it leaves at the latest. */
  readonly stayMs: number;
  /** Whether it does everything right, so that it is due an answer. */
  readonly isPolite: boolean;
}

/** A client that resets its connection. */
export interface ResetPlan {
  readonly startMs: number;
  readonly address: string;
  readonly bytes: number;
  readonly ms: number;
}

/** What is asked of the status listener. */
export const REQUESTS = [
  ...["page", "status.json", "metrics", "healthz", "readyz", "missing", "post"],
  ...["garbage", "cut", "huge", "drip", "idle"],
] as const;

/** A request to the status listener. */
export interface RequestPlan {
  readonly startMs: number;
  readonly request: string;
}

/** A signal to the server or one of its children. */
export interface SignalPlan {
  readonly atMs: number;
  readonly to: "server" | "child";
  readonly signal: Deno.Signal;
  /** Which of the children, from 0 to 1 of their number. */
  readonly which: number;
  /** When a stopped child goes on; it is left to the stop ladder if absent. */
  readonly continueMs?: number | undefined;
}

/** One round. */
export interface Plan {
  readonly round: number;
  readonly handler: HandlerName;
  /** Options without those that name a file. */
  readonly options: readonly string[];
  readonly tls: boolean;
  readonly unix: boolean;
  readonly web: boolean;
  readonly status: boolean;
  readonly acceptProxy: boolean;
  readonly sendProxy: 0 | 1 | 2;
  readonly refusal: string;
  readonly clients: readonly ClientPlan[];
  readonly resets: readonly ResetPlan[];
  readonly requests: readonly RequestPlan[];
  readonly signals: readonly SignalPlan[];
  /** When SIGTERM comes while clients are connected; absent where it comes after them. */
  readonly stopMs?: number | undefined;
}

/** All clients of a round have connected after this time. */
const ARRIVALS_MS = 1500;
/** How long a client that does not behave stays at most. */
const MAX_STAY_MS = 1500;
/** How long one that behaves waits for its answer: no round makes it wait that long. */
const MAX_WAIT_MS = 20_000;

/** The plan of this round of this seed. */
export function planRound(seed: number, round: number): Plan {
  const random = new Random(seed ^ Math.imul(round, 0x9e3779b1));
  const handler = pickHandler(random);
  const { endsWithInput, isDeno = false } = HANDLERS[handler];
  const tls = random.chance(0.3);
  const unix = random.chance(0.4);
  const web = random.chance(0.4);
  const status = random.chance(0.6);
  const acceptProxy = random.chance(0.3);
  const sendProxy = random.pick([0, 0, 1, 2] as const);
  const refusal = random.pick(["", "try later\r\n"]);
  const signals = planSignals(random);
  // A client that closes behind input which a stopped child does not take looks half-closed: only a
  // timeout ends that.
  const isStopping = signals.some(({ signal, continueMs }) => signal === "SIGSTOP" && !continueMs);
  const limits = planLimits(random, !endsWithInput || isStopping);
  const stopMs = random.chance(0.15) ? random.integer(200, ARRIVALS_MS) : undefined;
  const count = isDeno ? random.integer(10, 25) : random.integer(15, 45);
  const context = { tls, unix, web, acceptProxy };
  return {
    round,
    handler,
    options: [
      ...limits,
      ...planChildren(random, handler),
      ...(sendProxy ? ["--send-proxy", `${sendProxy}`] : []),
      ...(acceptProxy ? ["--accept-proxy", "127.0.0.1"] : []),
      ...(refusal ? ["--refusal", refusal] : []),
    ],
    ...{ tls, unix, web, status, acceptProxy, sendProxy, refusal },
    clients: Array.from({ length: count }, (_, index) => planClient(random, index, context)),
    resets: Array.from({ length: random.integer(0, 8) }, () => planReset(random)),
    requests: status
      ? Array.from({ length: random.integer(2, 12) }, () => ({
        startMs: random.integer(0, ARRIVALS_MS),
        request: random.pick(REQUESTS),
      }))
      : [],
    signals,
    stopMs,
  };
}

/** The plan in one line. */
export function describePlan(plan: Plan): string {
  const { round, handler, options, clients, resets, requests, signals, stopMs } = plan;
  return [
    `round ${round}: ${handler}`,
    ...(["tls", "unix", "web", "status"] as const).filter((key) => plan[key]),
    ...options.map((word) => /^[\w.:/-]+$/.test(word) ? word : JSON.stringify(word)),
    `(${clients.length} clients, ${resets.length} resets, ${requests.length} requests,`,
    `${signals.map(({ signal }) => signal).join(" ") || "no signals"}`,
    `${stopMs === undefined ? "" : `and SIGTERM after ${stopMs} ms`})`,
  ].join(" ").replace(" )", ")");
}

/** Any handler, but more often one whose answers can be compared byte for byte. */
function pickHandler(random: Random): HandlerName {
  if (random.chance(0.4)) return random.pick(["cat", "counter", "module"]);
  return random.pick(Object.keys(HANDLERS) as HandlerName[]);
}

/** Seconds, in tenths, as an argument. */
function seconds(random: Random, min: number, max: number): string {
  return `${random.integer(min * 10, max * 10) / 10}`;
}

/** Limits and timeouts. @param bounded Whether only a timeout ends some of the sessions. */
function planLimits(random: Random, bounded: boolean): string[] {
  const options = [
    ...["--max-connections", `${random.pick([1, 3, 8, 25])}`],
    ...["--queue", `${random.pick([0, 1, 5, 20])}`],
    ...["--queue-timeout", seconds(random, 0.2, 2)],
    ...["--eof-timeout", seconds(random, 0.3, 1)],
    ...["--kill-timeout", seconds(random, 0.1, 0.5)],
    ...["--handshake-timeout", seconds(random, 0.3, 1)],
    ...["--drain-timeout", seconds(random, 0.3, 1.5)],
    ...["--deny", "127.0.0.2", "--deny", "198.51.100.0/24"],
  ];
  if (bounded || random.chance(0.2)) options.push("--session-timeout", seconds(random, 0.5, 2));
  if (random.chance(0.3)) options.push("--idle-timeout", seconds(random, 0.3, 1));
  if (random.chance(0.3)) options.push("--max-per-source", `${random.pick([1, 3, 10])}`);
  if (random.chance(0.3)) options.push("--rate-per-source", random.pick(["2", "5/0.5", "20/3"]));
  return options;
}

function planChildren(random: Random, handler: HandlerName): string[] {
  const { isDeno = false } = HANDLERS[handler];
  return [
    ...["--warm", `${random.pick(isDeno ? [0, 1, 3] : [0, 0, 1, 2, 5])}`],
    ...["--stderr", random.pick(["inherit", "log", "null"])],
    // Without a group of its own, one of the handlers would end the fuzz itself, and what another one
    // leaves behind would keep its pipe.
    ...(random.chance(0.15) && !handler.endsWith("Group") ? ["--no-group"] : []),
    ...(random.chance(0.2) ? ["--stop-signal", random.pick(["HUP", "INT", "USR1"])] : []),
    ...(random.chance(0.2) ? ["--clear-env"] : []),
  ];
}

function planSignals(random: Random): SignalPlan[] {
  const plan = (to: "server" | "child", signals: readonly Deno.Signal[]): SignalPlan => {
    const signal = random.pick(signals);
    const [atMs, which, lasts] = [random.integer(0, 2000), random.next(), random.integer(50, 800)];
    const goesOn = random.chance(0.6) && signal === "SIGSTOP";
    return { atMs, to, signal, which, ...(goesOn && { continueMs: lasts }) };
  };
  const toServer = random.pick([0, 0, 1, 4]);
  const toChildren = random.pick([0, 0, 2, 6]);
  return [
    ...Array.from({ length: toServer }, () => plan("server", ["SIGHUP", "SIGUSR2"])),
    ...Array.from({ length: toChildren }, () => plan("child", ["SIGKILL", "SIGTERM", "SIGSTOP"])),
  ];
}

function planClient(
  random: Random,
  index: number,
  { tls, unix, web, acceptProxy }: Pick<Plan, "tls" | "unix" | "web" | "acceptProxy">,
): ClientPlan {
  const via = unix && random.chance(0.4) ? "unix" : web && random.chance(0.5) ? "web" : "tcp";
  const header = via !== "unix" && acceptProxy
    ? random.weighted({ none: 1, v1: 5, v2: 5, unknown: 1, local: 1, garbage: 1, cut: 1 })
    : "none";
  const hasGoodHeader = ["v1", "v2", "unknown", "local"].includes(header) ||
    header === "none" && !(via === "tcp" && acceptProxy);
  const needsTls = via !== "unix" && tls;
  const speaksTls = needsTls && random.chance(0.85);
  // Who closes a WebSocket is due no answer, and without that many handlers never end.
  const isPolite = random.chance(0.5) && hasGoodHeader && speaksTls === needsTls && via !== "web";
  const sources = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1", "198.51.100.1"];
  const writes = planWrites(random);
  return {
    startMs: random.integer(0, ARRIVALS_MS),
    via,
    header,
    source: { hostname: random.pick(sources), port: 10_000 + index },
    tls: speaksTls,
    reads: isPolite ? "eagerly" : random.pick(["eagerly", "slowly", "never"]),
    writes: isPolite || random.chance(0.5) ? [...writes, "half-close"] : writes,
    waits: isPolite || random.chance(0.6),
    stayMs: isPolite ? MAX_WAIT_MS : random.integer(0, MAX_STAY_MS),
    isPolite,
  };
}

function planWrites(random: Random): Write[] {
  return Array.from({ length: random.integer(0, 5) }, (): Write => {
    switch (random.weighted({ send: 5, much: 1, drip: 2, pause: 2 })) {
      case "send":
        return { send: random.integer(1, 2000) };
      case "much":
        return { send: random.integer(50_000, 1_000_000) };
      case "drip":
        return { drip: random.integer(1, 20) };
      case "pause":
        return { pauseMs: random.integer(0, 300) };
    }
  });
}

function planReset(random: Random): ResetPlan {
  return {
    startMs: random.integer(0, ARRIVALS_MS),
    address: random.pick(["127.0.0.1", "127.0.0.2", "127.0.0.3"]),
    bytes: random.pick([0, 1, 1000, 300_000]),
    ms: random.pick([0, 0, 20, 300]),
  };
}
