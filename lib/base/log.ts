/**
 * The log: events with their facts, as text lines for people or JSON lines for machines. No other
 * file may use the logging library.
 *
 * spawnd's modules only write to {@linkcode log}. A program that uses spawnd as a library sets up
 * LogTape's category `spawnd` itself; until then nothing is logged.
 *
 * All facts are escaped on output, so that a client can neither forge a line nor send escape
 * sequences to the terminal. Warnings of one kind are rate-limited, since clients can cause most of
 * them.
 *
 * @module
 */

import {
  configureSync,
  getAnsiColorFormatter,
  getJsonLinesFormatter,
  getLogger,
  getTextFormatter,
  getThrottlingFilter,
  type Logger,
  type LogRecord,
  type Sink,
} from "@logtape/logtape";
import { quote } from "./quote.ts";

/** The logger of every spawnd module. The message names the event, the properties are its facts. */
export const log: Logger = getLogger("spawnd");

/** The log levels, from the most to the least verbose. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
/** See {@linkcode LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The log formats: `text` for people, `json` for one object per line. */
export const LOG_FORMATS = ["text", "json"] as const;
/** See {@linkcode LOG_FORMATS}. */
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Options for {@linkcode configureLog}. */
export interface LogOptions {
  /** The lowest level that is written. */
  level: LogLevel;
  /** The format of a line. */
  format: LogFormat;
  /** Whether text lines are coloured. */
  color: boolean;
}

/** How many warnings of one kind are written per window; the rest are only counted. */
const WARNINGS_PER_WINDOW = 5;
const WINDOW_MS = 10_000;

/** Formatting an event takes a tenth as long as a first reply, so it waits until that is out. */
const WRITE_DELAY_MS = 5;

/**
 * Sends the log to stderr. Warnings and errors are written immediately, everything else up to
 * {@linkcode WRITE_DELAY_MS} later or at exit. Call it once, before anything is logged.
 */
export function configureLog({ level, format, color }: LogOptions): void {
  const formatter = format === "json"
    ? getJsonLinesFormatter({ properties: "flatten" })
    : (color ? getAnsiColorFormatter : getTextFormatter)({
      timestamp: "rfc3339",
      level: (level) => (level === "warning" ? "warn" : level).padEnd(5),
      format: ({ timestamp, level, message, record }) =>
        `${timestamp} ${level} ${message}${formatFacts(record)}`,
    });
  const throttle = getThrottlingFilter({
    limit: WARNINGS_PER_WINDOW,
    windowMs: WINDOW_MS,
    key: kindOf,
    summary: {
      logger: { warning: (message) => log.warn(message) }, // drops the throttle's own facts
      message: ({ suppressed, firstRecord }) =>
        `${suppressed} more like this were not shown: ${kindOf(firstRecord)}`,
    },
  });
  configureSync({
    sinks: {
      stderr: delayedSink(formatter),
    },
    filters: { throttle: (record) => record.level !== "warning" || throttle(record) },
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

/** A sink that writes one line per record to stderr, warnings and errors without delay. */
function delayedSink(formatter: (record: LogRecord) => string): Sink {
  const encoder = new TextEncoder();
  const pending: LogRecord[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const write = () => {
    clearTimeout(timer);
    timer = undefined;
    for (const record of pending.splice(0)) {
      try {
        Deno.stderr.writeSync(encoder.encode(formatter(record)));
      } catch {
        // stderr has no reader any more; keep serving.
      }
    }
  };
  globalThis.addEventListener("unload", write);
  return (record) => {
    pending.push(record);
    if (record.level !== "info" && record.level !== "debug") write();
    else timer ??= setTimeout(write, WRITE_DELAY_MS);
  };
}

/** The rate limiter's key: warnings with the same message and reason are of one kind. */
function kindOf({ rawMessage, properties: { reason } }: LogRecord): string {
  return reason === undefined ? String(rawMessage) : `${rawMessage} reason=${reason}`;
}

/** The facts of an event, each as ` key=value`; values other than plain words are quoted. */
function formatFacts({ properties }: LogRecord): string {
  return Object.entries(properties)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${formatValue(value)}`).join("");
}

function formatValue(value: unknown): string {
  const text = String(value);
  return /^[\w.:@/+,[\]-]+$/.test(text) ? text : quote(text);
}
