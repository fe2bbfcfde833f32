/**
 * The services of one process: their start, their change while they run, and their end.
 *
 * A change is prepared first, and whatever it takes is read, checked and opened; only then is
 * anything touched, all of it in one turn of the event loop. So a change that cannot be made leaves
 * every service as it was, and no client ever meets half of one.
 *
 * @module
 */

import { ChildBudget } from "../admission/child_budget.ts";
import { log, type Logger, logOf } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { NO_OBSERVER, type Observer } from "../base/observer.ts";
import { SpawnPace } from "../child/spawn_pace.ts";
import type { Exit } from "../child/worker.ts";
import { overlap, parseListenAddress } from "../net/listen_address.ts";
import type { Acceptor } from "./acceptor.ts";
import { type Acceptors, openAcceptors } from "./acceptors.ts";
import { prepare, type Prepared, withDescriptors } from "./preparation.ts";
import { Service, type ServiceContext } from "./service.ts";
import { forAll, ServicesError } from "./services_error.ts";
import { childrenProblem, descriptorsWarning, type Settings, warmOf } from "./settings.ts";

/** What there is to be served. */
export interface Wanted {
  /** The settings of each service, by its name; a single one may have none, the empty text. */
  readonly services: ReadonlyMap<string, Settings>;
  /** How many children there may be over all services, warm ones too; 0 is no limit. */
  readonly maxChildren: number;
}

/** Options for {@linkcode Services.start}. */
export interface ServicesOptions {
  /** Whether to serve one client only, and then shut down. */
  readonly once?: boolean;
  /** The observer of the service with this name. */
  readonly observerOf?: (name: string) => Observer;
  /** What else of this process listens, by what it is. */
  readonly listeners?: ReadonlyMap<string, Deno.Addr>;
  /** Ends the start, which rejects then. */
  readonly signal?: AbortSignal;
}

/** How long the preparation of a reload may take before a later one ends it, in milliseconds. */
const PATIENCE_MS = 30_000;

/** The services of one process. */
export class Services {
  /** Resolves when all have shut down; to `false` if connections had to be cut. Never rejects. */
  readonly finished: Promise<boolean>;
  readonly #options: ServicesOptions;
  readonly #budget = new ChildBudget();
  readonly #pace = new SpawnPace();
  readonly #finish = Promise.withResolvers<boolean>();
  /** By name. */
  #running = new Map<string, Service>();
  /** Those that are gone from the configuration and have connections still. */
  readonly #leaving = new Map<Service, string>();
  /** How many there are, or are about to be. */
  #count = 0;
  #wanted: Wanted = { services: new Map(), maxChildren: 0 };
  #isClosing = false;
  #isClean = true;
  /** The reload that is asked for next. */
  #asked: (() => Promise<Wanted> | Wanted) | undefined;
  #reloading: Promise<void> | undefined;
  #reloadBeganAtMs = Infinity;
  #preparing = new AbortController();
  /** Whether the last reload was refused. */
  #hasFailed = false;

  private constructor(options: ServicesOptions) {
    this.#options = options;
    this.finished = this.#finish.promise;
  }

  /**
   * Checks that every handler can be started, listens, starts the first warm children, and accepts
   * from then on.
   *
   * @throws {ServicesError} One or more of them cannot be started; then none is.
   */
  static async start(wanted: Wanted, options: ServicesOptions = {}): Promise<Services> {
    const services = new Services(options);
    await services.#change(wanted, options.signal);
    const stop = () => services.shutdown();
    options.signal?.addEventListener("abort", stop);
    services.finished.then(() => options.signal?.removeEventListener("abort", stop));
    return services;
  }

  /** Those that run, and those that drain after they have been taken from the configuration. */
  get all(): [name: string, service: Service][] {
    const leaving = [...this.#leaving].map(([service, name]): [string, Service] => [name, service]);
    return [...this.#running, ...leaving];
  }

  /** How the child of the last connection to end did, of a single service. */
  get lastExit(): Exit | undefined {
    return this.all[0]?.[1].lastExit;
  }

  /** What they do now, in a few words. */
  get summary(): string {
    const active = this.all.reduce((sum, [, service]) => sum + service.active, 0);
    const connections = countOf(active, "connection");
    if (this.#isClosing) return `draining ${connections}`;
    const { length } = this.all;
    const what = length === 1 ? connections : `${countOf(length, "service")}, ${connections}`;
    return this.#hasFailed ? `${what}; the last reload failed` : what;
  }

  /** Logs the numbers of each service on one line. */
  logStatus(): void {
    for (const [, service] of this.all) service.logStatus();
  }

  /** Whether they are shutting down or have shut down. */
  get isDraining(): boolean {
    return this.#isClosing;
  }

  /** How many children there may be over all services, warm ones too; 0 is no limit. */
  get maxChildren(): number {
    return this.#wanted.maxChildren;
  }

  /**
   * Serves what is wanted now: services that are gone drain, new ones start, the others change for
   * their next clients, all warm children are replaced, and the TLS files are read again. If anything
   * is wrong with that, it is logged, and nothing changes. Does nothing during shutdown.
   *
   * Reloads follow one another. Of those that are asked for meanwhile only the last is made, and it
   * ends the preparation of one that has taken {@linkcode PATIENCE_MS}.
   *
   * @param read Says what is wanted; what it throws is what is wrong.
   */
  reload(read: () => Promise<Wanted> | Wanted = () => this.#wanted): Promise<void> {
    this.#asked = read;
    if (performance.now() - this.#reloadBeganAtMs > PATIENCE_MS) this.#preparing.abort();
    return this.#reloading ??= this.#reloadAll().finally(() => this.#reloading = undefined);
  }

  async #reloadAll(): Promise<void> {
    while (this.#asked !== undefined && !this.#isClosing) {
      const read = this.#asked;
      this.#asked = undefined;
      this.#reloadBeganAtMs = performance.now();
      this.#preparing = new AbortController();
      await this.#reloadOnce(read, this.#preparing.signal);
    }
  }

  async #reloadOnce(read: () => Promise<Wanted> | Wanted, signal: AbortSignal): Promise<void> {
    try {
      const old = this.#wanted.services;
      const { abortable } = await import("npm:deno-std@^1.4.0/async/abortable.js");
      await this.#change(await abortable(Promise.resolve(read()), signal), signal);
      this.#hasFailed = false;
      const { differences } = await import("./differences.ts");
      log.info("reloaded", differences(old, this.#wanted.services));
    } catch (error) {
      if (signal.aborted) return;
      this.#hasFailed = true;
      const errors = error instanceof AggregateError ? error.errors : [error];
      for (const error of errors) {
        log.error("cannot reload: nothing has changed", { error: messageOf(error) });
      }
    }
  }

  /** Shuts all of them down, as {@linkcode Service.shutdown} does. */
  shutdown(): Promise<boolean> {
    if (!this.#isClosing) {
      this.#isClosing = true;
      this.#preparing.abort();
      Promise.all(this.all.map(([, service]) => service.shutdown())).then((areClean) => {
        this.#finish.resolve(this.#isClean && areClean.every(Boolean));
      });
    }
    return this.finished;
  }

  /** Shuts down immediately: kills every child, cuts every connection. Resolves as `shutdown()`. */
  kill(): Promise<boolean> {
    this.shutdown();
    for (const [, service] of this.all) service.kill();
    return this.finished;
  }

  /**
   * Makes a change, or nothing of it.
   *
   * @throws {ServicesError} Something is wrong with it.
   */
  async #change(wanted: Wanted, signal?: AbortSignal): Promise<void> {
    const { services, maxChildren } = wanted;
    const problem = childrenProblem([...services.values()], maxChildren);
    if (problem !== undefined) throw new ServicesError([new RangeError(problem)]);
    this.#count = services.size;
    const { once } = this.#options;
    const resolved = await forAll(
      services,
      (settings) => withDescriptors(once ? forOneClient(settings) : settings),
    );
    const prepared = await forAll(
      resolved,
      (settings, name) =>
        prepare(settings, {
          old: this.#running.get(name)?.prepared,
          log: this.#logOf(name),
          signal,
        }),
    );
    signal?.throwIfAborted();
    const open = new Map([...this.#running].map(([name, { acceptors }]) => [name, acceptors]));
    await this.#untilClosed(resolved);
    const acceptors = await openAcceptors(resolved, open, this.#options.listeners);
    const added = new Map<string, Service>();
    try {
      signal?.throwIfAborted();
      await forAll(prepared, (prepared, name) => {
        if (this.#running.has(name)) return;
        const service = new Service(prepared, this.#contextOf(name));
        added.set(name, service);
        service.warmUp();
      });
    } catch (error) {
      for (const service of added.values()) service.abandon();
      const old = new Set([...open.values()].flat());
      for (const acceptor of [...acceptors.values()].flat()) {
        if (!old.has(acceptor)) acceptor.listener.closeNow();
      }
      throw error;
    }
    this.#wanted = wanted;
    const [limit] = [...prepared.values()].flatMap(({ descriptors }) => descriptors ?? []);
    if (limit !== undefined) {
      const warning = descriptorsWarning([...resolved.values()], maxChildren, limit);
      if (warning !== undefined) log.warn(warning);
    }
    this.#apply(prepared, acceptors, added);
  }

  /** Waits for acceptors that an earlier change is closing, where their addresses are wanted again. */
  async #untilClosed(wanted: ReadonlyMap<string, Settings>): Promise<void> {
    const addresses = [...wanted.values()].flatMap(({ listen }) => listen).map(parseListenAddress);
    const isWanted = ({ address }: Acceptor) => {
      const closing = parseListenAddress(address)!;
      return addresses.some((wanted) => overlap(closing, wanted!));
    };
    const closing = this.all.flatMap(([, service]) => service.closing).filter(isWanted);
    await Promise.all(closing.map(({ finished }) => finished));
  }

  /** Makes a change that has been prepared, in one turn of the event loop. */
  #apply(
    prepared: ReadonlyMap<string, Prepared>,
    acceptors: Acceptors,
    added: ReadonlyMap<string, Service>,
  ): void {
    const { services, maxChildren } = this.#wanted;
    const kept = new Set([...acceptors.values()].flat());
    const old = this.#running;
    this.#running = new Map();
    for (const name of services.keys()) this.#running.set(name, old.get(name) ?? added.get(name)!);
    this.#budget.limit = maxChildren && maxChildren - warmOf([...services.values()]);
    for (const [name, service] of added) {
      service.start(acceptors.get(name)!);
      if (this.#options.once) service.finished.then(() => this.shutdown());
    }
    for (const [name, service] of old) {
      const gone = service.acceptors.filter((acceptor) => !kept.has(acceptor));
      if (services.has(name)) service.update(prepared.get(name)!, acceptors.get(name)!, gone);
      else this.#letGo(name, service, gone);
    }
  }

  /** Drains a service that is not wanted any more. */
  async #letGo(name: string, service: Service, gone: readonly Acceptor[]): Promise<void> {
    this.#leaving.set(service, name);
    service.update(service.prepared, [], gone);
    const isClean = await service.shutdown();
    this.#isClean &&= isClean;
    this.#leaving.delete(service);
  }

  /** The log of a service, which names it where there are several. */
  #logOf(name: string): Logger {
    if (name === "") return log;
    return logOf(() => Math.max(this.all.length, this.#count) > 1 ? name : undefined);
  }

  #contextOf(name: string): ServiceContext {
    const { once = false, observerOf = () => NO_OBSERVER } = this.#options;
    return {
      log: this.#logOf(name),
      observer: observerOf(name),
      budget: this.#budget,
      pace: this.#pace,
      once,
    };
  }
}

/** Settings with which one client is served, and others are refused meanwhile. */
function forOneClient(settings: Settings): Settings {
  return { ...settings, maxConnections: 1, queue: 0, warm: Math.min(settings.warm, 1) };
}

/** A number of things, such as `1 connection` or `2 connections`. */
function countOf(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}
