/**
 * The latest refusals of a service: who was refused, when and why. Only a few are kept, whatever
 * clients do; all of them are in the log and, as counts, in the status.
 *
 * @module
 */

import type { RefusedClient } from "../base/observer.ts";

/** A client that was refused, and when. */
export interface RefusalStatus extends RefusedClient {
  /** As in RFC 3339. */
  readonly time: string;
}

/** How many are kept. */
export const MAX_REFUSALS = 20;

/** The latest refusals. */
export class Refusals {
  readonly #latest: (RefusedClient & { readonly atMs: number })[] = [];

  /** A client has just been refused. */
  add(refusal: RefusedClient): void {
    this.#latest.unshift({ atMs: Date.now(), ...refusal });
    if (this.#latest.length > MAX_REFUSALS) this.#latest.pop();
  }

  /** Those that are kept, the latest first. */
  get latest(): RefusalStatus[] {
    return this.#latest.map(({ atMs, ...facts }) => ({
      time: new Date(atMs).toISOString(),
      ...facts,
    }));
  }
}
