/**
 * A handler as a function of its client, for modules that spawnd runs.
 *
 * @example A line-based service
 * ```ts
 * import { type Client, serve } from "@spawnd/spawnd/handler";
 *
 * export async function shout(client: Client) {
 *   await client.write(`Hello ${client.remote?.hostname ?? "stranger"}\n`);
 *   for await (const line of client.lines({ maxLength: 80 })) {
 *     await client.write(`${line.toUpperCase()}\n`);
 *   }
 * }
 *
 * if (import.meta.main) await serve(shout);
 * ```
 *
 * spawnd finds this file in the module's graph, announces a PROXY header when it starts the child,
 * and sends it first: so the function knows its client, and is called when that is there, even if the
 * child was started long before. A module that is started by hand gets no header, and its client has
 * no address.
 *
 * @module
 */

import type { Client } from "./client.ts";
import { FIXED_BYTES, parseHeader, restLength } from "./header.ts";
import {
  EarlyEndError,
  LineTooLongError,
  TimeoutError,
  TransportClient,
} from "./transport_client.ts";

export type {
  Address,
  Client,
  ClientFacts,
  LineOptions,
  ReadOptions,
  RequestFacts,
  TlsFacts,
} from "./client.ts";
export { LineTooLongError, TimeoutError };

/** By this spawnd says whether a PROXY header comes first; the client cannot. */
const ANNOUNCEMENT = Symbol.for("spawnd.header");
const { [ANNOUNCEMENT]: isAnnounced } = globalThis as { [ANNOUNCEMENT]?: boolean };
Reflect.deleteProperty(globalThis, ANNOUNCEMENT);
/** Errors that are the client's doing. */
const CLIENTS_DOING = [LineTooLongError, TimeoutError, EarlyEndError];
/** How much of an error is printed. */
const MAX_ERROR_LENGTH = 1_000;

/**
 * Serves the process's one client: calls `handler` when it is there, and exits when that has
 * returned, with code 0. It does the same if the client has left before, and without a call if
 * there never was one. Any other error that is not caught is one line on stderr, and exit code 1; or
 * 0 for what is the client's doing: a {@linkcode LineTooLongError}, a {@linkcode TimeoutError}, and
 * an input that ends before `readExactly()` has its bytes.
 */
export async function serve(handler: (client: Client) => void | Promise<void>): Promise<never> {
  const client = new TransportClient({
    read: (buffer) => Deno.stdin.read(buffer),
    write: (bytes) => Deno.stdout.write(bytes),
    watch: (leave) => {
      if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", leave);
    },
  });
  const end = (event: ErrorEvent | PromiseRejectionEvent) => {
    event.preventDefault();
    const error = "reason" in event ? event.reason : event.error;
    if (client.failure !== undefined && error === client.failure) Deno.exit(0);
    console.error(describe(error));
    Deno.exit(CLIENTS_DOING.some((type) => error instanceof type) ? 0 : 1);
  };
  addEventListener("error", end);
  addEventListener("unhandledrejection", end);
  try {
    if (isAnnounced === false) {
      console.error(
        "spawnd does not know this copy of serve(), and does not say who the client is: " +
          "the path that it is imported from must have spawnd in it",
      );
    }
    if (isAnnounced) {
      await rehearse();
      if (!await readHeader(client)) Deno.exit(0);
    }
    await handler(client);
    await client.written;
  } catch (error) {
    reportError(error);
  }
  Deno.exit(0);
}

/**
 * Does once, without a client, what comes first with one: so its reply does not wait until V8 has
 * compiled all that (0.9 ms instead of 1.4 for a line of a warm child, Deno 2.9.6).
 */
async function rehearse(): Promise<void> {
  const header = new Uint8Array(FIXED_BYTES + 12); // the addresses of IPv4
  [header[13], header[15]] = [0x11, 12];
  const input = [header, Uint8Array.of(10)];
  const client = new TransportClient({
    read(buffer) {
      const bytes = input.shift();
      buffer.set(bytes ?? []);
      return Promise.resolve(bytes?.length ?? null);
    },
    write: ({ length }) => Promise.resolve(length),
  });
  await readHeader(client);
  for await (const line of client.lines()) await client.write(`${line}\n`);
}

/** Reads the header; resolves to whether there is one: its input may end before. */
async function readHeader(client: TransportClient): Promise<boolean> {
  try {
    const fixed = await client.readExactly(FIXED_BYTES);
    const rest = fixed && await client.readExactly(restLength(fixed));
    if (fixed && rest) client.know(parseHeader(fixed, rest));
    return rest !== null;
  } catch (error) {
    if (error instanceof EarlyEndError) return false;
    throw error;
  }
}

/** An error on one line: where in the handler, and what. Its message may be a client's words. */
function describe(error: unknown): string {
  const line = `${placeOf(error)}Uncaught ${textOf(error).slice(0, MAX_ERROR_LENGTH)}`;
  return line.replaceAll(/[\p{C}\p{Zl}\p{Zp}]+/gu, " "); // what a terminal or a log would act upon
}

function placeOf(error: unknown): string {
  if (!(error instanceof Error)) return "";
  const { stack = "", message } = error;
  const here = new URL(".", import.meta.url).href;
  const frames = stack.slice(Math.max(0, stack.indexOf(message)) + message.length).split("\n", 50);
  const places = frames
    .filter(({ length }) => length < MAX_ERROR_LENGTH)
    .map((frame) => /^ {4}at .*?(\w+:\/\/\S+:\d+:\d+)\)?$/.exec(frame)?.[1]);
  const place = places.find((place) => place && !place.startsWith(here));
  return place === undefined ? "" : `${place}: `;
}

function textOf(error: unknown): string {
  try {
    return error instanceof Error || typeof error !== "object"
      ? String(error)
      : Deno.inspect(error, { colors: false });
  } catch {
    return "an error that cannot be shown";
  }
}
