/**
 * The examples for browsers, as their README starts them.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { isAlive } from "./_processes.ts";
import { testWith } from "./_test_with.ts";
import { until, within } from "./_waiting.ts";
import { PageSocket, startWeb, webAddress } from "./_web_examples.ts";

Deno.test("the game is played in a browser, in messages", async () => {
  await using spawnd = await startWeb("--websocket :8080 examples/guess.ts", ":8080");
  const page = await within("the page", fetch(`http://${webAddress(spawnd)}`));
  assertMatch(await within("its text", page.text()), /./);
  assertEquals([page.status, page.headers.get("content-type")], [200, "text/html; charset=utf-8"]);

  await using player = await PageSocket.open(spawnd);
  assertEquals(await player.next(), "I have a number from 1 to 100 in mind. Which one?");
  let [low, high, answer] = [1, 100, ""];
  while (!answer.startsWith("Yes")) {
    assert(low <= high, "no number is left");
    const guess = (low + high) >> 1;
    answer = await player.ask(`${guess}`) ?? "";
    if (answer === "Higher.") low = guess + 1;
    else if (answer === "Lower.") high = guess - 1;
    else assertMatch(answer, /^Yes: it was \d+\. Tries: \d+\. Goodbye\.$/);
  }
  assertEquals([await player.next(), await player.closed()], [undefined, 1000]);
  await spawnd.record({ message: "end", exit: 0, reason: "child-closed" });
});

testWith("bc", "bc", "bc answers every message at once, errors too", async () => {
  await using spawnd = await startWeb("-- bc", ":8080");
  await using page = await PageSocket.open(spawnd);
  assertEquals(await page.ask("6 * 7"), "42");
  assertEquals(await page.ask("x = 2 ^ 70; x"), "1180591620717411303424");
  assertMatch(await page.ask("1 / 0") ?? "", /divide by zero/i);
  assertEquals(await page.ask("x % 1000"), "424");
  assertEquals(await page.close(), 1000);
  await spawnd.record({ message: "end", exit: 0, reason: "client-closed" });
});

testWith(
  "vmstat",
  "procps",
  "vmstat sends its figures as they come, until its client leaves",
  async () => {
    await using spawnd = await startWeb("vmstat 1", "127.0.0.1:8080", {
      "--kill-timeout 1": "--kill-timeout 0.1",
    });
    const page = await PageSocket.open(spawnd);
    const lines = [];
    for (let i = 0; i < 4; i++) lines.push(await page.next());
    assertMatch(lines[0]!, /^procs -+memory-+/);
    for (const line of lines.slice(2)) assertMatch(line!, /^( *\d+)+ *$/); // a second apart
    const pid = Number((await spawnd.record({ message: "open" })).pid);
    assertEquals(await page.close(), 1000);
    await spawnd.record({ message: "end", reason: "client-closed" });
    assert(!isAlive(pid));
  },
);

Deno.test("in the chat room, all read what one writes, with a name and without control characters", async () => {
  const room = await Deno.makeTempFile();
  await using spawnd = await startWeb("examples/chat.sh", ":8080", { "/tmp/chat.txt": room });
  await using ann = await PageSocket.open(spawnd);
  assertEquals(await ann.next(), "What is your name?");
  assertEquals(await ann.ask("Ann"), "Ann is here");
  await using bob = await PageSocket.open(spawnd);
  assertEquals(await bob.next(), "What is your name?");
  assertEquals(await bob.ask("Bob: \x1b[1m*"), "Ann is here"); // what has been said before
  const said: [PageSocket, string, string][] = [
    [ann, "hello \\n %s $(id)", "Ann: hello \\n %s $(id)"],
    [bob, "\x1b[31mred\tä", "Bob1m: [31mredä"],
    [bob, "one\nAnn: two", "Bob1m: one"],
    [ann, "x".repeat(1000), `Ann: ${"x".repeat(395)}`],
  ];
  for (const page of [ann, bob]) assertEquals(await page.next(), "Bob1m is here");
  for (const [who, message, line] of said) {
    who.send(message);
    for (const page of [ann, bob]) assertEquals(await page.next(), line);
    if (!message.includes("\n")) continue;
    for (const page of [ann, bob]) assertEquals(await page.next(), "Bob1m: Ann: two");
  }
  await bob.close();
  assertEquals(await ann.next(), "Bob1m has left");
  await spawnd.record({ message: "end", id: 2, exit: 0 });
  await ann.close();
  await until("all to have left", async () => (await spawnd.status()).active === 0);
  await Deno.remove(room);
});
