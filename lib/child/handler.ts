/**
 * The handler: what a client is served by, as the program and arguments that start it. Three kinds
 * end up as the same plain value, so that nothing further on needs to know which it was.
 *
 * A Deno child gets what its own command line grants, whatever its parent may do: here that is
 * nothing, and `--no-prompt` so that it never asks for more.
 *
 * @module
 */

import { messageOf } from "../base/message_of.ts";
import { quote } from "../base/quote.ts";

/** A program that reads one client's bytes on stdin and writes its answers on stdout. */
export interface Handler {
  /** What the log and messages call it. */
  readonly name: string;
  /** The program: a path, or a name to look up in PATH. */
  readonly command: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** What its environment has beside the server's own. */
  readonly env: Readonly<Record<string, string>>;
  /** How many children to keep started ahead of their clients, where nobody says otherwise. */
  readonly warm: number;
  /** A command that fails, with the reason on its stderr, where the program cannot be started. */
  readonly check?: readonly [command: string, ...args: string[]];
}

/** A handler that cannot be started: the program or module is missing, or is no program. */
export class HandlerError extends Error {
  /** Tells it from other errors. */
  override readonly name = "HandlerError";

  /**
   * An error about a handler.
   *
   * @param reason Why it cannot be started, without the handler's name.
   */
  constructor(handler: Handler, reason: string) {
    super(`Cannot start ${quote(handler.name)}: ${reason}`);
  }

  /** What it means that `Deno.Command` threw this. */
  static from(handler: Handler, error: unknown): HandlerError {
    const message = messageOf(error);
    const isForbidden = message.includes("Operation not permitted"); // EPERM, not EACCES
    return new HandlerError(
      handler,
      isForbidden ? "only root may run it as another user or group" : message,
    );
  }
}

const DENO_ENV = {
  DENO_NO_UPDATE_CHECK: "1",
  OTEL_SDK_DISABLED: "true",
};

/** Measured to save a twelfth of a child's start, and three of its six threads (Deno 2.9.6). */
const FAST_START = [
  "--no-config",
  "--no-lock",
  "--no-remote",
  "--no-npm",
  "--no-code-cache",
  "--v8-flags=--single-threaded",
];

/** How many Deno children are kept warm by default: start-up is most of what a short visit costs. */
const WARM_MODULES = 8;

/**
 * The counter service that comes with spawnd.
 *
 * @param options `quiet` leaves out the line it prints for every message.
 */
export function counterHandler(options: { quiet?: boolean } = {}): Handler {
  const module = new URL("../../child.ts", import.meta.url).href;
  // Without npm and configuration there is nothing that a server run from elsewhere could need;
  // only fetching the module itself must stay allowed there.
  const flags = module.startsWith("file:")
    ? FAST_START
    : FAST_START.filter((flag) => flag !== "--no-remote");
  return {
    name: "counter",
    command: Deno.execPath(),
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      ...flags,
      module,
      ...(options.quiet ? ["--quiet"] : []),
    ],
    env: DENO_ENV,
    warm: WARM_MODULES,
  };
}

/**
 * A module of the user's own, run by this same Deno with no permission at all. It keeps its
 * configuration, its lock file and its packages, so it gets no flag that could break these.
 *
 * @param module A path, or a `file:`, `https:`, `jsr:` or `npm:` address.
 * @param args What it finds in `Deno.args`.
 */
export function moduleHandler(module: string, args: readonly string[] = []): Handler {
  return {
    name: module,
    command: Deno.execPath(),
    args: ["run", "--quiet", "--no-prompt", module, ...args],
    env: DENO_ENV,
    warm: WARM_MODULES,
    check: [Deno.execPath(), "cache", "--quiet", module],
  };
}

/**
 * Any program that speaks stdin and stdout.
 *
 * @param command A path, or a name to look up in PATH.
 * @param args Its arguments, as they are: no shell reads them.
 */
export function commandHandler(command: string, args: readonly string[] = []): Handler {
  return {
    name: command,
    command,
    args,
    env: {},
    warm: 0,
    ...(Deno.build.os !== "windows" && { check: lookUp(command) }),
  };
}

/** Looks a program up without running it: POSIX sh needs no permission of Deno's to do so. */
function lookUp(command: string): [string, ...string[]] {
  return ["sh", "-c", LOOK_UP, "sh", command];
}

const LOOK_UP = `
found() { [ -f "$1" ] && [ -x "$1" ]; }
case $1 in
  */*) found "$1" && exit ;;
  *) IFS=:; for folder in $PATH; do found "\${folder:-.}/$1" && exit; done ;;
esac
echo "no such program" >&2; exit 1`;

/** Whether `word` names a module: by its ending, or as an address. */
export function isModule(word: string): boolean {
  return /\.(?:[jt]sx?|m[jt]s)$/.test(word) || /^(?:file|https?|jsr|npm):/.test(word);
}

/**
 * Makes sure that a handler can be started, and for a module fetches and compiles all it imports,
 * so that the first clients do not wait for that.
 *
 * @param identity The user and the group that its children are to run as.
 * @throws {HandlerError} It cannot be; the message says why, in one line.
 */
export async function checkHandler(
  handler: Handler,
  identity: { readonly uid?: number; readonly gid?: number },
): Promise<void> {
  if (handler.check === undefined) return;
  const [command, ...args] = handler.check;
  // A check that must not run proves nothing: the first spawn will tell.
  if (Deno.permissions.querySync({ name: "run", command }).state !== "granted") return;
  let output;
  try {
    output = await new Deno.Command(command, {
      ...identity,
      args,
      env: { ...handler.env, NO_COLOR: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
  } catch (error) {
    throw HandlerError.from(handler, error);
  }
  const { success, stderr } = output;
  if (success) return;
  const said = new TextDecoder().decode(stderr).split("\n");
  const place = said.find((line) => /^\s+at /.test(line)) ?? "";
  throw new HandlerError(handler, said[0]!.replace(/^error: /, "") + place.replace(/^\s+/, " "));
}
