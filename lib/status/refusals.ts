/**
 * The latest refusals of a service: who was refused, when and why. Only a few are kept, whatever
 * clients do; all of them are in the log and, as counts, in the status.
 *
 * @module
 */

/** A client that was refused. */
export interface RefusalStatus {
  /** When, as in RFC 3339. */
  readonly time: string;
  /** Why, as in the log; `failed` if no child could be started. */
  readonly reason: string;
  /** The client's address, `ip:port`, or `unix`. */
  readonly client: string;
}

/** How many are kept. */
export const MAX_REFUSALS = 20;

/** The latest refusals. */
export class Refusals {
  readonly #latest: { atMs: number; reason: string; client: string }[] = [];

  /** A client has just been refused. */
  add(reason: string, client: string): void {
    this.#latest.unshift({ atMs: Date.now(), reason, client });
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
