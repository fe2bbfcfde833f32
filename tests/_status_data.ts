/**
 * What `status.json` may say, made up: the same every time, as large as wanted, and of clients from
 * everywhere.
 *
 * @module
 */

import type { Page } from "playwright-core";
import config from "../deno.json" with { type: "json" };
import type { ServicesStatus, ServiceStatus, Status } from "../lib/status/listener.ts";

const START_MS = Date.UTC(2026, 0, 2, 12, 30);

/** The address of a client: many are of few sources. */
function clientOf(n: number): string {
  const port = 40_000 + n * 7 % 20_000;
  if (n % 4 === 3) return `[2001:db8:${n % 3}::${(n + 1).toString(16)}]:${port}`;
  return `192.0.2.${1 + n * n % 17}:${port}`;
}

/** A service with so many connections. */
export function serviceWith(count: number): ServiceStatus {
  const isBusy = count > 0;
  const wave = (second: number) => isBusy ? Math.sin(second / 23) + Math.sin(second / 7) / 2 : 0;
  const history = Array.from({ length: isBusy ? 300 : 4 }, (_, i) => wave(i + 52));
  const many = isBusy ? 4 : 0;
  return {
    addresses: ["0.0.0.0:9527"],
    handler: "shout.ts",
    draining: false,
    ready: true,
    accepted: count + many * 309,
    active: count,
    waiting: 0,
    ended: many * 300,
    endReasons: {
      "client-closed": many * 210,
      "child-closed": many * 85,
      "client-reset": many * 4,
      "protocol-error": 0,
      "eof-timeout": 0,
      "idle-timeout": many,
      "session-timeout": 0,
      "drain-timeout": 0,
      "killed": 0,
    },
    failed: 0,
    refused: {
      "denied": many,
      "source-limit": many * 7,
      "source-rate": 0,
      "busy": 0,
      "handshake": many,
      "page": 0,
      "left": 0,
    },
    warm: 8,
    spawned: count + many * 300 + 8,
    spawnFailures: 0,
    exits: isBusy ? { "0": many * 290, "1": many * 9, "SIGKILL": many } : {},
    failing: false,
    killed: { SIGTERM: many, SIGKILL: many },
    limits: { connections: Math.max(256, count), queue: 64, warm: 8 },
    bytesIn: many * 1_234_567,
    bytesOut: many * 2_345_678,
    latestRefusals: Array.from({ length: 5 * many }, (_, i) => ({
      id: many * 300 - i,
      time: new Date(START_MS - i * i * 9_000).toISOString(),
      reason: i % 9 === 2 ? "denied" : i % 9 === 7 ? "handshake" : "source-limit",
      client: clientOf(1000 + i),
    })),
    connections: Array.from({ length: count }, (_, i) => ({
      id: many * 309 + i + 1,
      client: clientOf(i),
      pid: 31_000 + i * 3,
      start: i % 5 === 4 ? "cold" : "warm",
      seconds: 700 / (i + 1),
      idleSeconds: i * 37 % 200 / 10,
      bytesIn: i * 7919 % 30_000,
      bytesOut: i * 104_729 % 3_000_000,
    })),
    history: {
      active: history.map((value) => Math.max(0, count + Math.round(value * 4))).with(-1, count),
      accepted: history.map((value, i) =>
        Math.max(0, Math.round(value * 2 + (isBusy && i % 9 === 2 ? 1 : 0)))
      ),
      firstByteMs: history.map((value) => value > 0 ? 1 + value / 4 : null),
    },
  };
}

const PROCESS = {
  uptimeSeconds: 93_784,
  pid: 4711,
  version: config.version,
  memoryBytes: 71_500_000,
  childrenMemoryBytes: 118_000_000,
};

/** A server with so many connections. */
export function statusWith(count: number, more: Partial<Status> = {}): Status {
  return { ...PROCESS, ...serviceWith(count), ...more };
}

/** A server with a few services. */
export function statusOfServices(): ServicesStatus {
  const limits = { connections: 20, queue: 5, warm: 0 };
  return {
    ...PROCESS,
    draining: false,
    ready: false,
    limits: { children: 400 },
    names: ["shout", "git", "a-name.that-is_long"],
    services: {
      shout: { ...serviceWith(30), failing: true },
      git: { ...serviceWith(20), handler: "git", ready: false, waiting: 5, warm: 0, limits },
      "a-name.that-is_long": { ...serviceWith(0), addresses: ["[::]:7", "unix:/run/echo.sock"] },
    },
  };
}

/** From now on the page is told this by its server. */
export async function tell(page: Page, status: Status | ServicesStatus): Promise<void> {
  await page.unrouteAll({ behavior: "ignoreErrors" });
  await page.route("**/status.json", (route) => route.fulfill({ json: status }));
}
