/**
 * The child budget: how many children several services may have together, and how much of that is
 * left to each.
 *
 * A service that is flooded must not take it all. So half of the budget is reserved in equal parts:
 * each service can have its part at any time, and more as long as the others could still have
 * theirs. (Only the children of services that are being stopped, or a limit that was lowered, can
 * make one wait for its part.)
 *
 * @module
 */

/** One service's share of the budget. */
export interface Share {
  /** How many children it has. */
  readonly active: number;
  /** How many it may have at most. */
  readonly maxConnections: number;
  /** Is told that it may have more now. */
  resume(): void;
}

/** A limit on the children of several services. */
export class ChildBudget {
  #limit: number;
  /** Those that a part is reserved for. */
  readonly #shares = new Set<Share>();
  /** Those that end, and only keep what they have. */
  readonly #leaving = new Set<Share>();

  /** @param limit How many children there may be; 0 is no limit. */
  constructor(limit = 0) {
    this.#limit = limit;
  }

  /** How many children there may be; 0 is no limit. */
  get limit(): number {
    return this.#limit;
  }

  set limit(limit: number) {
    this.#limit = limit;
    this.#resume();
  }

  /** Adds a service. */
  join(share: Share): void {
    this.#shares.add(share);
  }

  /** Reserves nothing for a service any more; what it has still counts. */
  retire(share: Share): void {
    if (!this.#shares.delete(share)) return;
    this.#leaving.add(share);
    this.released();
  }

  /** Removes a service that has no child any more. */
  leave(share: Share): void {
    this.#shares.delete(share);
    this.#leaving.delete(share);
    this.released();
  }

  /** Whether a service may have one more child. */
  allows(share: Share): boolean {
    if (this.#limit === 0) return true;
    const part = Math.max(1, Math.floor(this.#limit / (2 * this.#shares.size)));
    let [active, reserved] = [0, 0];
    for (const other of [...this.#shares, ...this.#leaving]) {
      active += other.active;
      if (other === share || this.#leaving.has(other)) continue;
      reserved += Math.max(0, Math.min(part, other.maxConnections) - other.active);
    }
    const isWithinPart = share.active < part && this.#shares.has(share);
    return active + (isWithinPart ? 0 : reserved) < this.#limit;
  }

  /** A service has one child less: another one may have been waiting for that. */
  released(): void {
    if (this.#limit > 0) this.#resume();
  }

  /** The service with the fewest children goes first. */
  #resume(): void {
    for (const share of [...this.#shares].sort((a, b) => a.active - b.active)) share.resume();
  }
}
