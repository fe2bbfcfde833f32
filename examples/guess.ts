/**
 * A game of lines: the process has a number in mind, and the client guesses it.
 *
 *     deno run --allow-net --allow-run main.ts examples/guess.ts
 *
 * It speaks first, before it reads. What it reads is anybody's: a line may come in pieces, or many
 * in one piece, may end as in telnet (CRLF), may be nonsense, or may never end.
 *
 * @module
 */

const HIGHEST = 100;
/** No guess is longer. What a line has beyond is dropped, so that memory stays bounded. */
const LONGEST_LINE = 80;

/** The client's lines, without LF; the last one need not have any. */
async function* lines(): AsyncGenerator<string> {
  let line = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const parts = (line + text).split("\n");
    line = parts.pop()!.slice(0, LONGEST_LINE);
    yield* parts;
  }
  if (line !== "") yield line;
}

const number = crypto.getRandomValues(new Uint32Array(1))[0]! % HIGHEST + 1;
let tries = 0;
let found = false;

console.log(`I have a number from 1 to ${HIGHEST} in mind. Which one?`);
for await (const line of lines()) {
  const guess = Number(line); // which overlooks spaces, and the CR of CRLF
  if (!Number.isInteger(guess) || guess < 1 || guess > HIGHEST) {
    console.log(`Please say a whole number from 1 to ${HIGHEST}.`);
    continue;
  }
  tries++;
  found = guess === number;
  if (found) break;
  console.log(guess < number ? "Higher." : "Lower.");
}
console.log(`${found ? "Yes" : "No more"}: it was ${number}. Tries: ${tries}. Goodbye.`);
