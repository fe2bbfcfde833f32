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
import { TransportClient } from "./transport_client.ts";

export type {
  Address,
  Client,
  ClientFacts,
  LineOptions,
  RequestFacts,
  TlsFacts,
} from "./client.ts";
export { LineTooLongError, TimeoutError } from "./transport_client.ts";

/** By this spawnd says that a PROXY header comes first; the client cannot. */
const ANNOUNCEMENT = Symbol.for("spawnd.header");

/**
 * Serves the process's one client: calls `handler` when it is there, and exits when that has
 * returned, with code 0. It does the same if the client has left before, and without a call if
 * there never was one. Any other error that is not caught is one line on stderr, and exit code 1.
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
    Deno.exit(1);
  };
  addEventListener("error", end);
  addEventListener("unhandledrejection", end);
  try {
    const isAnnounced = ANNOUNCEMENT in globalThis;
    Reflect.deleteProperty(globalThis, ANNOUNCEMENT);
    if (isAnnounced && !await readHeader(client)) Deno.exit(0);
    await handler(client);
    await client.written;
  } catch (error) {
    reportError(error);
  }
  Deno.exit(0);
}

/** Reads the header; resolves to whether there is one: its input may end before. */
async function readHeader(client: TransportClient): Promise<boolean> {
  try {
    const fixed = await client.readExactly(FIXED_BYTES);
    client.know(parseHeader(fixed, await client.readExactly(restLength(fixed))));
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** An error on one line: where in the handler, and what. */
function describe(error: unknown): string {
  const stack = error instanceof Error ? error.stack ?? "" : "";
  const places = [...stack.matchAll(/(\w+:\/\/\S+:\d+:\d+)\)?$/gm)].map(([, place]) => place!);
  const here = new URL(".", import.meta.url).href;
  const place = places.find((place) => !place.startsWith(here));
  // deno-lint-ignore no-control-regex -- what they would do to a terminal or a log
  const text = `Uncaught ${error}`.replaceAll(/[\0-\x1f\x7f-\x9f]+/g, " ");
  return place === undefined ? text : `${place}: ${text}`;
}
