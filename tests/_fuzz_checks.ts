/**
 * What has to hold after a round of the fuzz, whatever its clients and children did: every connection
 * is accounted for, and no client got a byte that it was not due.
 *
 * @module
 */

import { assert } from "@std/assert";
import { parseHead } from "../lib/net/http.ts";
import { formatProxyHeader } from "../lib/net/proxy_protocol.ts";
import { nameOf, payload, type Report } from "./_fuzz_clients.ts";
import { type FuzzHandler, HANDLERS, type Verdict } from "./_fuzz_handlers.ts";
import type { Plan } from "./_fuzz_plan.ts";
import { concat } from "./_sockets.ts";
import type { LogRecord } from "./_spawnd.ts";
import { REQUEST } from "./_web_conn.ts";
import { requestHead } from "./_web_frames.ts";

const REFUSALS = ["denied", "source-limit", "source-rate", "busy", "handshake"];
/** Fewer warnings of a kind than this are never held back. */
const SHOWN_WARNINGS = 5;

const FAILED = "cannot start a child: the client is refused";
const CLOSING = ["end", "refused", "left", FAILED];

/**
 * Asserts that each accepted connection has exactly one closing record: an `end` after its `open`, or
 * one that says why it was not served. Warnings that were held back are known by their number.
 *
 * @param numbers The server's counters after its last connection.
 */
export function assertAllRecorded(log: readonly LogRecord[], numbers: LogRecord): void {
  const accepted = Number(numbers.accepted);
  const opened = new Set<number>();
  const closed = new Set<number>();
  for (const record of log) {
    const id = Number(record.id);
    if (record.message === "open") {
      assert(!opened.has(id) && !closed.has(id), `connection ${id} was opened late or twice`);
      opened.add(id);
    } else if (CLOSING.includes(record.message)) {
      assert(!closed.has(id), `connection ${id} has two closing records`);
      assert(id >= 1 && id <= accepted, `connection ${id} was never accepted`);
      assert(
        (record.message === "end") === opened.has(id),
        `"${record.message}" is wrong for ${id}`,
      );
      closed.add(id);
    }
  }
  for (const id of opened) assert(closed.has(id), `connection ${id} has no end`);

  const count = (matches: (record: LogRecord) => boolean) => log.filter(matches).length;
  let heldBack = 0;
  const check = (counter: string, message: string, isWarning: boolean, reason?: string) => {
    const total = Number(numbers[counter] ?? 0);
    const shown = count((record) =>
      record.message === message && (reason ?? record.reason) === record.reason
    );
    const missing = total - shown;
    const isPlausible = missing === 0 || isWarning && missing > 0 && shown >= SHOWN_WARNINGS;
    assert(isPlausible, `${shown} of ${total} connections that count as ${counter} are in the log`);
    const told = log
      .filter((record) => record.message === "warnings were not shown")
      .filter((record) => record.event === message && record.reason === reason)
      .reduce((sum, { count }) => sum + Number(count), 0);
    assert(told <= missing, `the log says that ${told} of ${missing} ${counter} were not shown`);
    heldBack += missing;
  };
  check("ended", "end", false);
  check("left", "left", false);
  check("failed", FAILED, true);
  for (const reason of REFUSALS) check(reason, "refused", true, reason);
  assert(
    closed.size + heldBack === accepted,
    `${accepted} accepted, but ${closed.size} closing records and ${heldBack} held back`,
  );
}

/** The records of one client, found by its address. */
function recordsOf(log: readonly LogRecord[], report: Report): LogRecord[] {
  return log.filter(({ client }) => client === nameOf(report));
}

/** Whether a session ended because its client and its child had both finished. */
function isClean({ reason, exit }: LogRecord, { exit: due }: FuzzHandler): boolean {
  return exit === due && (reason === "client-closed" || reason === "child-closed");
}

/** What a client gets that does not speak TLS where it has to (RFC 8446, section 6). */
const TLS_ALERT = 21;
const TLS_ALERT_BYTES = 7;

/** What a client of a WebSocket has asked for. */
const WEB_REQUEST = {
  ...{ scriptName: "", pathInfo: "/", query: "" },
  ...parseHead(requestHead(REQUEST).trimEnd())!,
};

/** What Deno as a client and as a server agree on. */
const TLS_FACTS = {
  protocol: "TLSv1.3",
  cipher: "TLS_AES_256_GCM_SHA384",
  serverName: "localhost",
};

/**
 * Asserts that every client got a part of its answer or of the refusal and nothing else, and that
 * those who behaved and were not cut got all of it. Returns how many whole answers there were.
 */
export function assertAnswers(
  { handler: name, sendProxy, refusal, tls: isTls }: Plan,
  reports: readonly Report[],
  log: readonly LogRecord[],
): number {
  const handler: FuzzHandler = HANDLERS[name];
  const refusalBytes = new TextEncoder().encode(refusal);
  const isRefusal = (bytes: Uint8Array) =>
    bytes.length <= refusalBytes.length && bytes.every((byte, i) => byte === refusalBytes[i]) ||
    isTls && bytes[0] === TLS_ALERT && bytes.length === TLS_ALERT_BYTES;
  let whole = 0;
  let unixCuts =
    log.filter((record) =>
      record.message === "end" && record.client === "unix" && !isClean(record, handler)
    ).length;

  for (const report of reports) {
    const { plan: { isPolite, via, tls }, connected, ended, timedOut, received, sent } = report;
    if (!connected) continue;
    const client = `client ${nameOf(report)}, which sent ${sent} and got ${received.length} bytes,`;
    const facts = {
      ...report.addresses,
      ...(tls && { tls: TLS_FACTS }),
      ...(via === "web" && { request: WEB_REQUEST }),
    };
    const seesHeader = sendProxy && !handler.usesServe;
    const preamble = seesHeader ? formatProxyHeader(sendProxy, facts) : payload(0);
    const verdict: Verdict | undefined = handler.judge?.(
      received,
      concat([preamble, payload(sent)]),
    );
    assert(verdict !== "wrong" || isRefusal(received), `${client} got a wrong byte`);

    const records = via === "unix" ? [] : recordsOf(log, report);
    const end = records.find(({ message }) => message === "end");
    if (end) {
      assert(Number(end.in) <= sent, `${client} sent fewer than the ${end.in} of its record`);
      assert(
        Number(end.out) >= received.length,
        `${client} got more than the ${end.out} of its record`,
      );
    }
    if (!isPolite) continue;
    assert(!timedOut, `${client} was not answered in time`);
    const refused = records.find(({ message }) => message === "refused");
    if (end && isClean(end, handler)) {
      assert(verdict === undefined || verdict === "whole", `${client} lost a part of its answer`);
      assert(ended, `${client} did not see the end of its answer`);
    } else if (refused && !tls && refused.reason !== "handshake") {
      const isWhole = received.length === refusalBytes.length && ended;
      assert(isWhole, `${client} did not get the whole refusal and its end`);
    } else if (via === "unix" && verdict === "part") {
      assert(isRefusal(received) || unixCuts-- > 0, `${client} lost a part of its answer`);
    }
    if (verdict === "whole") whole++;
  }
  return whole;
}
