/**
 * The handler: the program that serves a client, with the arguments that start it. All three kinds
 * (counter service, module, command) become the same plain value, so that no other file needs to
 * know which one it has.
 *
 * A Deno child has the permissions its own command line grants, whatever its parent has. It must
 * be given none, and `--no-prompt` so that it never asks for any.
 *
 * @module
 */

import { log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { SANDBOX_ENV, SANDBOX_FLAGS } from "./sandbox.ts";
import { quote } from "../base/quote.ts";

/** A program that reads one client's bytes on stdin and writes its replies to stdout. */
export interface Handler {
  /** Its name in the log and in messages. */
  readonly name: string;
  /** The program: a path, or a name to look up in PATH. */
  readonly command: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** Environment variables to add to the server's own. */
  readonly env: Readonly<Record<string, string>>;
  /** How many children to keep warm (started before their clients) by default. */
  readonly warm: number;
  /** A command that fails, with the reason on stderr, if the program cannot be started. */
  readonly check?: readonly [command: string, ...args: string[]];
}

/** A handler cannot be started: its program or module is missing or not executable. */
export class HandlerError extends Error {
  /** Always `HandlerError`. */
  override readonly name = "HandlerError";

  /**
   * Creates an error for one handler.
   *
   * @param reason Why it cannot be started, without the handler's name.
   */
  constructor(handler: Handler, reason: string) {
    super(`Cannot start ${quote(handler.name)}: ${reason}`);
  }

  /** Explains an error thrown by `Deno.Command`. */
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

/** Measured to save a twelfth of a child's start-up and three of its six threads (Deno 2.9.6). */
const FAST_START = [
  "--no-config",
  "--no-lock",
  "--no-remote",
  "--no-npm",
  "--no-code-cache",
  "--v8-flags=--single-threaded",
];

/** The default number of warm Deno children: start-up is most of the cost of a short connection. */
const WARM_MODULES = 8;

/**
 * A handler that runs the built-in counter service.
 *
 * @param options `quiet` turns off the stderr line for each message.
 */
export function counterHandler(options: { quiet?: boolean } = {}): Handler {
  const module = new URL("../../child.ts", import.meta.url).href;
  // The counter service needs no packages and no configuration. But if spawnd runs from a remote
  // address, the child must be allowed to fetch the module itself.
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
 * A handler that runs a user's module with this same Deno and without any permission. The module
 * keeps its configuration, lock file and packages, so it gets no flag that could break these.
 *
 * @param module A path, or a `file:`, `https:`, `jsr:` or `npm:` address.
 * @param args The module's `Deno.args`.
 */
export function moduleHandler(module: string, args: readonly string[] = []): Handler {
  return {
    name: module,
    command: Deno.execPath(),
    args: ["run", "--quiet", "--no-prompt", ...SANDBOX_FLAGS, module, ...args],
    env: { ...DENO_ENV, ...SANDBOX_ENV },
    warm: WARM_MODULES,
    check: [Deno.execPath(), "cache", "--quiet", module],
  };
}

/**
 * A handler that runs any program that reads stdin and writes stdout.
 *
 * @param command A path, or a name to look up in PATH.
 * @param args Its arguments, passed as they are, without a shell.
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

/** Looks up a program without running it; in POSIX sh, which needs no further Deno permission. */
function lookUp(command: string): [string, ...string[]] {
  return ["sh", "-c", LOOK_UP, "sh", command];
}

const LOOK_UP = `
found() { [ -f "$1" ] && [ -x "$1" ]; }
case $1 in
  */*) found "$1" && exit ;;
  *) IFS=:; for folder in $PATH; do found "\${folder:-.}/$1" && exit; done ;;
esac
echo "no such program, or not executable" >&2; exit 1`;

/** Whether `word` names a module: by its file extension, or as an address. */
export function isModule(word: string): boolean {
  return /\.(?:[jt]sx?|m[jt]s)$/.test(word) || /^(?:file|https?|jsr|npm):/.test(word);
}

/** A check that takes longer than this says what it does, in milliseconds. */
const NOTICE_MS = 2_000;

/**
 * Checks that a handler can be started. For a module this also fetches and compiles everything it
 * imports, so that the first clients do not wait for that.
 *
 * @param identity The user and group ids that its children will run as.
 * @param signal Ends the check, and whatever it has started.
 * @throws {HandlerError} It cannot be started; the message says why, in one line.
 */
export async function checkHandler(
  handler: Handler,
  identity: { readonly uid?: number; readonly gid?: number },
  signal?: AbortSignal,
): Promise<void> {
  if (handler.check === undefined) return;
  const [command, ...args] = handler.check;
  // Without permission to run the check, the first spawn will show whether the handler starts.
  if (Deno.permissions.querySync({ name: "run", command }).state !== "granted") return;
  const notice = setTimeout(() => {
    log.info("still fetching and compiling the handler", {
      handler: handler.name,
    });
  }, NOTICE_MS);
  let output;
  try {
    output = await new Deno.Command(command, {
      ...identity,
      ...(signal && { signal }),
      args,
      env: { ...DENO_ENV, NO_COLOR: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
  } catch (error) {
    // The program of the check can be run by all, so it is the folder that the user cannot enter.
    if (identity.gid !== undefined && messageOf(error).includes("Permission denied")) {
      throw new HandlerError(
        handler,
        "its user cannot enter the working directory. Start spawnd in another one, such as /",
      );
    }
    throw HandlerError.from(handler, error);
  } finally {
    clearTimeout(notice);
  }
  signal?.throwIfAborted();
  const { success, stderr } = output;
  if (success) return;
  const lines = new TextDecoder().decode(stderr).split("\n");
  const location = lines.find((line) => /^\s+at /.test(line)) ?? "";
  throw new HandlerError(
    handler,
    lines[0]!.replace(/^error: /, "") + location.replace(/^\s+/, " "),
  );
}
