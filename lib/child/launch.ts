/**
 * The launch: how the children of a server are started. In front of the handler's program may stand
 * setsid(1), which gives it a session and process group of its own; setpriv(1), which changes its
 * user; and sh(1), which joins its stderr to its stdout. Each replaces itself by the next, so the
 * child keeps its process id.
 *
 * `Deno.Command` could do the first two, but then it forks where it otherwise vforks, which blocks
 * the server for the longer the more memory it has (Deno 2.9.6: 0.7 ms become 9 at 100 MB). Here the
 * child pays, with a millisecond.
 *
 * @module
 */

import { KEPT_VARIABLES, withoutManager } from "./environment.ts";
import { type Handler, HandlerError } from "./handler.ts";
import { announceHeader } from "./sandbox.ts";
import { inspectSystem, type SystemFacts } from "./system.ts";

/**
 * Where a child's stderr goes: to the server's stderr, line by line to its log, to the client in
 * order with its stdout, or nowhere.
 */
export type StderrMode = "inherit" | "log" | "client" | "null";

/** What decides how children are started. */
export interface LaunchOptions {
  readonly handler: Handler;
  /** Where their stderr goes. */
  readonly stderr: StderrMode;
  /** Variables to add to their environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether they inherit only what every program needs. */
  readonly clearEnv: boolean;
  /** Their working directory; by default the server's. */
  readonly cwd?: string;
  /** The name of the user they run as, or `name:group`. */
  readonly user?: string;
  /** The user id they run as; by default the server's. */
  readonly uid?: number;
  /** The group id they run as, as their only group. */
  readonly gid?: number;
  /** Whether each has a process group of its own. */
  readonly group: boolean;
  /** Whether what a child leaves behind is left alone. */
  readonly leave: boolean;
}

/** How to start a child. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  /** What `Deno.Command` has to do itself. */
  readonly options: Pick<Deno.CommandOptions, "cwd" | "uid" | "gid" | "clearEnv">;
  /** Its environment, apart from what only this child is told. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether its module reads a PROXY header of version 2 first, which the arguments announce. */
  readonly readsHeader: boolean;
  /** Whether it has a process group of its own. */
  readonly hasGroup: boolean;
  /** Whether signals go to that group. */
  readonly signalsGroup: boolean;
  /** Whether what is left of the group when it has exited is left alone. */
  readonly leavesRemains: boolean;
}

/** Where children run, and as whom: what the check of a handler shares with them. */
export type Surroundings = Pick<Deno.CommandOptions, "cwd" | "env" | "clearEnv" | "uid" | "gid">;

/** What was found out about the start of children. */
export interface Preparation {
  readonly launch: Launch;
  /** What of it deserves a warning. */
  readonly warnings: readonly string[];
  /** How many descriptors the server may have, where that is known. */
  readonly descriptors: number | undefined;
}

/**
 * Finds out how children can be started on this machine, with the permissions there are.
 *
 * @throws {HandlerError} There is no such user, or what it takes is missing.
 */
export async function prepareLaunch(
  options: LaunchOptions,
  signal?: AbortSignal,
): Promise<Preparation & { surroundings: Surroundings }> {
  const { handler, stderr, cwd, clearEnv, leave } = options;
  const wantsGroup = options.group && (handler.canSpawn || hasTerminal());
  const facts = await inspect(options, wantsGroup, signal);
  const { sh, setsid, setpriv, user, variables, descriptors } = facts;
  const { uid, gid } = user ?? options;
  const identity = { ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) };
  const canSignalGroups = isRunGranted();
  const warnings = [
    ...(Deno.pid === 1 && handler.canSpawn ? [NO_INIT] : []),
    ...(wantsGroup && !setsid ? [sh ? NO_SETSID : NO_SHELL] : []),
    ...(wantsGroup && setsid && !canSignalGroups ? [NO_SIGNALS] : []),
  ];
  const [command, ...args] = [
    ...(stderr === "client" ? [sh!, "-c", 'exec "$@" 2>&1', "sh"] : []),
    ...(wantsGroup && setsid ? [setsid, "--"] : []),
    ...(setpriv ? [setpriv, ...privileges(identity), "--"] : []),
    handler.command,
    ...handler.args,
  ];
  const place = { ...(cwd !== undefined && { cwd }), clearEnv };
  const env = { ...(!clearEnv && withoutManager()), ...variables, ...user?.env, ...options.env };
  const launch: Launch = {
    command: command!,
    args,
    options: { ...place, ...(!setpriv && identity) },
    env: { ...env, ...handler.env },
    readsHeader: false,
    hasGroup: wantsGroup && setsid !== undefined,
    signalsGroup: wantsGroup && setsid !== undefined && canSignalGroups,
    leavesRemains: leave,
  };
  return { launch, surroundings: { ...place, env, ...identity }, warnings, descriptors };
}

/** The same launch for a module that uses `serve()`. */
export function withHeader(launch: Launch): Launch {
  return { ...launch, args: announceHeader(launch.args), readsHeader: true };
}

const NO_INIT =
  "as process 1, the server does not reap what its children leave: run it under an init";
const NO_SETSID = "children share the server's process group, and its signals: " +
  "there is no setsid(1), or --allow-run has a list without it";
const NO_SHELL = "children share the server's process group, and its signals: " +
  "--allow-run has a list without sh and setsid";
const NO_SIGNALS =
  "only the children themselves are stopped, not what they start: that takes an --allow-run without a list";

/** Whether children cannot be started without sh(1). */
export function needsShell(
  { stderr, user, clearEnv }: Partial<Pick<LaunchOptions, "stderr" | "user" | "clearEnv">>,
): boolean {
  return stderr === "client" || user !== undefined || clearEnv === true;
}

/** Asks the system what `options` need to know of it. */
async function inspect(
  options: LaunchOptions,
  wantsGroup: boolean,
  signal?: AbortSignal,
): Promise<SystemFacts> {
  const { handler, user, uid, gid, clearEnv } = options;
  if (!needsShell(options) && !wantsGroup && gid === undefined) return {};
  if (!isRunGranted("sh")) {
    if (needsShell(options)) {
      throw new HandlerError(handler, "Deno does not allow running sh: add sh to --allow-run");
    }
    return {};
  }
  const { program, deno } = KEPT_VARIABLES;
  const variables = handler.command === Deno.execPath() ? [...program, ...deno] : program;
  const query = {
    ...(user !== undefined && { user }),
    uid,
    gid,
    variables: clearEnv ? variables : [],
  };
  try {
    const { setsid, setpriv, ...facts } = await inspectSystem(query, signal);
    return {
      ...facts,
      ...(setsid && isRunGranted(setsid) && { setsid }),
      ...(setpriv && isRunGranted(setpriv) && { setpriv }),
    };
  } catch (error) {
    throw HandlerError.from(handler, error);
  }
}

/** The options of setpriv(1) that make it run a program with these ids and no other groups. */
function privileges({ uid, gid }: { uid?: number; gid?: number }): string[] {
  return [...(uid === undefined ? [] : [`--reuid=${uid}`]), `--regid=${gid}`, "--clear-groups"];
}

function isRunGranted(command?: string): boolean {
  return Deno.permissions.querySync({ name: "run", ...(command && { command }) }).state ===
    "granted";
}

/** Whether Ctrl-C on a terminal can reach this process, and so what is in its process group. */
function hasTerminal(): boolean {
  return Deno.stdin.isTerminal() || Deno.stdout.isTerminal() || Deno.stderr.isTerminal();
}
