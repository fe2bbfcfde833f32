/**
 * The children of one server: every process it has started and not yet reaped, warm ones and those
 * with a client.
 *
 * Every child is tracked, whichever component started it: the counts are exact, and
 * {@linkcode Children.kill} reaches them all.
 *
 * @module
 */

import { type Logger, RECOVERIES } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import type { Observer } from "../base/observer.ts";
import type { ClientFacts } from "../net/client_facts.ts";
import { ucspiVariables, UNSET_VARIABLES } from "./environment.ts";
import { GrantAdvice } from "./grant_advice.ts";
import { HandlerError } from "./handler.ts";
import { checkHandler } from "./handler_check.ts";
import {
  type Launch,
  type LaunchOptions,
  type Preparation,
  prepareLaunch,
  withHeader,
} from "./launch.ts";
import { Pool } from "./pool.ts";
import type { SpawnPace } from "./spawn_pace.ts";
import { StartGate } from "./start_gate.ts";
import type { StopSignal } from "./stop_ladder.ts";
import { Worker } from "./worker.ts";

/** How children are kept and stopped, and how they are started. */
export interface ChildrenOptions extends LaunchOptions {
  /** How many children to keep warm. */
  readonly warm: number;
  /** The first signal they are stopped with. */
  readonly stopSignal: StopSignal;
  /** How long each step of the stop ladder waits for a warm child, in milliseconds. */
  readonly killTimeoutMs: number;
}

/** What {@linkcode Children} needs besides. */
export interface ChildrenContext {
  readonly log: Logger;
  readonly observer: Observer;
  /** The pace at which all services spawn. */
  readonly pace: SpawnPace;
}

/** A child for a client, and whether it was started before its client came. */
export interface Taken {
  readonly worker: Worker;
  readonly warm: boolean;
}

/** How long a failed start counts as a sign that the next one fails too, in milliseconds. */
const FAILING_MS = 1_000;

/**
 * The exit codes of a program that could not start another (POSIX: sh(1), and so do setsid(1) and
 * setpriv(1)).
 */
const CANNOT_RUN = 126;
const NOT_FOUND = 127;
const RECHECK_INTERVAL_MS = 1_000;

/** Options for {@linkcode checkChildren}. */
export interface CheckOptions {
  /** Ends the check. */
  readonly signal?: AbortSignal | undefined;
  /** Is told when it takes long; by default nothing is. */
  readonly log?: Logger;
}

/**
 * Checks that a child can be started, and finds out what its start takes.
 *
 * @throws {HandlerError} It cannot.
 */
export async function checkChildren(
  options: LaunchOptions,
  { signal, log }: CheckOptions = {},
): Promise<Preparation> {
  const { surroundings, launch, ...found } = await prepareLaunch(options, signal);
  const usesServe = await checkHandler(options.handler, { surroundings, signal, log });
  return { ...found, launch: usesServe ? withHeader(launch) : launch };
}

/** All child processes of a server. */
export class Children {
  /** Children started. */
  spawned = 0;
  /** Children that failed to start. */
  spawnFailures = 0;
  /** Children that needed a signal to end, by the last signal they were sent. */
  readonly killed: Record<string, number>;
  /** Children that have ended, by exit code or signal. */
  readonly exits: Record<string, number> = {};

  readonly #context: ChildrenContext;
  readonly #running = new Set<Worker>();
  #options: ChildrenOptions;
  #launch: Launch;
  #advice: GrantAdvice;
  #failedAtMs = -Infinity;
  #recheckedAtMs = -Infinity;
  /** What keeps children from being started: no process, or no program. */
  #obstacle: "spawn" | "program" | undefined;
  readonly #gate: StartGate;
  readonly #pool: Pool<Worker>;

  /** @param launch How they are started, as {@linkcode checkChildren} has found it. */
  constructor(options: ChildrenOptions, launch: Launch, context: ChildrenContext) {
    const { warm: size, killTimeoutMs, stopSignal } = options;
    this.#options = options;
    this.#launch = launch;
    this.#context = context;
    this.#advice = new GrantAdvice(context.log);
    this.#gate = new StartGate({ pace: context.pace });
    this.killed = { [stopSignal]: 0, SIGKILL: 0 };
    this.#pool = new Pool({
      size,
      killTimeoutMs,
      log: context.log,
      mayStart: () => this.#gate.isIdle,
      spawn: () => this.#gate.startNow(() => this.#spawn(UNSET_VARIABLES), true),
    });
  }

  /** Whether a child could not be started just now: the next client may not get one either. */
  get isFailing(): boolean {
    return performance.now() - this.#failedAtMs < FAILING_MS;
  }

  /** The process ids of all that run. */
  get pids(): number[] {
    return [...this.#running].filter(({ exit }) => exit === null).map(({ pid }) => pid);
  }

  /** How many children are warm. */
  get warm(): number {
    return this.#pool.warm;
  }

  /**
   * Starts the warm children, the first one immediately.
   *
   * @throws {HandlerError} It could not be started.
   */
  start(): void {
    try {
      this.#pool.start();
    } catch (error) {
      throw HandlerError.from(this.#options.handler, error);
    }
  }

  /**
   * Takes a child for a client: the oldest warm one, or else a new one that is told of its
   * client, and may have to wait for its start.
   *
   * @param signal Ends the wait; the promise then rejects with its reason.
   * @return A promise only if there is something to wait for.
   * @throws What the start of a new one throws; the promise rejects with it.
   */
  take(client: ClientFacts, signal: AbortSignal): Taken | Promise<Taken> {
    this.#context.pace.noteClient(this);
    const worker = this.#pool.take();
    if (worker !== undefined) return { worker, warm: true };
    const cold = (worker: Worker) => ({ worker, warm: false });
    const started = this.#gate.start(() => this.#spawn(ucspiVariables(client)), signal);
    return started instanceof Promise ? started.then(cold) : cold(started);
  }

  /**
   * Starts a child for a client whose warm one was dead, immediately: another warm one may be dead
   * too, and the client has waited enough.
   *
   * @throws What the start throws.
   * @throws {Error} A reload has changed what children read first.
   */
  replace(client: ClientFacts, dead: Worker): Worker {
    if (dead.readsHeader !== this.#launch.readsHeader) throw new Error("the module has changed");
    return this.#gate.startNow(() => this.#spawn(ucspiVariables(client)));
  }

  /**
   * From now on children are started in this way. The warm ones are replaced, by children that run
   * the program as it is now.
   */
  update(options: ChildrenOptions, launch: Launch): void {
    this.#options = options;
    this.#launch = launch;
    this.#advice = new GrantAdvice(this.#context.log);
    this.killed[options.stopSignal] ??= 0;
    this.#pool.refresh({ size: options.warm, killTimeoutMs: options.killTimeoutMs });
  }

  /**
   * Stops the warm children and starts no more. Resolves when no child is left, nor anything that
   * one has left behind.
   */
  async close(): Promise<void> {
    await this.#pool.close();
    await Promise.all([...this.#running].map(({ ended }) => ended));
  }

  /** Kills every child immediately, and what they have started. */
  kill(): void {
    for (const worker of this.#running) worker.kill("SIGKILL");
  }

  #spawn(env: Readonly<Record<string, string>>): Worker {
    const { handler, stderr, stopSignal } = this.#options;
    const { log, observer } = this.#context;
    const isRead = handler.isSandboxed && (stderr === "log" || this.#advice.takeWatch());
    const beganAtMs = performance.now();
    let worker: Worker;
    try {
      worker = new Worker(this.#launch, {
        log,
        stderr,
        onStderr: isRead ? (line) => this.#advice.read(line) : undefined,
        stopSignal,
        env,
      });
    } catch (error) {
      this.spawnFailures++;
      this.#failedAtMs = performance.now();
      this.#obstacle = "spawn";
      throw error;
    }
    this.#overcome("spawn", beganAtMs);
    this.spawned++;
    observer.spawned((performance.now() - beganAtMs) / 1000);
    this.#running.add(worker);
    worker.exited.then(({ code, signal }) => {
      const { signalled } = worker;
      if (signalled) this.killed[signalled] = (this.killed[signalled] ?? 0) + 1;
      const how = signal ?? String(code);
      this.exits[how] = (this.exits[how] ?? 0) + 1;
      if (code !== 0) this.#advice.childFailed();
      if (code === CANNOT_RUN || code === NOT_FOUND) this.#recheck();
      else this.#overcome("program", beganAtMs);
    });
    worker.ended.then(() => this.#running.delete(worker));
    return worker;
  }

  /** Says that children can be started again, if this is what kept those that began earlier. */
  #overcome(obstacle: "spawn" | "program", beganAtMs: number): void {
    if (this.#obstacle !== obstacle || beganAtMs < this.#failedAtMs) return;
    this.#obstacle = undefined;
    this.#context.log.info(RECOVERIES.start);
  }

  /** Whether the handler's program is still there, when a child ends as if it were not. */
  async #recheck(): Promise<void> {
    const now = performance.now();
    if (this.#options.handler.isSandboxed) return; // a module has exit codes of its own
    if (now - this.#recheckedAtMs < RECHECK_INTERVAL_MS) return;
    this.#recheckedAtMs = now;
    try {
      await checkChildren(this.#options);
    } catch (error) {
      this.#failedAtMs = performance.now();
      this.#obstacle = "program";
      this.#context.log.warn("children cannot be started", { error: messageOf(error) });
    }
  }
}
