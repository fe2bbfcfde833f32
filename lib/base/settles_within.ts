/**
 * Waits for a promise with a time limit.
 *
 * @module
 */

/**
 * Resolves to whether `promise` settles, either way, within `ms` milliseconds. The timer is cleared
 * when the wait ends, so that a thousand short connections do not leave a thousand timers behind.
 */
export async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<false>((resolve) => timer = setTimeout(resolve, ms, false));
  const settled = promise.then(() => true, () => true);
  try {
    return await Promise.race([settled, expired]);
  } finally {
    clearTimeout(timer);
  }
}
