/**
 * Chromium, for the tests of the status page.
 *
 * @module
 */

import { assert } from "@std/assert";
import { type Browser, chromium, type Page } from "playwright-core";

/** Where Debian's package installs it. */
const CHROMIUM = "/usr/bin/chromium";

/** Opens the page; everything that goes wrong on it is added to the returned list. */
export async function open(browser: Browser, url: string, more = {}): Promise<[Page, string[]]> {
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

/** Declares a test that has a browser. */
export function testIn(name: string, fn: (browser: Browser) => Promise<void>): void {
  Deno.test({
    name,
    sanitizeOps: false, // the browser leaves some of its own
    sanitizeResources: false,
    async fn() {
      const isThere = await Deno.stat(CHROMIUM).then(() => true, () => false);
      assert(isThere, `${CHROMIUM} is missing: apt-get install chromium`);
      const browser = await chromium.launch({
        executablePath: CHROMIUM,
        args: ["--no-sandbox", "--disable-gpu"],
      });
      try {
        await fn(browser);
      } finally {
        await browser.close();
      }
    },
  });
}

/** How wide the document is, in pixels. */
export function widthOf(page: Page): Promise<number> {
  return page.evaluate(() =>
    // deno-lint-ignore no-explicit-any
    (globalThis as any).document.documentElement.scrollWidth
  );
}

/** Saves pictures of the page if the environment names a folder for them. */
export async function savePictures(browser: Browser, url: string, prefix = ""): Promise<void> {
  const folder = Deno.env.get("SCREENSHOTS");
  if (!folder) return;
  const phone = { viewport: { width: 360, height: 740 } };
  const kinds = { light: {}, dark: {}, phone, "phone-dark": phone };
  for (const [name, more] of Object.entries(kinds)) {
    const colorScheme = name.endsWith("dark") ? "dark" : "light";
    const [page] = await open(browser, url, { colorScheme, ...more });
    await page.locator("#totals div").first().waitFor();
    await page.screenshot({ path: `${folder}/${prefix}${name}.png`, fullPage: true });
    await page.close();
  }
}
