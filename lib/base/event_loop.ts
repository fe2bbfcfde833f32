/**
 * Yielding to the event loop. A loop over promises that are ready at once runs on in microtasks, and
 * timers, sockets and signals starve meanwhile (seen on Deno 2.9). A client can bring that about by
 * sending or connecting fast enough, so every loop that a client or child can keep busy asks in each
 * round whether a turn is due.
 *
 * All loops share one time slice: it bounds how long they delay the event loop together.
 *
 * @module
 */

/** How long loops may run before the event loop turns, in milliseconds. */
const SLICE_MS = 1;
/** How many rounds pass between two looks at the clock; a loop that waits for I/O pays one in these. */
const ROUNDS = 8;

let sliceEndsAtMs = 0;
let roundsLeft = ROUNDS;
let turn: Promise<void> | undefined;

/** Whether a loop should await {@linkcode nextTurn} before its next round. */
export function isTurnDue(): boolean {
  if (--roundsLeft > 0) return false;
  roundsLeft = ROUNDS;
  return performance.now() >= sliceEndsAtMs;
}

/** Resolves when the event loop has run timers, I/O and signals once. */
export function nextTurn(): Promise<void> {
  return turn ??= new Promise((resolve) => {
    setImmediate(() => {
      turn = undefined;
      sliceEndsAtMs = performance.now() + SLICE_MS;
      resolve();
    });
  });
}
