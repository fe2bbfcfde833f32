/**
 * The clients of the fuzz: each does what its plan says, whatever comes back, and reports what it
 * saw.
 *
 * @module
 */

import { settlesWithin } from "../lib/base/settles_within.ts";
import { formatSocketAddress, type SocketAddress } from "../lib/net/address.ts";
import { formatProxyHeader, type ProxyHeader } from "../lib/net/proxy_protocol.ts";
import type { ClientPlan, Header, RequestPlan, Write } from "./_fuzz_plan.ts";
import { type Client, close, connect, fetchStatus, pause, type Target } from "./_load.ts";
import { concat, type Conn, send } from "./_sockets.ts";

/** What became of a client. */
export interface Report {
  readonly plan: ClientPlan;
  /** Whether the server had a connection of it. */
  connected: boolean;
  /** What its child is told of it, and its log too; without a source, it is a Unix client. */
  addresses: ProxyHeader;
  /** How many bytes of its own it has sent. */
  sent: number;
  received: Uint8Array<ArrayBuffer>;
  /** Whether it saw the end of its input, rather than an error or nothing. */
  ended: boolean;
  /** Whether it left only because its time was over. */
  timedOut: boolean;
}

/** The address that names a client in the log. */
export function nameOf({ addresses: { source } }: Report): string {
  return source ? formatSocketAddress(source) : "unix";
}

/** What every client sends, as much of it as its plan says: byte i is 7i modulo 256. */
export function payload(length: number, from = 0): Uint8Array<ArrayBuffer> {
  return new Uint8Array(length).map((_, index) => 7 * (from + index));
}

/** Runs a client to its end. Never rejects. */
export async function runClient(plan: ClientPlan, target: Target): Promise<Report> {
  const report: Report = {
    plan,
    connected: false,
    addresses: {},
    sent: 0,
    received: new Uint8Array(0),
    ended: false,
    timedOut: false,
  };
  await pause(plan.startMs);
  let conn: Conn | undefined;
  const staying = (async () => {
    const header = headerOf(plan);
    const client = await connect(target, { ...plan, header }, (opened) => {
      if (!conn) report.addresses = addressesOf(plan, opened);
      conn = opened;
    });
    await use(client, plan, report);
  })();
  report.timedOut = !await settlesWithin(staying, plan.stayMs);
  if (conn) close(conn);
  await staying.catch(() => {}); // the server may have cut it, or closing has
  report.connected = conn !== undefined;
  return report;
}

async function use({ conn }: Client, plan: ClientPlan, report: Report): Promise<void> {
  const reading = plan.reads === "never" ? Promise.resolve() : readAll(conn, plan, report);
  const writing = (async () => {
    for (const write of plan.writes) await perform(conn, write, report);
  })();
  if (!plan.waits) return await writing;
  await Promise.allSettled([reading, writing]);
}

/** Reads to the end. Never rejects. */
async function readAll(conn: Conn, { reads }: ClientPlan, report: Report): Promise<void> {
  const buffer = new Uint8Array(reads === "slowly" ? 500 : 65_536);
  const chunks: Uint8Array[] = [];
  try {
    for (;;) {
      const length = await conn.read(buffer);
      if (length === null) break;
      chunks.push(buffer.slice(0, length));
      if (reads === "slowly") await pause(20);
    }
    report.ended = true;
  } catch {
    // The server has cut it, or it has closed.
  }
  report.received = concat(chunks);
}

async function perform(conn: Conn, write: Write, report: Report): Promise<void> {
  const sendNext = async (length: number) => {
    const bytes = payload(length, report.sent);
    for (let done = 0; done < length;) {
      const taken = await conn.write(bytes.subarray(done));
      done += taken;
      report.sent += taken;
    }
  };
  if (write === "half-close") return await conn.closeWrite();
  if ("send" in write) return await sendNext(write.send);
  if ("pauseMs" in write) return await pause(write.pauseMs);
  for (let sent = 0; sent < write.drip; sent++) {
    await sendNext(1);
    await pause(2);
  }
}

const DESTINATION: Readonly<Record<"v4" | "v6", SocketAddress>> = {
  v4: { hostname: "192.0.2.254", port: 9527 },
  v6: { hostname: "2001:db8::fe", port: 9527 },
};

/** The addresses in a client's header. */
function endpointsOf(
  { source }: ClientPlan,
): Required<Pick<ProxyHeader, "source" | "destination">> {
  return { source, destination: DESTINATION[source.hostname.includes(":") ? "v6" : "v4"] };
}

/** The command byte of version 2 for a connection of the proxy's own. */
const LOCAL = 0x20;

const HEADERS: Record<Header, (plan: ClientPlan) => Uint8Array<ArrayBuffer> | undefined> = {
  none: () => undefined,
  v1: (plan) => formatProxyHeader(1, endpointsOf(plan)),
  v2: (plan) => formatProxyHeader(2, endpointsOf(plan)),
  unknown: () => formatProxyHeader(1, {}),
  local: () => formatProxyHeader(2, {}).map((byte, index) => index === 12 ? LOCAL : byte),
  garbage: () => payload(200),
  // What follows cannot complete it.
  cut: (plan) => formatProxyHeader(1 + plan.source.port % 2, endpointsOf(plan)).subarray(0, 10),
};

function headerOf(plan: ClientPlan): Uint8Array<ArrayBuffer> | undefined {
  return HEADERS[plan.header](plan);
}

/** The addresses that the server knows of a client. */
function addressesOf(plan: ClientPlan, { localAddr, remoteAddr }: Conn): ProxyHeader {
  if (plan.header === "v1" || plan.header === "v2") return endpointsOf(plan);
  if (localAddr.transport !== "tcp" || remoteAddr.transport !== "tcp") return {};
  return { source: localAddr, destination: remoteAddr };
}

/** Asks a status listener. A good request has to be answered; a bad one only must do no harm. */
export async function ask({ startMs, request }: RequestPlan, url: URL): Promise<void> {
  await pause(startMs);
  if (request === "post") return void await fetchStatus(url, "", { method: "POST", body: "x" });
  if (request in BAD) return await tell(BAD[request]!, url);
  const { status } = await fetchStatus(url, request === "page" ? "" : request);
  const due = request === "missing" ? [404] : request === "readyz" ? [200, 503] : [200];
  if (!due.includes(status)) throw new Error(`the status listener answers ${request}: ${status}`);
}

/** Bad requests: what is written, and whether byte by byte. */
const BAD: Readonly<Record<string, readonly [text: string, slow?: boolean]>> = {
  garbage: ["\x00\x01\xff hello\r\n\r\n"],
  cut: ["GET /metrics HTTP/1.1\r\nHost: loc"],
  huge: [`GET /${"x".repeat(200_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`],
  drip: ["GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", true],
  idle: [""],
};

/** Sends a text to a status listener, stays for a moment, and leaves without reading. */
async function tell([text, slow]: readonly [string, boolean?], url: URL): Promise<void> {
  try {
    using conn = await Deno.connect({ hostname: url.hostname, port: Number(url.port) });
    for (const piece of slow ? text : [text]) {
      await send(conn, piece);
      if (slow) await pause(5);
    }
    await pause(500);
  } catch {
    // The listener may close at any time.
  }
}
