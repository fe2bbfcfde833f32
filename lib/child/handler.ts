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

import { messageOf } from "../base/message_of.ts";
import type { MessageMode } from "../net/message_mode.ts";
import { lookUpCommand } from "./look_up.ts";
import { canSpawn, importFlags, sandboxEnv, sandboxFlags } from "./sandbox.ts";
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
  /** What a message of a WebSocket is by default. */
  readonly wsMode: MessageMode;
  /** Whether it is a module, which has no permission but those granted. */
  readonly isSandboxed: boolean;
  /** Whether it can start or signal processes; then each child gets a process group of its own. */
  readonly canSpawn: boolean;
  /** Commands of which one fails, with the reason on stderr, if the program cannot be started. */
  readonly checks?: readonly (readonly [command: string, ...args: string[]])[];
  /** For a module, how Deno inspects it: subcommands with their flags. */
  readonly inspections?: {
    /** Its path or address. */
    readonly module: string;
    /** Prints its graph as JSON. */
    readonly graph: readonly string[];
    /** Fails if a type is wrong; absent if types are not to be checked. */
    readonly types?: readonly string[];
  };
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
    const message = messageOf(error).replace(/^Failed to spawn '[^']*': /, "");
    const [pattern, meaning] = REASONS.find(([pattern]) => pattern.test(message)) ?? [];
    return new HandlerError(handler, pattern ? message.replace(pattern, meaning!) : message);
  }
}

/** What the errors of `Deno.Command` mean, where they do not say it (seen on Deno 2.9.6). */
const REASONS: readonly [pattern: RegExp, meaning: string][] = [
  [/^No such cwd '(.*)'$/s, "there is no folder $1, which --cwd names"],
  [/^cwd is not a directory '(.*)'$/s, "$1, which --cwd names, is not a folder"],
  [/^.*entity not found.*$/s, "there is no such program in PATH"],
  [/^.*Operation not permitted.*$/s, "only root may run it as another user or group"], // EPERM
  // EACCES: a program of the user's is looked up before; what is left is the folder.
  [
    /^.*Permission denied.*$/s,
    "its user cannot enter the working directory. Choose one with --cwd, such as /",
  ],
];

/** The program that runs modules. A compiled one is not Deno, and would start itself as its child. */
function denoPath(): string {
  if (Deno.build.standalone) {
    throw new TypeError("Cannot run modules in a compiled program: they need the deno program");
  }
  return Deno.execPath();
}

/** Variables of every Deno that is started. */
export const DENO_ENV = {
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
    command: denoPath(),
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
    wsMode: "bytes",
    isSandboxed: false, // it needs no permission
    canSpawn: false,
  };
}

/**
 * A handler that runs a user's module with this same Deno, and with no permission but those granted.
 * The module keeps its configuration, lock file and packages, so it gets no flag that could break
 * these.
 *
 * @param module A path, or a `file:`, `https:`, `jsr:` or `npm:` address.
 * @param args The module's `Deno.args`.
 * @param options `grant` names permissions of Deno, each perhaps with values, such as `env=TZ,LANG`
 * or `read=./data`. With `checkTypes`, the check of the module checks its types too.
 */
export function moduleHandler(
  module: string,
  args: readonly string[] = [],
  { grant = [], checkTypes = false }: { grant?: readonly string[]; checkTypes?: boolean } = {},
): Handler {
  const resolution = resolutionFlags(module);
  const fetching = [...resolution, ...importFlags(grant)];
  return {
    name: module,
    command: denoPath(),
    args: [
      ...["run", "--quiet", "--no-prompt"],
      ...resolution,
      ...sandboxFlags(grant),
      module,
      ...args,
    ],
    env: { ...DENO_ENV, ...sandboxEnv(grant) },
    warm: WARM_MODULES,
    wsMode: "lines",
    isSandboxed: true,
    canSpawn: canSpawn(grant),
    checks: [
      // Deno looks at the values of its flags only when it starts.
      ...(grant.length > 0 ? [checkFlags(grant)] : []),
      [Deno.execPath(), "cache", "--quiet", ...fetching, module],
    ],
    inspections: {
      module,
      graph: ["info", "--json", ...fetching],
      ...(checkTypes && { types: ["check", "--quiet", ...fetching] }),
    },
  };
}

/**
 * Deno takes the configuration and lock file of an address from the working directory, and of a file
 * from its own folder. Neither may be spawnd's: its lock file covers only its own packages.
 */
function resolutionFlags(module: string): string[] {
  const address = addressOf(module);
  if (!address.startsWith("file:")) return ["--no-config", "--no-lock"];
  const home = new URL("../../", import.meta.url).href;
  return address.startsWith(home) ? ["--no-lock"] : [];
}

/** A command that fails if Deno does not take these grants: an empty program, with them. */
function checkFlags(grants: readonly string[]): [string, ...string[]] {
  const flags = [...FAST_START, ...sandboxFlags(grants)];
  return [Deno.execPath(), "run", "--quiet", "--no-prompt", ...flags, "data:text/javascript,"];
}

/**
 * The address of a module.
 *
 * @param cwd Where its path begins, if it is relative; this path itself begins where the server runs.
 */
export function addressOf(module: string, cwd = "."): string {
  if (/^(?:file|https?|jsr|npm):/.test(module)) return module;
  const base = new URL("file:///");
  base.pathname = `${Deno.cwd()}/`;
  const escape = (path: string) => path.replace(/[%?#]/g, encodeURIComponent);
  return new URL(escape(module), new URL(`${escape(cwd)}/`, base)).href;
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
    wsMode: "lines",
    isSandboxed: false,
    canSpawn: true,
    ...(Deno.build.os !== "windows" && { checks: [lookUpCommand(command, isModule(command))] }),
  };
}

/**
 * What a handler runs, with its arguments, as a shell would have it. Arguments may hold a secret, so
 * this is for its user only, not for a log that is kept.
 */
export function wordsOf({ name, command, args }: Handler): string {
  const at = args.indexOf(name);
  const words = name === command ? [command, ...args] : at < 0 ? [name] : args.slice(at);
  return words.map((word) =>
    /^[\w./@%+~:=,[\]-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`
  ).join(" ");
}

/** What names a module: its file extension, or the scheme of an address. */
export const MODULE_PATTERN = /\.(?:[jt]sx?|m[jt]s)$|^(?:file|https?|jsr|npm):/;

/** Whether `word` names a module: by its file extension, or as an address. */
export function isModule(word: string): boolean {
  return MODULE_PATTERN.test(word);
}
