/**
 * The check of a handler before its first child is started: whether there is such a program, and
 * whether a module compiles.
 *
 * @module
 */

import { log } from "../base/log.ts";
import { DENO_ENV, type Handler, HandlerError } from "./handler.ts";
import type { Surroundings } from "./launch.ts";

/** A check that takes longer than this says what it does, in milliseconds. */
const NOTICE_MS = 2_000;

/**
 * Checks that a handler can be started. For a module this also fetches and compiles everything it
 * imports, so that the first clients do not wait for that.
 *
 * @param surroundings Those of its children.
 * @param signal Ends the check, and whatever it has started.
 * @throws {HandlerError} It cannot be started; the message says why, in one line.
 */
export async function checkHandler(
  handler: Handler,
  surroundings: Surroundings,
  signal?: AbortSignal,
): Promise<void> {
  const isElsewhere = surroundings.cwd !== undefined || surroundings.gid !== undefined;
  for (const check of handler.checks ?? (isElsewhere ? [["true"] as const] : [])) {
    await run(handler, check, surroundings, signal);
  }
}

/** Runs one check. */
async function run(
  handler: Handler,
  [command, ...args]: readonly [command: string, ...args: string[]],
  surroundings: Surroundings,
  signal?: AbortSignal,
): Promise<void> {
  // Without permission to run the check, the first spawn will show whether the handler starts.
  if (Deno.permissions.querySync({ name: "run", command }).state !== "granted") return;
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
      stdout: "null",
      stderr: "piped",
    }).output();
  } catch (error) {
    throw HandlerError.from(handler, error);
  } finally {
    clearTimeout(notice);
  }
  signal?.throwIfAborted();
  const { success, stderr } = output;
  if (success) return;
  const [first, ...more] = new TextDecoder().decode(stderr).split("\n");
  const location = more.find((line) => /^\s+at /.test(line)) ?? "";
  const cause = more.find((line) => /os error/.test(line)) ?? "";
  const reason = [first!.replace(/^error: /, ""), location, cause].map((text) => text.trim());
  throw new HandlerError(handler, reason.filter((text) => text !== "").join(" "));
}
