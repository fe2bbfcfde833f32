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

/** How long loops may run before the event loop has to turn, in milliseconds. */
const SLICE_MS = 1;
/** How many rounds pass between two looks at the clock. */
const ROUNDS = 8;

let sliceEndsAtMs = 0;
let roundsLeft = ROUNDS;
let turn: Promise<void> | undefined;

/**
 * Whether a loop should await {@linkcode nextTurn} before its next round. At the end of a slice it
 * only asks for a turn, which most often comes by itself while the loops wait for I/O, and is due
 * when it has not come some rounds later.
 */
export function isTurnDue(): boolean {
  if (--roundsLeft > 0) return false;
  roundsLeft = ROUNDS;
  if (performance.now() < sliceEndsAtMs) return false;
  if (turn !== undefined) return true;
  nextTurn();
  return false;
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
