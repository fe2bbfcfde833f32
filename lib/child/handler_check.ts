/**
 * The check of a handler before its first child is started: whether there is such a program, whether
 * a module compiles, and whether it uses `serve()`.
 *
 * @module
 */

import { log } from "../base/log.ts";
import { DENO_ENV, type Handler, HandlerError } from "./handler.ts";
import type { Surroundings } from "./launch.ts";
import { usesServe } from "./module_graph.ts";

/** A check that takes longer than this says what it does, in milliseconds. */
const NOTICE_MS = 2_000;

/** What a check is given. */
interface CheckContext {
  readonly handler: Handler;
  /** Those of its children. */
  readonly surroundings: Surroundings;
  /** Ends the check, and whatever it has started. */
  readonly signal: AbortSignal | undefined;
}

/**
 * Checks that a handler can be started. For a module this also fetches and compiles everything it
 * imports, so that the first clients do not wait for that.
 *
 * @return Whether it is a module that uses `serve()`.
 * @throws {HandlerError} It cannot be started; the message says why, in one line.
 */
export async function checkHandler(
  handler: Handler,
  surroundings: Surroundings,
  signal?: AbortSignal,
): Promise<boolean> {
  const context = { handler, surroundings, signal };
  const isElsewhere = surroundings.cwd !== undefined || surroundings.gid !== undefined;
  const graph = readGraph(context);
  try {
    for (const check of handler.checks ?? (isElsewhere ? [["true"] as const] : [])) {
      const output = await run(context, check, "null");
      if (output?.success === false) throw new HandlerError(handler, reasonOf(output));
    }
  } finally {
    await graph; // no process of the check outlives it
  }
  // Both may fetch the same packages at once; what failed has them in the cache by now.
  const json = await graph ?? await readGraph(context);
  return json !== undefined && usesServe(json);
}

/** The graph of a module; `undefined` for another handler, and if it cannot be had. */
async function readGraph(context: CheckContext): Promise<string | undefined> {
  if (context.handler.graph === undefined) return undefined;
  const output = await run(context, context.handler.graph, "piped").catch(() => undefined);
  return output?.success ? new TextDecoder().decode(output.stdout) : undefined;
}

/** Runs one check; resolves to `undefined` if Deno does not allow it. */
async function run(
  { handler, surroundings, signal }: CheckContext,
  [command, ...args]: readonly [command: string, ...args: string[]],
  stdout: "null" | "piped",
): Promise<Deno.CommandOutput | undefined> {
  // Without permission to run the check, the first spawn will show whether the handler starts.
  if (Deno.permissions.querySync({ name: "run", command }).state !== "granted") return undefined;
  const notice = setTimeout(() => {
    log.info("still fetching and compiling the handler", { handler: handler.name });
  }, NOTICE_MS);
  let output;
  try {
    output = await new Deno.Command(command, {
      ...surroundings,
      ...(signal && { signal }),
      args,
      env: { ...surroundings.env, ...DENO_ENV, NO_COLOR: "1" },
      stdin: "null",
      stdout,
      stderr: "piped",
    }).output();
  } catch (error) {
    throw HandlerError.from(handler, error);
  } finally {
    clearTimeout(notice);
  }
  signal?.throwIfAborted();
  return output;
}

/** Why a check has failed. */
function reasonOf({ stderr }: Deno.CommandOutput): string {
  const [first, ...more] = new TextDecoder().decode(stderr).split("\n");
  const location = more.find((line) => /^\s+at /.test(line)) ?? "";
  const cause = more.find((line) => /os error/.test(line)) ?? "";
  const reason = [first!.replace(/^error: /, ""), location, cause].map((text) => text.trim());
  return reason.filter((text) => text !== "").join(" ");
}
