/**
 * The services that are shown, and what is recorded of each: its history, its
 * metrics and its latest refusals.
 *
 * Services come and go while they are shown, and an observer is made before its service is there. So
 * a recorder is kept by the service's name until a service of that name appears, and belongs to that
 * service from then on; it goes when the service does.
 *
 * @module
 */

import type { Observer, RefusedClient } from "../base/observer.ts";
import type { StatusSource } from "../server/server_status.ts";
import { History } from "./history.ts";
import { Metrics } from "./metrics.ts";
import { Refusals } from "./refusals.ts";

/** What tells the status of several services. */
export interface StatusSources {
  /** The services by name, those that drain after those that have taken their name. */
  readonly all: readonly (readonly [name: string, service: StatusSource])[];
  /** Whether they are shutting down or have shut down. */
  readonly isDraining: boolean;
  /** How many children there may be over all services, warm ones too; 0 is no limit. */
  readonly maxChildren: number;
}

/** Records what happens at one service. */
class Recorder implements Observer {
  readonly history = new History();
  readonly metrics = new Metrics();
  readonly refusals = new Refusals();

  spawned(seconds: number): void {
    this.metrics.spawned(seconds);
  }

  answered(seconds: number): void {
    this.metrics.answered(seconds);
    this.history.answered(seconds);
  }

  ended(seconds: number): void {
    this.metrics.ended(seconds);
  }

  refused(refusal: RefusedClient): void {
    this.refusals.add(refusal);
  }
}

/** A service that is shown. */
export interface ShownService {
  /** Its numbers. */
  readonly source: StatusSource;
  readonly history: History;
  readonly metrics: Metrics;
  readonly refusals: Refusals;
}

/** The services that are shown. */
export class ShownServices {
  #sources: StatusSources = { all: [], isDraining: false, maxChildren: 0 };
  /** Those whose service has not been seen yet, by its name. */
  readonly #waiting = new Map<string, Recorder>();
  readonly #shown = new WeakMap<StatusSource, ShownService>();

  /** The observer for the next service of this name. */
  observerOf(name: string): Observer {
    this.now(); // so that one of this name that has started already has its own
    const recorder = new Recorder();
    this.#waiting.set(name, recorder);
    return recorder;
  }

  /** Shows these from now on. */
  attach(sources: StatusSources): void {
    this.#sources = sources;
  }

  /** Whether all are shutting down. */
  get isDraining(): boolean {
    return this.#sources.isDraining;
  }

  /** How many children there may be over all of them, warm ones too; 0 is no limit. */
  get maxChildren(): number {
    return this.#sources.maxChildren;
  }

  /** Those that there are, by name; one that drains while another has its name is `name (2)`. */
  now(): Map<string, ShownService> {
    const services = new Map<string, ShownService>();
    for (const [name, source] of this.#sources.all) {
      let key = name;
      for (let n = 2; services.has(key); n++) key = `${name} (${n})`;
      services.set(key, this.#shown.get(source) ?? this.#show(name, source));
    }
    return services;
  }

  #show(name: string, source: StatusSource): ShownService {
    const { history, metrics, refusals } = this.#waiting.get(name) ?? new Recorder();
    this.#waiting.delete(name);
    metrics.attach(source);
    const service = { source, history, metrics, refusals };
    this.#shown.set(source, service);
    return service;
  }
}
