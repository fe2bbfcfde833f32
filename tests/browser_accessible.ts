/**
 * The status page under axe-core, which looks for what keeps people out: `deno task test:browser`.
 * With SCREENSHOTS=folder it saves pictures of what it has looked at there.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import axe from "axe-core";
import { commandHandler } from "../lib/child/handler.ts";
import { open, testIn, widthOf } from "./_browser.ts";
import { Shown, wanted } from "./_status.ts";
import { statusOfServices, statusWith, tell } from "./_status_data.ts";

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
          if (isGrouped) await page.getByRole("checkbox").check();
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
