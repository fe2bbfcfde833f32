/**
 * The log: events with their facts, as text lines for a person at a terminal, for a file or
 * for the journal, or as JSON lines. No other file may use the logging library.
 *
 * spawnd's modules only write to {@linkcode log}. A program that uses spawnd as a library sets up
 * LogTape's category `spawnd` itself; until then nothing is logged.
 *
 * All facts are escaped on output, so that a client can neither forge a line nor send escape
 * sequences to the terminal. Warnings of one kind are rate-limited, since clients can cause most of
 * them, and what says that they are over is shown where they were.
 *
 * @module
 */

import {
  configureSync,
  getJsonLinesFormatter,
  getLogger,
  getTextFormatter,
  getThrottlingFilter,
  lazy,
  type Logger,
  type LogRecord,
  type Sink,
  type ThrottlingFilterSummary,
} from "npm:@logtape/logtape@^2.4.2";
import { LineWriter } from "./line_writer.ts";
import { formatFacts } from "./logfmt.ts";
import { messageOf } from "./message_of.ts";
import { escapeJson } from "./quote.ts";

export type { Logger } from "npm:@logtape/logtape@^2.4.2";

/** The logger of every spawnd module. The message names the event, the properties are its facts. */
export const log: Logger = getLogger("spawnd");

/** A logger that adds which service an event is about, where there is more than one. */
export function logOf(service: () => string | undefined): Logger {
  return log.with({ service: lazy(service) });
}

/** The log levels, from the most to the least verbose. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
/** See {@linkcode LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * The log formats: `text` for people, `json` for one object per line, `journal` for text whose
 * priority and time the journal keeps itself (systemd: sd-daemon(3)).
 */
export const LOG_FORMATS = ["text", "json", "journal"] as const;
/** See {@linkcode LOG_FORMATS}. */
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Options for {@linkcode configureLog}. */
export interface LogOptions {
  /** The lowest level that is written. */
  level: LogLevel;
  /** The format of a line. */
  format: LogFormat;
  /** What makes a line of text for a person at a terminal, if that is where they go. */
  terminal?: ((record: LogRecord) => string) | undefined;
}

/** What a line for the journal begins with (syslog(3)). */
export const PRIORITIES = {
  fatal: "<2>",
  error: "<3>",
  warning: "<4>",
  info: "<6>",
  debug: "<7>",
  trace: "<7>",
} as const satisfies Record<LogRecord["level"], string>;

/** What is logged, at level info, when something is over; shown if a warning of it was. */
export const RECOVERIES = {
  accept: "accepting again",
  start: "children can be started again",
  warm: "warm children start again",
  success: "a client's child has succeeded again",
  notify: "the service manager is notified again",
} as const;

/** What is over then, by its warning. */
export const OVER: Readonly<Record<string, string>> = {
  "full: accepting again when there is room": RECOVERIES.accept,
  "cannot accept": RECOVERIES.accept,
  "cannot start a child: the client is refused": RECOVERIES.start,
  "children cannot be started": RECOVERIES.start,
  "every client's child fails": RECOVERIES.success,
  "warm children fail at start": RECOVERIES.warm,
  "cannot notify the service manager": RECOVERIES.notify,
};
const RECOVERED: ReadonlySet<string> = new Set(Object.values(RECOVERIES));

/** How many warnings of one kind are written per window; the rest are only counted. */
const WARNINGS_PER_WINDOW = 5;
const WINDOW_MS = 10_000;

/** The event that says how many warnings were only counted. */
export const NOT_SHOWN = "warnings were not shown";

/** Formatting an event takes a tenth as long as a first reply, so it waits until that is out. */
const WRITE_DELAY_MS = 5;

let writer: LineWriter<LogRecord> | undefined;
let throttle: ReturnType<typeof getThrottlingFilter> | undefined;
/** Recoveries, with their services, of which a warning was shown. */
const due = new Set<string>();

/**
 * Sends the log to stderr, in the background. Warnings and errors are written immediately,
 * everything else up to {@linkcode WRITE_DELAY_MS} later. When stderr takes no more, the queue fills
 * up, and what does not fit is dropped and counted, warnings last. Call it once, before anything is
 * logged.
 */
export function configureLog({ level, format, terminal }: LogOptions): void {
  const formatter = formatterOf(format, terminal);
  throttle = getThrottlingFilter({
    limit: WARNINGS_PER_WINDOW,
    windowMs: WINDOW_MS,
    key: kindOf,
    summary: {
      // It gets what the throttle knows (LogTape 2.4), as facts of a message that is not ours.
      logger: {
        warning: (_, summary) => logSummary(summary as unknown as ThrottlingFilterSummary),
      },
    },
  });
  configureSync({
    sinks: {
      stderr: queuedSink(formatter),
    },
    filters: { throttle: mayBeShown },
    loggers: [
      {
        category: "spawnd",
        sinks: ["stderr"],
        filters: ["throttle"],
        lowestLevel: level === "warn" ? "warning" : level,
      },
      { category: ["logtape", "meta"], sinks: ["stderr"], lowestLevel: "error" },
    ],
  });
}

/** Ends the log: resolves when all of it has been written, or after `timeoutMs` milliseconds. */
export async function flushLog(timeoutMs: number): Promise<void> {
  throttle?.[Symbol.dispose](); // how many warnings were not shown
  await writer?.flush(timeoutMs);
}

/** What makes a line of a record. */
function formatterOf(
  format: LogFormat,
  terminal: LogOptions["terminal"],
): (record: LogRecord) => string {
  switch (format) {
    case "json": {
      const toJson = getJsonLinesFormatter({ properties: "flatten" });
      return (record) => `${escapeJson(toJson(record).trimEnd())}\n`;
    }
    case "journal":
      return getTextFormatter({
        format: ({ message, record }) =>
          `${PRIORITIES[record.level]}${message}${formatFacts(record.properties)}`,
      });
    case "text":
      return terminal ?? getTextFormatter({
        timestamp: "rfc3339",
        level: (level) => (level === "warning" ? "warn" : level).padEnd(5),
        format: ({ timestamp, level, message, record }) =>
          `${timestamp} ${level} ${message}${formatFacts(record.properties)}`,
      });
  }
}

/** A sink that queues records for stderr and never waits for its reader. */
function queuedSink(formatter: (record: LogRecord) => string): Sink {
  writer = new LineWriter({
    sink: Deno.stderr,
    format: formatter,
    onDropped(count, error) {
      const reason = error === undefined ? "stderr is read too slowly" : messageOf(error);
      log.error("log lines were dropped", { count, reason });
    },
  });
  return (record) => {
    const importance = importanceOf(record);
    writer!.write(record, importance, importance === "high" ? 0 : WRITE_DELAY_MS);
  };
}

/** What one child says must not displace the records of other connections. */
function importanceOf({ level, rawMessage }: LogRecord): "low" | "normal" | "high" {
  if (level === "debug" || rawMessage === "stderr") return "low";
  return level === "info" && rawMessage !== "status" ? "normal" : "high"; // status was asked for
}

/** Clients can cause warnings as often as they like, and that what they warn of is over. */
function mayBeShown(record: LogRecord): boolean {
  const { level, properties: { service } } = record;
  const message = String(record.rawMessage);
  if (message === NOT_SHOWN) return true;
  if (level === "warning") {
    const isShown = throttle!(record);
    if (isShown && message in OVER) due.add(`${OVER[message]} ${service}`);
    return isShown;
  }
  return !RECOVERED.has(message) || due.delete(`${message} ${service}`);
}

/** Says how many warnings of a kind were only counted. */
function logSummary(
  { suppressed, firstRecord: { rawMessage, properties } }: ThrottlingFilterSummary,
) {
  const { service, reason } = properties;
  log.warn(NOT_SHOWN, { service, count: suppressed, event: rawMessage, reason });
}

/** The rate limiter's key: a service's warnings with the same message and reason are of one kind. */
function kindOf({ rawMessage, properties: { service, reason } }: LogRecord): string {
  return String(rawMessage) + (service === undefined ? "" : ` service=${service}`) +
    (reason === undefined ? "" : ` reason=${reason}`);
}
