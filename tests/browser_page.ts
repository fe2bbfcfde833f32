/**
 * What the console of a WebSocket address does, in a real browser: `deno task test:browser`.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { open, testIn } from "./_browser.ts";
import {
  closer,
  enter,
  greeter,
  type Handler,
  hasFocus,
  input,
  linesOf,
  log,
  start,
  startRelay,
  testConsole,
  untilAtEnd,
  untilLines,
  untilState,
} from "./_console.ts";
import { until } from "./_waiting.ts";

testConsole(
  "the console connects to its own address, and shows a greeting, what is sent, and the answer",
  greeter,
  async (page, url) => {
    const sockets: string[] = [];
    page.on("websocket", (socket) => sockets.push(socket.url()));
    await page.goto(`${url}#there`);
    await page.reload();
    await untilState(page, "connected");
    assertEquals([...new Set(sockets)], [url.replace("http", "ws")]);
    const name = `${new URL(url).host}/a/shell`;
    assertEquals(await page.title(), name);
    await page.getByRole("heading", { name, exact: true }).waitFor();
    await untilLines(page, "hello");
    await enter(page, "to be");
    await untilLines(page, "hello", "you: to be", "got to be");
    await page.keyboard.type("or not");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await untilLines(page, "hello", "you: to be", "got to be", "you: or not", "got or not");
    assertMatch(await log(page).ariaSnapshot(), /hello.*you: to be.*got to be/s);
    assertEquals(await input(page).inputValue(), "");
    assert(await hasFocus(page, "input"));
  },
);

const received: unknown[] = [];
/** Answers the first message with lines and a prompt, and another one with a line. */
const shell: Handler = (socket) => {
  socket.onmessage = ({ data }) => {
    for (const text of received.length === 0 ? ["one\ntw", "o\n\n$ "] : ["one\n"]) {
      socket.send(text);
    }
    received.push(data);
  };
};

testConsole("the console sends lines, and shows text as it comes", shell, async (page) => {
  await enter(page, "ä");
  await untilLines(page, "you: ä", "one", "two", "", "$ ");
  await enter(page, "ä");
  await untilLines(page, "you: ä", "one", "two", "", "$ you: ä", "one");
  assertEquals(received, ["ä\n", "ä\n"]);
});

const CLOSES = {
  1000: "the program has ended",
  1001: "the server is going away",
  1003: "unknown reason",
  1008: "a limit of the server",
  1009: "a message was too big",
  1011: "the program has failed",
  1013: "busy, try again later",
};

testConsole(
  "the console says in words why a connection was closed, and connects again when it is told to",
  closer,
  async (page) => {
    const again = page.getByRole("button", { name: "Connect again" });
    const expected: string[] = [];
    for (const [code, words] of Object.entries(CLOSES)) {
      for (const reason of ["", "<i>why"]) {
        assertEquals(await again.isVisible(), false);
        await enter(page, `${code} ${reason}`);
        await untilState(page, `closed: ${words} (${code})${reason && `: ${reason}`}`);
        const kind = await page.getByRole("status").getAttribute("class");
        assertEquals(kind, code === "1000" ? "faint" : "bad");
        assert(!await input(page).isEditable());
        assert(await hasFocus(page, "input"));
        assertEquals(await input(page).getAttribute("placeholder"), "Not connected");
        expected.push(`you: ${code} ${reason}`, "---");
        await again.click();
        await untilState(page, "connected");
        assert(await input(page).isEditable());
        assertEquals(await input(page).getAttribute("placeholder"), "Line to send");
      }
    }
    await untilLines(page, ...expected);
  },
);

testIn("the console tells a lost connection from one that could not be made", async (browser) => {
  await using server = await start(greeter);
  const relay = startRelay(server.port);
  const [page] = await open(browser, `http://127.0.0.1:${relay.port}/`);
  await untilLines(page, "hello");
  relay.cut();
  await untilState(page, "closed: the connection was lost (1006)");
  assertEquals(await hasFocus(page, "again"), false);
  await page.getByRole("button", { name: "Connect again" }).click();
  await untilState(page, "closed: no connection could be made (1006)");
  assert(await hasFocus(page, "again"));
  await page.context().close();
});

testConsole("the console needs no mouse", closer, async (page) => {
  const closed = "closed: the program has ended (1000): bye";
  await enter(page, "1000 bye");
  await untilState(page, closed);
  await page.keyboard.press("Enter"); // for the program that has just ended
  await page.keyboard.press("Tab");
  assert(await hasFocus(page, "again"));
  await untilState(page, closed);
  await page.keyboard.press("Enter");
  await untilState(page, "connected");
  await until("the input to have the focus", () => hasFocus(page, "input"));
  for (const [key, id] of [["Shift+Tab", "log"], ["Tab", "input"], ["Tab", "send"]] as const) {
    await page.keyboard.press(key);
    assert(await hasFocus(page, id), id);
  }
  await page.keyboard.press("Shift+Tab");
  assertEquals((await linesOf(page)).length, 2);
  await page.keyboard.press("Control+l");
  await untilLines(page);
  await enter(page, "more");
  await untilLines(page, "you: more");
});

testConsole("the console has a history of what was sent", () => {}, async (page) => {
  for (const text of ["one", "two", "two", ""]) await enter(page, text);
  await page.keyboard.type("draft");
  const shown: string[] = [];
  for (const key of ["Up", "Up", "Up", "Down", "Down", "Down"]) {
    await page.keyboard.press(`Arrow${key}`);
    shown.push(await input(page).inputValue());
  }
  assertEquals(shown, ["two", "one", "one", "two", "draft", "draft"]);
});

testConsole(
  "the console sends the complete lines of what is pasted, and keeps the rest in its input",
  (socket) => socket.onmessage = ({ data }) => data === "\n" && socket.send("three lines"),
  async (page) => {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await until("the input to have the focus", () => hasFocus(page, "input"));
    await page.keyboard.type("<>");
    await page.keyboard.press("ArrowLeft");
    const paste = async (text: string) => {
      await page.evaluate(`navigator.clipboard.writeText(${JSON.stringify(text)})`);
      await page.keyboard.press("Control+v");
    };
    await paste("one\ntwo\r\n\nrest");
    await untilLines(page, "you: <one", "you: two", "you: ", "three lines");
    assertEquals(await input(page).inputValue(), "rest>");
    await paste(" and more");
    assertEquals(await input(page).inputValue(), "rest> and more");
  },
);

const { promise: length, resolve: receive } = Promise.withResolvers<number>();

testConsole(
  "the console sends a line of any length, and shows the beginning of it",
  (socket) => {
    socket.send("hello\n");
    socket.onmessage = ({ data }) => {
      receive(data.length);
      socket.close(1009);
    };
  },
  async (page) => {
    await untilLines(page, "hello");
    await input(page).fill("😀".repeat(1e6));
    await page.keyboard.press("Enter");
    assertEquals(await length, 2e6 + 1);
    await untilState(page, "closed: a message was too big (1009)");
    await untilLines(page, "hello", `you: ${"😀".repeat(4096)}…`);
    assertEquals(await page.evaluate("size"), 5 + 2 * 4096 + 1);
  },
);

/** What each kind of flood is: how many messages, how long. */
const FLOODS = { few: [200, 10], narrow: [20_000, 10], wide: [500, 10_000], one: [1, 3_000_000] };

const flooder: Handler = (socket) => {
  socket.onmessage = ({ data }) => {
    const [count, length] = FLOODS[data.trim() as keyof typeof FLOODS];
    for (let i = 0; i < count!; i++) socket.send(`${i} `.padEnd(length!, "x") + "\n");
    socket.send(`end of ${data}`);
  };
};

/** Remembers in `longest` how long a frame took at most. */
const WATCH_FRAMES = `{
  let last = performance.now();
  self.longest = 0;
  (function frame(now) {
    longest = Math.max(longest, now - last);
    last = now;
    requestAnimationFrame(frame);
  })(last);
}`;

testConsole(
  "a flood of output neither freezes nor fills the console",
  flooder,
  async (page) => {
    await page.evaluate(WATCH_FRAMES);
    for (const [kind, least] of [["narrow", 5000], ["wide", 200], ["one", 200]] as const) {
      await enter(page, kind);
      await page.keyboard.type("meanwhile");
      await log(page).getByText(`end of ${kind}`, { exact: true }).waitFor();
      await untilAtEnd(page);
      assertEquals(await input(page).inputValue(), "meanwhile");
      const lines = await linesOf(page);
      const size = lines.join("").length;
      assert(lines.length >= least && lines.length <= 5000, `${lines.length} lines`);
      assert(size > 49_000 && size <= 1e6, `${size} characters`);
      assertEquals(await page.evaluate("size"), size);
      await input(page).fill("");
    }
    // A frame takes a fraction of that, even on a machine that is busy.
    assert(await page.evaluate<number>("longest") < 2000, "the page has been frozen");
  },
);

testConsole(
  "the console follows the output unless its reader has scrolled up",
  flooder,
  async (page) => {
    const ends = (count: number) =>
      until(
        `${count} ends`,
        async () => await log(page).getByText("end of few", { exact: true }).count() === count,
      );
    const scrollUp = async () => {
      await page.mouse.wheel(0, -1e6); // Home is lost if a smooth scroll is still going on
      await until("the beginning to be in view", () => page.evaluate("log.scrollTop === 0"));
    };
    await enter(page, "few");
    await ends(1);
    await untilAtEnd(page);
    await page.mouse.move(300, 300);
    await scrollUp();
    await page.evaluate(`socket.send("few\\n")`);
    await ends(2);
    assertEquals(await page.evaluate("log.scrollTop"), 0);
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("End");
    await untilAtEnd(page);
    await page.evaluate(`socket.send("few\\n")`);
    await ends(3);
    await untilAtEnd(page);
    await scrollUp();
    await page.keyboard.press("Tab");
    await enter(page, "few");
    await ends(4);
    await untilAtEnd(page);
  },
);

/** Sends lines without an end. */
const flow: Handler = (socket) => {
  const timer = setInterval(() => socket.send("a line\n"), 5);
  socket.onclose = () => clearInterval(timer);
};

testConsole(
  "a reader who scrolls up by a little is left alone, however fast the output comes",
  flow,
  async (page) => {
    const isBehind = "log.scrollHeight - log.scrollTop - log.clientHeight > 200";
    await until("a full log", () => page.evaluate("log.scrollHeight > 2 * log.clientHeight"));
    await page.mouse.move(300, 300);
    for (const keys of [["End"], ["Tab", "x", "Enter"]]) {
      await untilAtEnd(page);
      await page.mouse.wheel(0, -3);
      await until("the output to run away", () => page.evaluate(isBehind));
      await log(page).focus();
      for (const key of keys) await page.keyboard.press(key);
    }
    await untilAtEnd(page);
  },
);
