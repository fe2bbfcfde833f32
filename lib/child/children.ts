/**
 * The children of one server: every process it has started and not yet reaped, warm ones and those
 * with a client.
 *
 * Every child is tracked, whichever component started it: the counts are exact, and
 * {@linkcode Children.kill} reaches them all.
 *
 * @module
 */

import type { Observer } from "../base/observer.ts";
import type { ProxyHeader } from "../net/proxy_protocol.ts";
import { ucspiVariables, UNSET_VARIABLES } from "./environment.ts";
import { checkHandler, type Handler, HandlerError } from "./handler.ts";
import { Pool } from "./pool.ts";
import type { StopSignal } from "./stop_ladder.ts";
import { type StderrMode, Worker } from "./worker.ts";

/** Options for {@linkcode Children}. */
export interface ChildrenOptions {
  readonly handler: Handler;
  /** How many children to keep warm. */
  readonly warm: number;
  /** How long each step of the stop ladder waits for a warm child, in milliseconds. */
  readonly killTimeoutMs: number;
  /** Where their stderr goes. */
  readonly stderr: StderrMode;
  /** The user id they run as; by default the server's. */
  readonly uid?: number;
  /** The group id they run as, as their only group. */
  readonly gid?: number;
  readonly observer: Observer;
}

/** How long a failed start counts as a sign that the next one fails too, in milliseconds. */
const FAILING_MS = 1_000;

/** All child processes of a server. */
export class Children {
  /** Children started. */
  spawned = 0;
  /** Children that could not be started. */
  unspawned = 0;
  /** Children that needed a signal to end, by the last signal they were sent. */
  readonly killed: Record<StopSignal, number> = { SIGTERM: 0, SIGKILL: 0 };

  readonly #options: ChildrenOptions;
  readonly #identity: { uid?: number; gid?: number };
  readonly #running = new Set<Worker>();
  #failedAtMs = -Infinity;
  readonly #pool: Pool<Worker>;

  constructor(options: ChildrenOptions) {
    const { uid, gid, warm: size, killTimeoutMs } = options;
    this.#options = options;
    this.#identity = { ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) };
    this.#pool = new Pool({ size, killTimeoutMs, spawn: () => this.#spawn(UNSET_VARIABLES) });
  }

  /** Whether a child could not be started just now: the next client may not get one either. */
  get isFailing(): boolean {
    return performance.now() - this.#failedAtMs < FAILING_MS;
  }

  /** How many children are warm. */
  get warm(): number {
    return this.#pool.warm;
  }

  /**
   * Checks that a child can be started, and prepares what its start needs.
   *
   * @param signal Ends the check.
   * @throws {HandlerError} It cannot.
   */
  check(signal?: AbortSignal): Promise<void> {
    return checkHandler(this.#options.handler, this.#identity, signal);
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
   * Takes a child for a client: the oldest warm one, or else a new one that is told its client's
   * addresses.
   *
   * @throws What the start of a new one throws.
   */
  take(addresses: ProxyHeader): { worker: Worker; warm: boolean } {
    return this.#pool.take(() => this.#spawn(ucspiVariables(addresses)));
  }

  /**
   * Starts a child for a client whose warm one was dead: another warm one may be dead too.
   *
   * @throws What the start throws.
   */
  replace(addresses: ProxyHeader): Worker {
    return this.#spawn(ucspiVariables(addresses));
  }

  /** Replaces the warm children by new ones, which run the program as it is now. */
  refresh(): void {
    this.#pool.refresh();
  }

  /** Stops the warm children and starts no more. Resolves when they have been reaped. */
  close(): Promise<void> {
    return this.#pool.close();
  }

  /** Kills every child immediately. */
  kill(): void {
    for (const worker of this.#running) worker.kill("SIGKILL");
  }

  #spawn(env: Readonly<Record<string, string>>): Worker {
    const { handler, stderr, observer } = this.#options;
    const beganAtMs = performance.now();
    let worker: Worker;
    try {
      worker = new Worker(handler, { stderr, env, ...this.#identity });
    } catch (error) {
      this.unspawned++;
      this.#failedAtMs = performance.now();
      throw error;
    }
    this.spawned++;
    observer.spawned((performance.now() - beganAtMs) / 1000);
    this.#running.add(worker);
    worker.exited.then(() => {
      this.#running.delete(worker);
      if (worker.signalled) this.killed[worker.signalled]++;
    });
    return worker;
  }
}
