/**
 * The check of a handler before its first child is started: whether there is such a program, whether
 * a module compiles, and whether it uses `serve()`.
 *
 * @module
 */

import type { Logger } from "../base/log.ts";
import { addressOf, DENO_ENV, type Handler, HandlerError } from "./handler.ts";
import type { Surroundings } from "./launch.ts";
import { isFolder, SERVE, usesServe } from "./module_graph.ts";
import { adviseImport } from "./sandbox.ts";

/** A check that takes longer than this says what it does, in milliseconds. */
const NOTICE_MS = 2_000;

/** What a check is given. */
interface CheckContext {
  readonly handler: Handler;
  /** Those of its children. */
  readonly surroundings: Surroundings;
  /** Ends the check, and whatever it has started. */
  readonly signal: AbortSignal | undefined;
  /** Is told when the check takes long. */
  readonly log: Logger | undefined;
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
  options: Omit<CheckContext, "handler">,
): Promise<boolean> {
  const { surroundings, log } = options;
  const context = { handler, ...options };
  const isElsewhere = surroundings.cwd !== undefined || surroundings.gid !== undefined;
  const problem = argumentProblem(handler.args);
  if (problem !== undefined) throw new HandlerError(handler, problem);
  const graph = readGraph(context);
  const notice = setTimeout(() => {
    log?.info("still fetching and compiling the handler", { handler: handler.name });
  }, NOTICE_MS);
  try {
    const { module, types } = handler.inspections ?? {};
    // Of a folder, Deno would read all files below it.
    if (module !== undefined && mayBeFolder(addressIn(surroundings, module))) {
      const json = await graph;
      if (json !== undefined && isFolder(json)) throw new HandlerError(handler, IS_FOLDER);
    }
    for (const [command, ...args] of handler.checks ?? (isElsewhere ? [["true"] as const] : [])) {
      // As a path, `*` and `?` in it would be a pattern to Deno, which nothing has to match.
      const words = args.map((arg) => arg === module ? addressIn(surroundings, arg) : arg);
      const output = await run(context, [command, ...words], "null");
      if (output?.success === false) throw new HandlerError(handler, reasonOf(output));
    }
    const output = types && await inspect(context, module!, types);
    if (output?.success === false) throw new HandlerError(handler, reasonOf(output));
  } finally {
    clearTimeout(notice);
    await graph; // no process of the check outlives it
  }
  // Both may fetch the same packages at once; what failed has them in the cache by now.
  const json = await graph ?? await readGraph(context);
  if (json === undefined) return false;
  if (isFolder(json)) throw new HandlerError(handler, IS_FOLDER);
  return usesServe(json);
}

const IS_FOLDER = "it is a folder";

/** Whether it is a file that is not named as a module is. */
function mayBeFolder(address: string): boolean {
  return address.startsWith("file:") && !/\.[cm]?[jt]sx?$/.test(address);
}

/** What execve(2) takes as an argument, in bytes with its final zero (Linux: MAX_ARG_STRLEN). */
const MAX_ARGUMENT_BYTES = 131_072;

/** Why no program can be started with these arguments, if so. */
function argumentProblem(args: readonly string[]): string | undefined {
  if (args.some((arg) => arg.includes("\0"))) return "an argument has a NUL character in it";
  const long = args.map((arg) => new TextEncoder().encode(arg).length)
    .find((length) => length >= MAX_ARGUMENT_BYTES);
  if (long === undefined) return undefined;
  return `an argument has ${long} bytes, and may have ${MAX_ARGUMENT_BYTES - 1}`;
}

/** The graph of a module; `undefined` for another handler, and if it cannot be had. */
async function readGraph(context: CheckContext): Promise<string | undefined> {
  const { inspections } = context.handler;
  if (inspections === undefined) return undefined;
  const { module, graph } = inspections;
  const output = await inspect(context, module, graph).catch(() => undefined);
  return output?.success ? new TextDecoder().decode(output.stdout) : undefined;
}

/**
 * Runs a subcommand of Deno on a module in its folder: `deno run` takes the configuration from there,
 * but `deno info` and `deno check` take that of the working directory (seen on Deno 2.9.6).
 */
function inspect(
  context: CheckContext,
  module: string,
  args: readonly string[],
): Promise<Deno.CommandOutput | undefined> {
  const { surroundings } = context;
  const address = addressIn(surroundings, module);
  const cwd = address.startsWith("file:") ? new URL(".", address) : surroundings.cwd;
  const place = { ...surroundings, ...(cwd !== undefined && { cwd }) };
  return run({ ...context, surroundings: place }, [Deno.execPath(), ...args, address], "piped");
}

/** The address of a module for its children. */
function addressIn({ cwd }: Surroundings, module: string): string {
  return addressOf(module, cwd?.toString());
}

/** Runs one check; resolves to `undefined` if Deno does not allow it. */
async function run(
  { handler, surroundings, signal }: CheckContext,
  [command, ...args]: readonly [command: string, ...args: string[]],
  stdout: "null" | "piped",
): Promise<Deno.CommandOutput | undefined> {
  // Without permission to run the check, the first spawn will show whether the handler starts.
  if (Deno.permissions.querySync({ name: "run", command }).state !== "granted") return undefined;
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
  }
  signal?.throwIfAborted();
  return output;
}

/** Why a check has failed, on one line. */
function reasonOf({ stderr }: Deno.CommandOutput): string {
  const [first, ...more] = new TextDecoder().decode(stderr).split("\n");
  const lineOf = (pattern: RegExp) => more.find((line) => pattern.test(line))?.trim() ?? "";
  const isHandler = /^error: Import "@spawnd\/spawnd\/handler" not a dependency/.test(first!);
  const reason = [
    adviseImport(first!.replace(/^error: | \[ERROR\]/g, "")),
    lineOf(/^\s+at /),
    lineOf(/os error/),
    lineOf(/^Found \d+ errors/).replace(/^Found (\d+) errors.*/, "(the first of $1 errors)"),
    isHandler ? `(map it to ${SERVE} in the imports of a deno.json beside the module)` : "",
  ];
  return reason.filter((text) => text !== "").join(" ");
}
