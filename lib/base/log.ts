/**
 * The log: events with their facts, as text lines for people or JSON lines for machines. The only
 * file that knows the logging library.
 *
 * The library's modules only write to {@linkcode log}; who uses them as a library configures
 * LogTape's category `spawnd` as they like, or hears nothing.
 *
 * Whatever an event carries is escaped on its way out: a client can neither forge a line nor reach
 * the terminal. Warnings of one kind are rate-limited, for a client can cause most of them.
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

/** Where every module of spawnd logs: a message that names the event, and its facts. */
export const log: Logger = getLogger("spawnd");

/** From the most talkative to the quietest. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
/** See {@linkcode LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** `text` is for people, `json` has one object a line. */
export const LOG_FORMATS = ["text", "json"] as const;
/** See {@linkcode LOG_FORMATS}. */
export type LogFormat = (typeof LOG_FORMATS)[number];

/** How {@linkcode configureLog} sets the log up. */
export interface LogOptions {
  /** The least important level that is written. */
  level: LogLevel;
  /** The form of a line. */
  format: LogFormat;
  /** Whether text lines are coloured. */
  color: boolean;
}

/** Of one kind of warning this many are written, then the rest of the ten seconds is only counted. */
const WARNINGS_PER_WINDOW = 5;
const WINDOW_MS = 10_000;

/** To put an event into words takes a tenth of a first reply, so it waits until that has been given. */
const DELAY_MS = 5;

/**
 * Sends the log to stderr, up to {@linkcode DELAY_MS} late; warnings, errors, and what is left at exit
 * at once. Call it once, before anything is logged.
 */
export function configureLog({ level, format, color }: LogOptions): void {
  const formatter = format === "json"
    ? getJsonLinesFormatter({ properties: "flatten" })
    : (color ? getAnsiColorFormatter : getTextFormatter)({
      timestamp: "rfc3339",
      level: (level) => (level === "warning" ? "warn" : level).padEnd(5),
      format: ({ timestamp, level, message, record }) =>
        `${timestamp} ${level} ${message}${facts(record)}`,
    });
  const throttle = getThrottlingFilter({
    limit: WARNINGS_PER_WINDOW,
    windowMs: WINDOW_MS,
    key: kindOf,
    summary: {
      logger: { warning: (message) => log.warn(message) }, // without the facts of its bookkeeping
      message: ({ suppressed, firstRecord }) =>
        `${suppressed} more like this were not shown: ${kindOf(firstRecord)}`,
    },
  });
  configureSync({
    sinks: {
      stderr: delayed(formatter),
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

/** A sink that writes a line a record to stderr, a moment later. */
function delayed(formatter: (record: LogRecord) => string): Sink {
  const encoder = new TextEncoder();
  const waiting: LogRecord[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const write = () => {
    clearTimeout(timer);
    timer = undefined;
    for (const record of waiting.splice(0)) {
      try {
        Deno.stderr.writeSync(encoder.encode(formatter(record)));
      } catch {
        // Whoever read the log has gone: serving goes on.
      }
    }
  };
  globalThis.addEventListener("unload", write);
  return (record) => {
    waiting.push(record);
    if (record.level !== "info" && record.level !== "debug") write();
    else timer ??= setTimeout(write, DELAY_MS);
  };
}

/** What warnings of one kind have in common. */
function kindOf({ rawMessage, properties: { reason } }: LogRecord): string {
  return reason === undefined ? String(rawMessage) : `${rawMessage} reason=${reason}`;
}

/** What an event carries, as ` key=value` for each; anything but a plain word is quoted. */
function facts({ properties }: LogRecord): string {
  return Object.entries(properties)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${fact(value)}`).join("");
}

function fact(value: unknown): string {
  const text = String(value);
  return /^[\w.:@/+,[\]-]+$/.test(text) ? text : quote(text);
}
