/**
 * The child budget: how many children several services may have together, and how much of that is
 * left to each.
 *
 * A service that is flooded must not take it all. So half of the budget is reserved in equal parts:
 * each service can have its part at any time, and more as long as the others could still have
 * theirs.
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
  readonly #shares = new Set<Share>();

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

  /** Removes a service that has no child any more. */
  leave(share: Share): void {
    this.#shares.delete(share);
    this.released();
  }

  /** Whether a service may have one more child. */
  allows(share: Share): boolean {
    if (this.#limit === 0) return true;
    const part = Math.max(1, Math.floor(this.#limit / (2 * this.#shares.size)));
    let free = this.#limit;
    for (const other of this.#shares) {
      const reserved = other === share ? 0 : Math.min(part, other.maxConnections);
      free -= Math.max(other.active, reserved);
    }
    return free > 0;
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
