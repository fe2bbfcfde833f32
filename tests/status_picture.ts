/**
 * Writes the picture of the status page that the README shows: `deno task picture`. What it shows is
 * made up, so that the picture changes only if the page does.
 *
 * @module
 */

import { chromium } from "playwright-core";
import { commandHandler } from "../lib/child/handler.ts";
import { Shown, wanted } from "./_status.ts";
import { statusWith, tell } from "./_status_data.ts";

const path = new URL("../docs/status.png", import.meta.url).pathname;
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
const shown = await Shown.start(wanted({ "": { handler: commandHandler("cat") } }));
const page = await browser.newPage({
  ...{ viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  ...{ locale: "en-GB", timezoneId: "UTC" },
});
await page.clock.setFixedTime(new Date(Date.UTC(2026, 0, 2, 12, 31)));
await tell(page, statusWith(3));
await page.goto(shown.url);
await page.locator("#connections tr").first().waitFor();
await page.screenshot({ path, fullPage: true });
await browser.close();
await shown[Symbol.asyncDispose]();
