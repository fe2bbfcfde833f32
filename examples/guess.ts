/**
 * A line-based game: the process picks a number, and the client guesses it.
 *
 *     deno run --allow-net --allow-run main.ts examples/guess.ts
 *
 * It writes before it reads. Its input is untrusted: a line may arrive in pieces or with others in
 * one piece, may end in CRLF as with telnet, may be nonsense, or may never end. It reads without web
 * streams, because they make a process start more slowly.
 *
 * @module
 */

const HIGHEST = 100;
/** No guess is longer; the rest of a longer line is dropped, so that memory stays bounded. */
const LONGEST_LINE = 80;

/** The client's lines, without LF; the last one may lack it. */
async function* lines(): AsyncGenerator<string> {
  const buffer = new Uint8Array(4096);
  const decoder = new TextDecoder(); // keeps a character that arrives in pieces
  let line = "";
  for (let length; (length = await Deno.stdin.read(buffer)) !== null;) {
    const text = decoder.decode(buffer.subarray(0, length), { stream: true });
    const parts = (line + text).split("\n");
    line = parts.pop()!.slice(0, LONGEST_LINE);
    yield* parts;
  }
  line += decoder.decode();
  if (line !== "") yield line;
}

const number = crypto.getRandomValues(new Uint32Array(1))[0]! % HIGHEST + 1;
let tries = 0;
let found = false;

console.log(`I have a number from 1 to ${HIGHEST} in mind. Which one?`);
for await (const line of lines()) {
  const guess = Number(line); // ignores spaces, and the CR of CRLF
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
