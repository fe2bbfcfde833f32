/**
 * The status page in a real browser. Because it needs Chromium, it has its own task:
 * `deno task test:browser`.
 *
 * With SCREENSHOTS=folder it saves pictures of the page there: light, dark, and as wide as a phone.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Browser, Page } from "playwright-core";
import config from "../deno.json" with { type: "json" };
import { commandHandler } from "../lib/child/handler.ts";
import { open, savePictures, testIn, widthOf } from "./_browser.ts";
import { ask, receive, send } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { Shown, wanted } from "./_status.ts";

/** The row of a connection. */
const rowOf = (page: Page, id: number) =>
  page.locator("#connections tr").filter({ has: page.locator(`td:first-child:text-is("${id}")`) });

/** Declares a test of the status page of a server with these options. */
function testPage(
  name: string,
  options: readonly string[],
  fn: (browser: Browser, url: string, spawnd: Spawnd) => Promise<void>,
): void {
  testIn(name, async (browser) => {
    await using spawnd = await Spawnd.start("--status", "0", ...options, "--", "cat");
    await fn(browser, (await spawnd.statusUrl()).href, spawnd);
  });
}

testPage(
  "the status page shows connections, their bytes, and their end",
  ["--warm", "2", "--max-per-source", "3"],
  async (browser, url, spawnd) => {
    const [page, problems] = await open(browser, url);
    await page.getByText("serving", { exact: true }).waitFor();
    await page.getByText("No connections.").waitFor();

    const conn = await spawnd.connect();
    await send(conn, "hello");
    await receive(conn, 5);
    const up = new RegExp(`^up \\S+ s, pid ${spawnd.pid}, version ${config.version}$`);
    await page.getByText(up).waitFor();
    const { pid } = await spawnd.record({ message: "open", id: 1 });
    const row = rowOf(page, 1);
    await row.getByText(`${pid}`).waitFor();
    const { port } = conn.localAddr as Deno.NetAddr;
    assertMatch(await row.innerText(), new RegExp(`127\\.0\\.0\\.1:${port}\\s.*warm\\s`));
    await row.getByText("5 B").first().waitFor();
    await send(conn, new Uint8Array(11_995));
    await receive(conn, 11_995);
    await row.getByText("12.0 kB").first().waitFor();

    const others = [await spawnd.connect(), await spawnd.connect()];
    await ask(spawnd.port, "refused"); // the fourth connection of its source
    await page.locator("#refused div").filter({ hasText: /source-limit\s*1/ }).waitFor();
    await page.locator("#totals div").filter({ hasText: /active\s*\d+ of 256/ }).waitFor();
    others.pop()!.close();
    await page.locator("#ended div").filter({ hasText: /client-closed\s*1/ }).waitFor();
    await page.locator("#children div").filter({ hasText: /exit 0\s*1\s*succeeded/ }).waitFor();
    await page.waitForFunction(() =>
      // deno-lint-ignore no-explicit-any
      (globalThis as any).document.querySelector("#active path").getAttribute("d") !== ""
    );
    await savePictures(browser, url);

    conn.close();
    await row.waitFor({ state: "detached" });
    for (const other of others) other.close();
    await page.getByText("No connections.").waitFor();
    assertEquals(problems, []);

    await spawnd.stop();
    await page.getByText(/no answer from the server; last seen/).waitFor();
    const opacity = page.locator("main").evaluate((main) =>
      // deno-lint-ignore no-explicit-any
      Number((globalThis as any).getComputedStyle(main).opacity)
    );
    assert(await opacity < 1, "stale values should look stale");
    assert(problems.every((text) => text.includes("ERR_CONNECTION_REFUSED")), `${problems}`);
  },
);

testPage(
  "the status page shows any value as plain text",
  [],
  async (browser, url, spawnd) => {
    const markup = "<img src=x onerror=document.title='taken'><b>bold</b>";
    using conn = await spawnd.connect();
    await send(conn, "x");
    await receive(conn, 1);
    const [page] = await open(browser, url);
    // No client can have such a name today. This is for any value that a client may control one day.
    await page.route("**/status.json", async (route) => {
      const status = await (await route.fetch()).json();
      const connections = [{ ...status.connections[0], client: markup, start: markup }];
      const latestRefusals = [{ id: 1, time: markup, reason: markup, client: markup }];
      await route.fulfill({
        json: { ...status, handler: markup, refused: { [markup]: 1 }, connections, latestRefusals },
      });
    });
    await page.locator("#where").getByText(markup).waitFor();
    const cells = await page.locator("#connections td").allTextContents();
    assertEquals([cells[1], cells[3]], [markup, markup]);
    await page.locator("#refused dt").getByText(markup).waitFor();
    const refusal = await page.locator("#latest td").allTextContents();
    assertEquals(refusal.slice(2), [markup, markup]);
    assertEquals(await page.locator("img, b").count(), 0);
    assertEquals(await page.title(), `127.0.0.1:${spawnd.port} → ${markup} – spawnd`);
    await page.unrouteAll({ behavior: "ignoreErrors" });
  },
);

testPage(
  "the status page fits a phone, and only its table scrolls",
  [],
  async (browser, url) => {
    const [page] = await open(browser, url, { viewport: { width: 360, height: 740 } });
    await page.getByText("serving", { exact: true }).waitFor();
    assert(await widthOf(page) <= 360, `${await widthOf(page)} px wide`);
  },
);

const CAT = { handler: commandHandler("cat") };
const SHELL = { handler: commandHandler("sh", ["-c", "cat; exit 3"]), warm: 2 };
const SERVICES = { cat: CAT, git: { ...CAT, maxConnections: 2, queue: 0 }, "shell.2": SHELL };

/** The cells of each row of the services. */
const rowsOf = async (page: Page) =>
  (await page.locator("#services tr").allInnerTexts()).map((row) =>
    row.split("\t").map((cell) => cell.trim())
  );

testIn("the status page shows several services, and the one that is chosen", async (browser) => {
  await using shown = await Shown.start(wanted(SERVICES, 100));
  for (let i = 0; i < 3; i++) await ask(shown.port("shell.2"), "hello");
  const conns = [await shown.hold("git"), await shown.hold("git"), await shown.hold("cat")];
  const [page, problems] = await open(browser, shown.url);
  const failing = "serving, but every client's child fails";
  const state = page.locator("#state");
  await state.getByText(`full: git; ${failing}: shell.2`, { exact: true }).waitFor();
  assertEquals(await page.title(), "cat, git, shell.2 – spawnd");
  await page.getByText("3 services, at most 100 children", { exact: true }).waitFor();
  const at = (name: string) => `127.0.0.1:${shown.port(name)}`;
  await page.locator("#services tr").filter({ hasText: "shell.2" }).getByText("3").first()
    .waitFor();
  assertEquals(await rowsOf(page), [
    ["cat", "serving", "0", "1 of 256", "0 of 64", "1", "0", at("cat"), "cat"],
    ["git", "full", "0", "2 of 2", "no queue", "2", "0", at("git"), "cat"],
    ["shell.2", failing, "0", "0 of 256", "0 of 64", "3", "3", at("shell.2"), "sh"],
  ]);
  assertEquals(await page.locator("#services .bad").allInnerTexts(), ["full", failing]);

  const heading = (name: string) => page.locator(`#service:text-is("${name}")`).waitFor();
  await heading("cat");
  assertEquals(await page.locator("#connections tr").count(), 1);
  await page.getByRole("link", { name: "git" }).click();
  await heading("git");
  assertEquals(await page.locator("#connections tr").count(), 2);
  assertEquals(new URL(page.url()).hash, "#git");
  const current = page.locator("#services [aria-current=true]");
  assertEquals(await current.allInnerTexts(), ["git"]);

  await page.reload(); // the address says which one it is
  await heading("git");
  await page.goBack();
  await heading("cat");
  await page.goto(`${shown.url}#shell.2`);
  await heading("shell.2");
  await page.locator("#children div").filter({ hasText: /exit 3\s*3/ }).waitFor();
  await page.locator("#totals div").filter({ hasText: /accepted\s*3/ }).waitFor();
  await savePictures(browser, `${shown.url}#git`, "services-");
  for (const conn of conns) conn.close();
  await page.locator("#state.bad").getByText(`${failing}: shell.2`, { exact: true }).waitFor();
  assertEquals(problems, []);
});

testIn("services are shown in their order, those named like a number too", async (browser) => {
  const { services, maxChildren } = wanted({ 80: CAT, web: CAT, 7: CAT });
  const order = ["web", "80", "7"];
  const ordered = new Map(order.map((name) => [name, services.get(name)!]));
  await using shown = await Shown.start({ services: ordered, maxChildren });
  const [page] = await open(browser, shown.url);
  await page.locator("#services tr").first().waitFor();
  assertEquals((await rowsOf(page)).map(([name]) => name), order);
});

testIn("the services of the status page can be chosen with the keyboard alone", async (browser) => {
  await using shown = await Shown.start(wanted(SERVICES));
  const [page] = await open(browser, shown.url);
  await page.locator("#services tr").first().waitFor();
  const focused = () => page.locator("#services a:focus").allInnerTexts();
  await page.getByRole("region", { name: "Services" }).focus();
  await page.keyboard.press("Tab");
  assertEquals(await focused(), ["cat"]);
  await page.keyboard.press("Tab");
  for (let i = 0; i < 2; i++) await page.waitForResponse(/status\.json/);
  assertEquals(await focused(), ["git"], "what has the focus is replaced");
  await page.route("**/status.json", () => {}); // no answer: it knows enough already
  await page.waitForRequest(/status\.json/);
  await page.keyboard.press("Enter");
  await page.locator('#service:text-is("git")').waitFor();
  assertEquals(await focused(), ["git"]);
  await page.unrouteAll({ behavior: "ignoreErrors" });
});

testIn("services come to the status page and leave it as they do the server", async (browser) => {
  await using shown = await Shown.start(wanted({ cat: CAT }));
  const [page, problems] = await open(browser, `${shown.url}#git`);
  await page.locator("#where").getByText(`127.0.0.1:${shown.port("cat")} → cat`).waitFor();
  assertEquals(await page.locator("#overview").isVisible(), false);
  await page.locator("#totals").getByText("memory").waitFor();

  await shown.reload(wanted(SERVICES));
  await page.locator('#service:text-is("git")').waitFor();
  assertEquals(await page.locator("#totals").getByText("memory").count(), 0);
  await page.getByText(/^up .*, memory \d/).waitFor();
  const conn = await shown.hold("git");
  await page.locator("#connections tr").waitFor();

  await shown.reload(wanted({ "a-new": CAT, cat: CAT }));
  await page.locator("#services tr").filter({ hasText: /^gitdraining/ }).waitFor();
  await page.locator("#state").getByText("serving", { exact: true }).waitFor();
  const names = async () => (await rowsOf(page)).map(([name]) => name);
  assertEquals(await names(), ["a-new", "cat", "git"]);
  conn.close();
  await page.locator('#service:text-is("a-new")').waitFor(); // git has gone: the first one is shown
  assertEquals(await names(), ["a-new", "cat"]);

  await shown.reload(wanted({ cat: CAT }));
  await page.locator("#overview").waitFor({ state: "hidden" });
  await page.locator("#totals").getByText("memory").waitFor();
  assertEquals(problems, []);
});

testIn(
  "several services fit a phone, and their names are text wherever they are",
  async (browser) => {
    await using shown = await Shown.start(wanted({ ...SERVICES, "<b>x": CAT }));
    const viewport = { width: 360, height: 740 };
    const chosen = {
      "": "cat",
      "#%": "cat",
      "#__proto__": "cat",
      "#<b>x": "<b>x",
      "#%3Cb%3Ex": "<b>x",
    };
    for (const [hash, name] of Object.entries(chosen)) {
      const [page, problems] = await open(browser, shown.url + hash, { viewport });
      await page.locator("#totals div").first().waitFor();
      assertEquals(await page.locator("#service").innerText(), name);
      assertEquals(await page.locator("#services a").last().innerText(), "<b>x");
      assertEquals(await page.locator("b").count(), 0);
      assert(await widthOf(page) <= 360, `${await widthOf(page)} px wide`);
      assertEquals(problems, []);
      await page.close();
    }
  },
);
