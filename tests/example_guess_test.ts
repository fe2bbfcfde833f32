/**
 * The number game, examples/guess.ts.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { receiveLine, sendApart, start } from "./_examples.ts";
import { ask, receiveAll, send, text } from "./_sockets.ts";
import type { Spawnd } from "./_spawnd.ts";
import { until } from "./_waiting.ts";

const GREETING = "I have a number from 1 to 100 in mind. Which one?";
const PLEASE = "Please say a whole number from 1 to 100.";
const NO_MORE = /^No more: it was (\d+)\. Tries: (\d+)\. Goodbye\.$/;

/** Plays guess.ts with `input`; returns its answers between greeting and goodbye. */
async function askGame(spawnd: Spawnd, input: string | Uint8Array) {
  const lines = text(await ask(spawnd.port, input)).split("\n");
  assertEquals([lines.shift(), lines.pop()], [GREETING, ""]);
  const [, number, tries] = NO_MORE.exec(lines.pop()!)!.map(Number);
  return { answers: lines, number: number!, tries: tries! };
}

for (const [name, end] of [["LF", "\n"], ["CRLF", "\r\n"]] as const) {
  Deno.test(`guess.ts is won by halving, with ${name} line ends`, async () => {
    await using spawnd = await start("examples/guess.ts");
    using conn = await spawnd.connect();
    assertEquals(await receiveLine(conn), GREETING); // before it is sent anything
    let [low, high, tries, answer] = [1, 100, 0, ""];
    while (!answer.startsWith("Yes")) {
      assert(low <= high, "no number is left");
      const guess = (low + high) >> 1;
      await send(conn, `${guess}${end}`);
      answer = await receiveLine(conn);
      tries++;
      if (answer === "Higher.") low = guess + 1;
      else if (answer === "Lower.") high = guess - 1;
      else assertEquals(answer, `Yes: it was ${guess}. Tries: ${tries}. Goodbye.`);
    }
    assertEquals(text(await receiveAll(conn)), ""); // though the client has not ended its input
    conn.close();
    const { exit, reason } = await spawnd.record({ message: "end" });
    assertEquals([exit, reason], [0, "child-closed"]);
  });
}

Deno.test("guess.ts picks a new number for every game, and reveals it at end of input", async () => {
  await using spawnd = await start("examples/guess.ts");
  const games = await Promise.all(Array.from({ length: 8 }, () => askGame(spawnd, "")));
  for (const { answers, number, tries } of games) {
    assertEquals([answers, tries], [[], 0]);
    assert(number >= 1 && number <= 100, `${number}`);
  }
  assert(new Set(games.map(({ number }) => number)).size > 1, "always the same number");
});

Deno.test("guess.ts asks again after an invalid guess, and does not count it", async () => {
  await using spawnd = await start("examples/guess.ts");
  const bad = ["", "abc", "0", "101", "-7", "3.5", "1 2", "Infinity", "NaN", "\0", "\u{1f600}"];
  const game = await askGame(spawnd, bad.map((line) => `${line}\n`).join(""));
  assertEquals([game.answers, game.tries], [bad.map(() => PLEASE), 0]);
  const binary = await askGame(spawnd, Uint8Array.of(0xff, 0xfe, 0xc0, 10));
  assertEquals([binary.answers, binary.tries], [[PLEASE], 0]);
  const cut = await askGame(spawnd, Uint8Array.of(0xc3)); // half a character
  assertEquals([cut.answers, cut.tries], [[PLEASE], 0]);
});

Deno.test("guess.ts takes lines in pieces, several in one, and a last one without LF", async () => {
  await using spawnd = await start("examples/guess.ts");
  using conn = await spawnd.connect();
  assertEquals(await receiveLine(conn), GREETING);
  // Every line is out of range, but none of the pieces alone would be.
  await sendApart(conn, spawnd, ["1", "0", "1\r", "\n", "102\n10", "3\n10", "4"]);
  await conn.closeWrite();
  for (let line = 1; line <= 4; line++) assertEquals(await receiveLine(conn), PLEASE);
  assertMatch(await receiveLine(conn), NO_MORE);
});

Deno.test("guess.ts gives up on an endless line, and keeps little of it", async () => {
  await using spawnd = await start("examples/guess.ts");
  spawnd.mayChildrenFail = true;
  using conn = await spawnd.connect();
  assertEquals(await receiveLine(conn), GREETING);
  await send(conn, "1".repeat(100_000)).catch(() => {}); // it may have given up by now
  assertEquals(text(await receiveAll(conn)), "");
  assertEquals((await spawnd.record({ message: "end" })).exit, 0);
  await until("its message", () => spawnd.lines.length > 0);
  assertMatch(
    spawnd.lines.join("\n"),
    /Uncaught LineTooLongError: A line is longer than 80 bytes$/,
  );
});
