/**
 * The status page in a real browser. Because it needs Chromium, it has its own task:
 * `deno task test:browser`.
 *
 * With SCREENSHOTS=folder it saves pictures of the page there: light, dark, and as wide as a phone.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Browser, chromium, type Page } from "playwright-core";
import { ask, receive, send } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";

/** Where Debian's package installs it. */
const CHROMIUM = "/usr/bin/chromium";

/** Opens the page; everything that goes wrong on it is added to the returned list. */
async function open(browser: Browser, url: string, more = {}): Promise<[Page, string[]]> {
  const page = await browser.newPage(more);
  const problems: string[] = [];
  page.on("console", (message) => {
    if (message.type() !== "log") problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) problems.push(request.url());
  });
  await page.goto(url);
  return [page, problems];
}

/** The row of a connection. */
const rowOf = (page: Page, id: number) =>
  page.locator("#connections tr").filter({ has: page.locator(`td:first-child:text-is("${id}")`) });

/** Declares a test of the status page of a server with these options. */
function testPage(
  name: string,
  options: readonly string[],
  fn: (browser: Browser, url: string, spawnd: Spawnd) => Promise<void>,
): void {
  Deno.test({
    name,
    sanitizeOps: false, // the browser leaves some of its own
    sanitizeResources: false,
    async fn() {
      const isThere = await Deno.stat(CHROMIUM).then(() => true, () => false);
      assert(isThere, `${CHROMIUM} is missing: apt-get install chromium`);
      await using spawnd = await Spawnd.start("--status", "0", ...options, "--", "cat");
      const url = await spawnd.statusUrl();
      const browser = await chromium.launch({
        executablePath: CHROMIUM,
        args: ["--no-sandbox", "--disable-gpu"],
      });
      try {
        await fn(browser, url.href, spawnd);
      } finally {
        await browser.close();
      }
    },
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
    await page.locator("#children div").filter({ hasText: /exit 0\s*1/ }).waitFor();
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
      await route.fulfill({
        json: { ...status, handler: markup, refused: { [markup]: 1 }, connections },
      });
    });
    await page.locator("#where").getByText(markup).waitFor();
    const cells = await page.locator("#connections td").allTextContents();
    assertEquals([cells[1], cells[3]], [markup, markup]);
    await page.locator("#refused dt").getByText(markup).waitFor();
    assertEquals(await page.locator("img, b").count(), 0);
    assertEquals(await page.title(), "spawnd");
    await page.unrouteAll({ behavior: "ignoreErrors" });
  },
);

testPage(
  "the status page fits a phone, and only its table scrolls",
  [],
  async (browser, url) => {
    const [page] = await open(browser, url, { viewport: { width: 360, height: 740 } });
    await page.getByText("serving", { exact: true }).waitFor();
    const width = await page.evaluate(() =>
      // deno-lint-ignore no-explicit-any
      (globalThis as any).document.documentElement.scrollWidth
    );
    assert(width <= 360, `${width} px wide`);
  },
);

async function savePictures(browser: Browser, url: string): Promise<void> {
  const folder = Deno.env.get("SCREENSHOTS");
  if (!folder) return;
  const kinds = { light: {}, dark: {}, phone: { viewport: { width: 360, height: 740 } } };
  for (const [name, more] of Object.entries(kinds)) {
    const colorScheme = name === "dark" ? "dark" : "light";
    const [page] = await open(browser, url, { colorScheme, ...more });
    await page.getByText("serving", { exact: true }).waitFor();
    await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
    await page.close();
  }
}
