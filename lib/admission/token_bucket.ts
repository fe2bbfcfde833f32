/**
 * The token bucket: how often something may happen. It refills steadily, so that after a pause a
 * burst is possible, and from then on the average counts.
 *
 * @module
 */

/** A rate limit. */
export interface Rate {
  /** The size of the bucket, and how many tokens it gains in a period; 0 is no limit. */
  readonly count: number;
  /** The period, in milliseconds. */
  readonly periodMs: number;
}

/** A bucket, full at first. The rate is passed in each time, so that it can change. */
export class TokenBucket {
  #tokens = Infinity;
  #refilledAtMs = 0;

  /** How long it takes until there is a token, in milliseconds; 0 if there is one now. */
  waitMs(rate: Rate, nowMs: number): number {
    if (rate.count === 0) return 0;
    this.#refill(rate, nowMs);
    return this.#tokens >= 1 ? 0 : Math.ceil((1 - this.#tokens) * rate.periodMs / rate.count);
  }

  /** Takes a token, if there is one. */
  take(rate: Rate, nowMs: number): boolean {
    if (this.waitMs(rate, nowMs) > 0) return false;
    if (rate.count > 0) this.#tokens--;
    return true;
  }

  /** Whether it is as if it had never been used. */
  isFull(rate: Rate, nowMs: number): boolean {
    return this.#refilledAtMs + rate.periodMs <= nowMs;
  }

  #refill({ count, periodMs }: Rate, nowMs: number): void {
    const gained = (nowMs - this.#refilledAtMs) / periodMs * count;
    this.#tokens = Math.min(this.#tokens + gained, count);
    this.#refilledAtMs = nowMs;
  }
}
