/**
 * A line-based game: the process picks a number, and the client guesses it. A line may arrive in
 * pieces or with others in one piece, and may end in CRLF as with telnet; `lines()` sees to that. It
 * may be nonsense; the game sees to that.
 *
 *     deno run --allow-net --allow-run main.ts examples/guess.ts
 *
 * @module
 */

import { serve } from "@spawnd/spawnd/handler";

const HIGHEST = 100;

await serve(async (client) => {
  const number = crypto.getRandomValues(new Uint32Array(1))[0]! % HIGHEST + 1;
  let [tries, guess] = [0, NaN];
  await client.write(`I have a number from 1 to ${HIGHEST} in mind. Which one?\n`);
  for await (const line of client.lines({ maxLength: 80 })) {
    guess = Number(line);
    if (!Number.isInteger(guess) || guess < 1 || guess > HIGHEST) {
      await client.write(`Please say a whole number from 1 to ${HIGHEST}.\n`);
      continue;
    }
    tries++;
    if (guess === number) break;
    await client.write(guess < number ? "Higher.\n" : "Lower.\n");
  }
  const end = guess === number ? "Yes" : "No more";
  await client.write(`${end}: it was ${number}. Tries: ${tries}. Goodbye.\n`);
});
