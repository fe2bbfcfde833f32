/**
 * The status page under axe-core, which looks for what keeps people out, and on a phone:
 * `deno task test:browser`. With SCREENSHOTS=folder it saves pictures of what it has looked at there.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import axe from "axe-core";
import type { Page } from "playwright-core";
import { commandHandler } from "../lib/child/handler.ts";
import { open, testIn, widthOf } from "./_browser.ts";
import { Shown, wanted } from "./_status.ts";
import { statusOfServices, statusWith, tell } from "./_status_data.ts";
import { until } from "./_waiting.ts";

const { childrenMemoryBytes: _, ...unknown } = statusWith(3, {
  ...{ active: 256, waiting: 64, ready: false },
  exits: { "0": 1, "3": 2, "126": 1, "127": 1, "SIGSEGV": 3 },
  spawnFailures: 2,
});
const STATES = {
  "no connections": statusWith(0),
  "3 connections": statusWith(3),
  "300 connections": statusWith(300),
  "a full server": unknown,
  "children that fail": statusWith(3, { failing: true }),
  "several services": statusOfServices(),
};
const WIDTHS = { 320: 700, 390: 740, 1280: 800 };

for (const [state, status] of Object.entries(STATES)) {
  testIn(`axe finds nothing wrong with the status page: ${state}`, async (browser) => {
    await using shown = await Shown.start(wanted({ "": { handler: commandHandler("cat") } }));
    for (const colorScheme of ["light", "dark"]) {
      for (const [width, height] of Object.entries(WIDTHS)) {
        const viewport = { width: Number(width), height };
        const [page] = await open(browser, "about:blank", { colorScheme, viewport });
        await tell(page, status);
        await page.goto(`${shown.url}#git`);
        await page.locator("#totals div").first().waitFor();
        assert(await widthOf(page) <= viewport.width, `${await widthOf(page)} px wide`);
        for (const isGrouped of [false, true]) {
          if (isGrouped && !await page.locator("#view").isVisible()) continue;
          if (isGrouped) await page.getByRole("checkbox", { name: "group by source" }).check();
          await page.evaluate(axe.source);
          const { violations } = await page.evaluate<axe.AxeResults>("axe.run()");
          const found = violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]);
          assertEquals(found, [], `${width} ${colorScheme}`);
          const folder = Deno.env.get("SCREENSHOTS");
          const name = [state, width, colorScheme, ...(isGrouped ? ["grouped"] : [])].join("-");
          if (folder) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
        }
        await page.unrouteAll({ behavior: "ignoreErrors" });
        await page.context().close();
      }
    }
  });
}

/** Declares a test of the page of several services on a phone. */
function testPhone(
  name: string,
  colorScheme: "light" | "dark",
  fn: (page: Page) => Promise<void>,
): void {
  testIn(`on a ${colorScheme} phone, ${name}`, async (browser) => {
    await using shown = await Shown.start(wanted({ "": { handler: commandHandler("cat") } }));
    const viewport = { width: 375, height: 740 };
    const [page] = await open(browser, "about:blank", { colorScheme, viewport });
    await tell(page, statusOfServices());
    await page.goto(shown.url);
    await page.locator("#totals div").first().waitFor();
    await fn(page);
    await page.unrouteAll({ behavior: "ignoreErrors" });
  });
}

for (const colorScheme of ["light", "dark"] as const) {
  testPhone("an edge shows where a table goes on", colorScheme, async (page) => {
    const colorAt = async (x: number, y: number) =>
      String(await page.screenshot({ clip: { x, y, width: 1, height: 1 } }));
    for (const name of ["Services", "Latest refusals", "Table of connections"]) {
      const box = page.getByRole("region", { name });
      await box.scrollIntoViewIfNeeded();
      /** Which edges, left and right, differ from the page. */
      const edges = async () => {
        const { x, y, width } = (await box.boundingBox())!;
        const colors = [x, x + width - 1].map((x) => colorAt(x, y + 2));
        const plain = await colorAt(0, y + 2);
        return (await Promise.all(colors)).map((color) => color !== plain);
      };
      assertEquals(await edges(), [false, true], name);
      await box.focus();
      await until("its end, by keyboard", async () => {
        await page.keyboard.press("ArrowRight");
        return (await edges()).join() === "true,false";
      });
    }
  });
}

testPhone("what was not served is seen without scrolling", "light", async (page) => {
  const head = (await page.getByRole("columnheader", { name: "not served" }).boundingBox())!;
  const box = (await page.getByRole("region", { name: "Services" }).boundingBox())!;
  assert(head.x + head.width <= box.x + box.width, `${head.x + head.width} px`);
});

testPhone("what is written at a plot takes one line", "light", async (page) => {
  await page.setViewportSize({ width: 360, height: 740 });
  const heights = await page.locator("figure > :not(svg)").evaluateAll((lines) =>
    // deno-lint-ignore no-explicit-any
    lines.map((line: any) => line.offsetHeight as number)
  );
  assertEquals([heights.length, new Set(heights).size], [6, 1], `${heights}`);
});
