/**
 * Waits for a promise or a condition, with a deadline. Nothing here sleeps to synchronise.
 *
 * @module
 */

/** Long enough for a busy machine; a test that passes never waits this long. */
const DEADLINE_MS = 20_000;

/** Settles as `promise` does, or rejects after the deadline with an error that names `what`. */
export async function within<T>(what: string, promise: Promise<T>, ms = DEADLINE_MS): Promise<T> {
  let timer;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}

/** Calls `probe` until it returns something truthy, and resolves to that. */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  ms = DEADLINE_MS,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + ms;
  for (;;) {
    const value = await probe();
    if (value) return value as Exclude<T, false | null | undefined>;
    if (performance.now() > deadline) throw new Error(`Waited ${ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Calls `probe` until its value is truthy and has not changed for `ms`; resolves to it. */
export async function untilSteady<T>(what: string, probe: () => T, ms = 300): Promise<T> {
  let [value, since] = [probe(), performance.now()];
  await until(`${what} to stay the same`, () => {
    const now = probe();
    if (now !== value) [value, since] = [now, performance.now()];
    return value && performance.now() - since > ms;
  });
  return value;
}

/**
 * Does `work` while a number of clients call `ask` again and again. Rejects as the first of all these
 * does, not as those that fail in its wake.
 */
export async function underLoad(
  clients: number,
  ask: () => Promise<void>,
  work: () => Promise<void>,
): Promise<void> {
  let isOver = false;
  const client = async () => {
    while (!isOver) await ask();
  };
  const all = [...Array.from({ length: clients }, client), work()];
  await Promise.all(all.map((one) => one.finally(() => isOver = true)));
}
