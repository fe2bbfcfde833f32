/**
 * WebSockets in Chromium, before the real server: its page, and a page elsewhere that opens one.
 *
 *     deno task test:browser
 */

import { assertEquals } from "@std/assert";
import { open, testIn } from "./_browser.ts";
import { enter, linesOf, untilLines, untilState } from "./_console.ts";
import { until, within } from "./_waiting.ts";
import { serveWeb, serveWebAt, serveWebScript } from "./_web_socket.ts";

testIn("the game is played on its page, and ends with it", async (browser) => {
  await using spawnd = await serveWebAt("127.0.0.1:0/play", {}, "examples/guess.ts");
  const [page, problems] = await open(browser, `http://127.0.0.1:${spawnd.port}/play`);
  const [question] = ["I have a number from 1 to 100 in mind. Which one?"];
  await untilLines(page, question);
  let [low, high] = [1, 100];
  for (;;) {
    const guess = Math.floor((low + high) / 2);
    const before = (await linesOf(page)).length;
    await enter(page, `${guess}`);
    await until("an answer", async () => (await linesOf(page)).length >= before + 2);
    const answer = (await linesOf(page))[before + 1]!;
    if (answer === "Higher.") low = guess + 1;
    else if (answer === "Lower.") high = guess - 1;
    else {
      assertEquals(answer.startsWith(`Yes: it was ${guess}.`), true, answer);
      break;
    }
  }
  await untilState(page, "closed: the program has ended (1000)");
  const { reason, exit } = await spawnd.record({ message: "end" });
  assertEquals([reason, exit], ["child-closed", 0]);

  await page.close(); // a page that is closed while connected takes its process along
  const [other] = await open(browser, `http://127.0.0.1:${spawnd.port}/play`);
  await untilLines(other, question);
  await other.close();
  await until("the end", () => spawnd.records({ message: "end" }).length === 2);
  assertEquals(spawnd.records({ message: "end" })[1]!.reason, "client-closed");
  assertEquals(problems, []);
});

/** Floods its client until that sends a line. */
const ENDLESS = 'yes & read line; kill $!; echo "got $line"';

testIn(
  "the console of an endless flood of short lines scrolls, and sends a line",
  async (browser) => {
    await using spawnd = await serveWebScript(ENDLESS);
    const [page, problems] = await open(browser, `http://127.0.0.1:${spawnd.port}/`);
    const use = async () => {
      await until("a full log", () => page.evaluate("lines.length === 5000"));
      await page.mouse.move(300, 300);
      await page.mouse.wheel(0, -300);
      await until("the log to stand still", () => page.evaluate("!isFollowing"));
      await enter(page, "enough");
      await untilState(page, "closed: the program has ended (1000)");
    };
    await within("the page", use(), 15_000);
    assertEquals((await linesOf(page)).at(-1), "got enough");
    assertEquals(problems, []);
  },
);

testIn("a page of another host may open a WebSocket if its origin is allowed", async (browser) => {
  await using elsewhere = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () =>
      new Response("<!doctype html><title>elsewhere</title>", {
        headers: { "content-type": "text/html" },
      }),
  );
  const origin = `http://localhost:${elsewhere.addr.port}`;
  const page = await browser.newPage();
  await page.goto(origin);
  const talk = (port: number) =>
    page.evaluate<string>(`new Promise((resolve) => {
      const socket = new WebSocket("ws://127.0.0.1:${port}/", ["spawnd.bytes"]);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => socket.send(Uint8Array.of(104, 105, 10));
      socket.onmessage = ({ data }) => {
        resolve(socket.protocol + " " + new TextDecoder().decode(data));
        socket.close();
      };
      socket.onclose = ({ code }) => resolve("closed " + code);
    })`);
  await using strict = await serveWeb("--", "cat");
  assertEquals(await talk(strict.port), "closed 1006");
  const { error } = await strict.record({ message: "refused" });
  assertEquals(
    error,
    `a page of ${origin} is not one of this host and port, 127.0.0.1:${strict.port}: --origin ${origin} would allow it`,
  );
  await using open = await serveWeb("--origin", origin, "--", "cat");
  assertEquals(await talk(open.port), "spawnd.bytes hi\n");
});
