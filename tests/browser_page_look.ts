/**
 * How the console of a WebSocket address looks, and that output is nothing but text on it, in a real
 * browser: `deno task test:browser`.
 *
 * With SCREENSHOTS=folder it saves pictures of the page there.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Page } from "playwright-core";
import { PAGE } from "../lib/web/page.ts";
import { open, widthOf } from "./_browser.ts";
import {
  closer,
  enter,
  greeter,
  type Handler,
  input,
  linesOf,
  log,
  testConsole,
  untilAtEnd,
  untilLines,
  untilState,
} from "./_console.ts";

const MARKUP = "<script>document.title = 'taken'</script><img src=x onerror=alert(1)>&lt;";

/** What a program may write on a line, and what is to be seen of it. */
const OUTPUT = {
  "\x1b[1;31mred\x1b[0m \x1b[38;5;1mand\x1b[m not\x1b[K": "red and not",
  "\x1b]0;title\x07a \x1b]8;;http://a.org\x1b\\link\x1b]8;;\x1b\\\x1bP1$r0m\x1b\\ ends":
    "a link ends",
  "\x1b(B\x1b=\x1b7plain\x1b[?25l\x1b[>c\x1bM": "plain",
  "\x1b]0;never ended": "",
  "\x1b[1\x1b[2\x1b": "",
  "10 %\r20 %\r\r": "20 %",
  "longer\rend": "end",
  "kept\r": "kept",
  "wrong\b\b\b\b\b\b\bright": "right",
  "secret\b \b\b \b": "secr ",
  "a\tb\x07\x00\v\f\x7f\x85c": "a\tbc",
  [MARKUP]: MARKUP,
  "ü€😀": "ü€😀",
};
const WRITTEN = Object.keys(OUTPUT).join("\n");
const SEEN = Object.values(OUTPUT);

testConsole(
  "the console shows any output as plain text, however it is cut into messages",
  (socket) => socket.send(WRITTEN),
  async (page) => {
    await untilLines(page, ...SEEN);
    const write = async (...texts: string[]) => {
      await page.keyboard.press("Control+l");
      await page.evaluate(`{ ${JSON.stringify(texts)}.forEach(write); draw(); }`);
      return await linesOf(page);
    };
    await untilState(page, "connected");
    for (let i = 0; i <= WRITTEN.length; i++) {
      assertEquals(await write(WRITTEN.slice(0, i), WRITTEN.slice(i)), SEEN);
    }
    assertEquals(await write(...WRITTEN.split("")), SEEN.with(-1, "ü€😀"));
    assertEquals(await write("\x1b]0;" + "x".repeat(5000), "seen"), ["seen"]);
    for (const count of [4998, 4999, 5000, 5001, 5002]) {
      const flood = "a line\n".repeat(count) + "the last";
      const expected = await write("begun \x1b[1", flood);
      await page.keyboard.press("Control+l");
      await page.evaluate(`write("begun \\x1b[1"); pending = ${JSON.stringify(flood)}; draw()`);
      assertEquals(await linesOf(page), expected);
    }
    assertEquals(await page.locator("#log :not(div)").count(), 0);
    assertEquals(await page.title(), new URL(page.url()).host + "/a/shell");
  },
);

/** The contrast of texts and borders with what is behind them, and what WCAG 2.2 AA asks for. */
const CONTRASTS = `{
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = numbers(color).map((n) => n / 255)
      .map((n) => n <= .04045 ? n / 12.92 : ((n + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return numbers(color)[3] === 0 ? behind(element.parentElement) : color;
  };
  const contrast = (least, property, pseudo) => (element) => {
    const [a, b] = [getComputedStyle(element, pseudo)[property], behind(element)].map(luminance);
    const name = [element.tagName, property, pseudo].join(" ");
    return [name, (Math.max(a, b) + .05) / (Math.min(a, b) + .05), least];
  };
  const all = (selector, ...more) => Array.from(document.querySelectorAll(selector), contrast(...more));
  [
    ...all("h1, #state, #log div, b, input, button", 4.5, "color"),
    ...all("input", 4.5, "color", "::placeholder"),
    ...all("input, button", 3, "borderTopColor"),
  ];
}`;

async function assertContrast(page: Page): Promise<void> {
  const contrasts = await page.evaluate<[string, number, number][]>(CONTRASTS);
  assertEquals(contrasts.length, 11);
  for (const [name, contrast, least] of contrasts) {
    assert(contrast >= least, `${name}: ${contrast}`);
  }
}

for (const [colorScheme, body] of [["light", "255, 255, 255"], ["dark", "13, 17, 23"]] as const) {
  testConsole(
    `the console has enough contrast: ${colorScheme}`,
    closer,
    async (page) => {
      await enter(page, "1011");
      await untilState(page, "closed: the program has failed (1011)");
      await assertContrast(page);
      await page.getByRole("button", { name: "Connect again" }).click();
      await untilState(page, "connected");
      await assertContrast(page);
      const color = await page.evaluate("getComputedStyle(document.body).backgroundColor");
      assertEquals(color, `rgb(${body})`);
    },
    { colorScheme },
  );
}

/** Output of any width, and a long reason to end. */
const shell: Handler = (socket) => {
  socket.send("Welcome. Say something, or quit.\n");
  for (let i = 1; i <= 30; i++) {
    socket.send(`${i}\t${"word ".repeat(i % 7 * 5)}${"x".repeat(i % 4 * 70)}\n`);
  }
  socket.onmessage = ({ data }) => {
    if (data === "quit\n") {
      socket.close(1013, "all 256 slots are taken, and 64 clients wait for one");
    } else socket.send(`You have said "${data.trim()}".\n`);
  };
};

for (const width of [320, 390, 1280]) {
  testConsole(
    `the console fits ${width} pixels, and what a keyboard on the screen leaves of their height`,
    shell,
    async (page, url) => {
      await page.goto(new URL("y".repeat(300), url).href);
      await log(page).getByText("30").waitFor();
      await enter(page, "hello");
      await log(page).getByText('You have said "hello".').waitFor();
      const isInView = async (height: number) => {
        await untilAtEnd(page);
        for (
          const part of [page.getByRole("heading"), page.locator("#log div").last(), input(page)]
        ) {
          const box = (await part.boundingBox())!;
          assert(box.x >= 0 && box.x + box.width <= width, JSON.stringify(box));
          assert(box.y >= 0 && box.y + box.height <= height, JSON.stringify(box));
        }
        assert(await widthOf(page) <= width, `${await widthOf(page)} px wide`);
        assert(await page.evaluate("log.scrollWidth <= log.clientWidth"), "the log is too wide");
      };
      await isInView(700);
      await page.setViewportSize({ width, height: 300 });
      await isInView(300);
      await enter(page, "quit");
      await untilState(
        page,
        "closed: busy, try again later (1013): all 256 slots are taken, and 64 clients wait for one",
      );
      await isInView(300);
    },
    { viewport: { width, height: 700 } },
  );
}

testConsole(
  "without JavaScript the console says that it needs it",
  greeter,
  async (page) => {
    assert(await page.locator("noscript").isVisible());
    assertEquals(await page.locator("noscript").innerText(), "This page needs JavaScript.");
  },
  { javaScriptEnabled: false },
);

Deno.test("the console is small, and asks phones to resize it", () => {
  assert(new TextEncoder().encode(PAGE).length < 8000);
  assert(/<meta name="viewport" content=".*interactive-widget=resizes-content">/.test(PAGE));
});

const PHONE = { viewport: { width: 390, height: 700 } };
const PICTURES = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", ...PHONE },
  "phone-dark": { colorScheme: "dark", ...PHONE },
};

testConsole("pictures of the console are saved", shell, async (_, url, browser) => {
  const folder = Deno.env.get("SCREENSHOTS");
  if (!folder) return;
  for (const [name, more] of Object.entries(PICTURES)) {
    const [page] = await open(browser, url, more);
    await log(page).getByText("30").waitFor();
    await enter(page, "hello");
    await log(page).getByText('You have said "hello".').waitFor();
    await page.screenshot({ path: `${folder}/console-${name}.png` });
    await enter(page, "quit");
    await page.getByText(/closed: busy/).waitFor();
    await untilAtEnd(page);
    await page.screenshot({ path: `${folder}/console-${name}-closed.png` });
    await page.context().close();
  }
});
