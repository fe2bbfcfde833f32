/**
 * The table of connections on the status page, in a real browser: `deno task test:browser`.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Browser, Page } from "playwright-core";
import { sourceOf } from "../lib/net/address.ts";
import type { Status } from "../lib/status/listener.ts";
import { open, testIn } from "./_browser.ts";
import { Shown, wanted } from "./_status.ts";
import { statusWith, tell } from "./_status_data.ts";
import { commandHandler } from "../lib/child/handler.ts";
import { until } from "./_waiting.ts";

/** Declares a test of the page of a server that has so many connections. */
function testTable(name: string, count: number, fn: (page: Page, status: Status) => Promise<void>) {
  testIn(name, async (browser: Browser) => {
    await using shown = await Shown.start(wanted({ "": { handler: commandHandler("cat") } }));
    const [page, problems] = await open(browser, "about:blank");
    const status = statusWith(count);
    await tell(page, status);
    await page.goto(shown.url);
    await page.locator("#connections tr").first().waitFor();
    await fn(page, status);
    assertEquals(problems.filter((text) => !text.startsWith("http")), []);
    await page.unrouteAll({ behavior: "ignoreErrors" });
  });
}

/** The texts of a column. */
const column = (page: Page, n: number) =>
  page.locator(`#connections td:nth-child(${n})`).allInnerTexts();

const head = (page: Page, name: string) => page.getByRole("button", { name, exact: true });

/** How each column is sorted, where one is. */
const sorts = (page: Page) =>
  page.locator("th[aria-sort]").evaluateAll((heads) =>
    // deno-lint-ignore no-explicit-any
    heads.map((head: any) => `${head.innerText.trim()} ${head.getAttribute("aria-sort")}`)
  );

/** Waits until the page has been told its status twice more. */
async function updates(page: Page) {
  for (let i = 0; i < 2; i++) await page.waitForResponse(/status\.json/);
}

testTable("refusals of one client at one time are as many lines", 3, async (page, status) => {
  await page.getByRole("checkbox", { name: "show older ones" }).check();
  const refusals = Array.from({ length: 25 }, (_, i) => (
    { id: 25 - i, time: "2026-01-01T00:00:00.000Z", reason: `reason ${i}`, client: "unix" }
  ));
  for (const start of [5, 0]) {
    const latestRefusals = refusals.slice(start, start + 20);
    await tell(page, { ...status, latestRefusals });
    await updates(page);
    const shown = await page.locator("#latest tbody tr td:nth-child(3)").allInnerTexts();
    assertEquals(shown, latestRefusals.map(({ reason }) => reason));
  }
});

testTable(
  "a refusal can be found in the log by its number and its time",
  3,
  async (page, status) => {
    const { id, time, client } = status.latestRefusals[3]!;
    const cells = page.locator("#latest tbody tr").nth(3).locator("td");
    assertEquals((await cells.allInnerTexts()).slice(1), [`#${id}`, "source-limit", client]);
    const shown = cells.first().locator("time");
    assertEquals(await shown.getAttribute("title"), time);
    assertEquals(await shown.getAttribute("datetime"), time);
  },
);

testTable(
  "lines of refusals are whole: the latest five, or all that are kept",
  30,
  async (page) => {
    await page.setViewportSize({ width: 375, height: 740 });
    const heightsOf = (rows: string) =>
      page.locator(`${rows}:visible`).evaluateAll((rows) =>
        // deno-lint-ignore no-explicit-any
        rows.map((row: any) => row.offsetHeight as number)
      );
    for (const count of [5, 20]) {
      await page.getByRole("checkbox", { name: "show older ones" }).setChecked(count > 5);
      assertEquals((await heightsOf("#latest tbody tr")).length, count);
      const isCut = await page.locator("#latest").evaluate((box) =>
        // deno-lint-ignore no-explicit-any
        (box as any).scrollHeight > (box as any).clientHeight
      );
      assert(!isCut, "a line is cut");
    }
    for (const rows of ["#latest tr", "#table tr"]) {
      const heights = await heightsOf(rows); // the head's too, which is one line
      assert(Math.max(...heights) < 1.5 * Math.min(...heights), "an address wraps");
    }
  },
);

testTable("300 connections do not hide what else there is to see", 300, async (page) => {
  assertEquals(await page.locator("#connections tr").count(), 20);
  await page.getByText("300 connections", { exact: true }).waitFor();
  const top = async (selector: string) => (await page.locator(selector).boundingBox())!.y;
  assert(
    await top("#refused") < await top("#table") && await top("#children") < await top("#table"),
  );
  await page.getByRole("button", { name: "show all 300" }).click();
  assertEquals(await page.locator("#connections tr").count(), 300);
  await page.getByRole("button", { name: "show the first 20" }).click();
  assertEquals(await page.locator("#connections tr").count(), 20);
});

testTable(
  "the table is sorted by any column, both ways, and stays so",
  50,
  async (page, status) => {
    assertEquals(await sorts(page), ["id ascending"]);
    const { connections } = status;
    const columns = { pid: 3, age: 5, "from client": 6, idle: 8 };
    const values = { pid: "pid", age: "seconds", "from client": "bytesIn", idle: "idleSeconds" };
    for (const [name, n] of Object.entries(columns)) {
      const key = values[name as keyof typeof values] as "pid";
      for (const direction of ["descending", "ascending"]) {
        await head(page, name).click();
        assertEquals(await sorts(page), [`${name} ${direction}`]);
        const sign = direction === "ascending" ? 1 : -1;
        const expected = connections.toSorted((a, b) => sign * (a[key] - b[key]) || a.id - b.id);
        assertEquals(
          await column(page, 1),
          expected.slice(0, 20).map(({ id }) => `${id}`),
          n + name,
        );
      }
    }
    await head(page, "client").click();
    assertEquals(await sorts(page), ["client ascending"]);
    const before = await column(page, 2);
    const numbers = before.filter((client) => client.startsWith("192.0.2."))
      .map((client) => Number(client.split(/[.:]/)[3]));
    assertEquals(numbers, numbers.toSorted((a, b) => a - b), "as numbers, not as text");
    await updates(page);
    assertEquals([await sorts(page), await column(page, 2)], [["client ascending"], before]);
  },
);

testTable("the table is filtered by address, source and pid", 50, async (page, { connections }) => {
  const filter = page.getByRole("searchbox", { name: "filter by address or pid" });
  const cases: Record<string, (one: typeof connections[0]) => boolean> = {
    "192.0.2.5:": ({ client }) => client.startsWith("192.0.2.5:"),
    "2001:DB8:2::": ({ client }) => client.startsWith("[2001:db8:2::"),
    " 31003 ": ({ pid }) => pid === 31_003,
    "nobody": () => false,
  };
  for (const [text, matches] of Object.entries(cases)) {
    await filter.fill(text);
    const expected = connections.filter(matches);
    assertEquals(await column(page, 1), expected.slice(0, 20).map(({ id }) => `${id}`), text);
    await page.locator("#shown").getByText(`${expected.length} of 50 connections`).waitFor();
  }
  await updates(page);
  assertEquals(await filter.inputValue(), "nobody");
  assertEquals(await page.locator("#connections tr").count(), 0);
});

testTable("the table is grouped by source", 50, async (page, { connections }) => {
  await page.getByRole("checkbox", { name: "group by source" }).check();
  assertEquals(await sorts(page), ["connections descending"]);
  const addressOf = (client: string) => client.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  const sources = Map.groupBy(connections, ({ client }) => sourceOf(addressOf(client)));
  const rows = async () =>
    (await page.locator("#connections tr").allInnerTexts()).map((row) =>
      row.split("\t").slice(0, 2)
    );
  const expected = [...sources].map(([source, { length }]) => [source, `${length}`])
    .toSorted(([, a], [, b]) => Number(b) - Number(a));
  assertEquals(await rows(), expected.slice(0, 20));
  await page.getByRole("searchbox").fill("192.0.2.1:");
  const one = connections.filter(({ client }) => client.startsWith("192.0.2.1:"));
  await updates(page);
  assertEquals(await rows(), [["192.0.2.1", `${one.length}`]]);
  assertEquals(await page.locator("#connections td:nth-child(3)").innerText(), "12 min"); // the oldest
  await page.getByRole("checkbox", { name: "group by source" }).uncheck();
  assertEquals(await sorts(page), ["id ascending"]);
});

testTable("the page knows the sources of IPv6 clients as the limits do", 1, async (page) => {
  const addresses = [
    "::1",
    "2001:db8::1",
    "2001:db8:0:1:2:3:4:5",
    "fe80::1:2:3:4",
    "1::8",
    "1:2::",
  ];
  for (const address of addresses) {
    const source = await page.evaluate(`sourceOf("[${address}]:80")`);
    assertEquals(source, sourceOf(address), address);
  }
  assertEquals(await page.evaluate('sourceOf("192.0.2.1:80") + sourceOf("unix")'), "192.0.2.1unix");
});

testTable(
  "the view can be changed with the keyboard alone, and keeps the focus",
  50,
  async (page) => {
    const focused = () =>
      page.evaluate(`{
        const { id, ariaLabel, innerText } = document.activeElement;
        id || ariaLabel || innerText.trim();
      }`);
    const reached: unknown[] = [];
    for (let i = 0; i < 14; i++) {
      await page.keyboard.press("Tab");
      reached.push(await focused());
    }
    const heads = ["id", "client", "pid", "start", "age", "from client", "to client", "idle"];
    assertEquals(reached, [
      "latest",
      "older",
      "filter",
      "group",
      "Table of connections",
      ...heads,
      "all",
    ]);
    await page.keyboard.press("Space");
    assertEquals(await page.locator("#connections tr").count(), 50);
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Enter");
    assertEquals(await sorts(page), ["idle descending"]);
    assertEquals(await page.locator("#said").innerText(), "sorted by idle, descending");
    await updates(page);
    assertEquals(await focused(), "idle");
  },
);

testTable(
  "updates leave a selection alone, even where rows would move",
  5,
  async (page, status) => {
    await head(page, "from client").click();
    const ids = await column(page, 1);
    const cell = page.locator("#connections tr").nth(2).locator("td").nth(1);
    const client = await cell.innerText();
    await cell.selectText();
    const connections = status.connections.map((one) => ({ ...one, bytesIn: 1e6 - one.bytesIn }));
    await tell(page, { ...status, connections });
    const selected = () => page.evaluate("getSelection().toString().trim()");
    const reversed = () => column(page, 1);
    await page.locator("#connections").getByText("970 kB").or(page.getByText("1.0 MB")).first()
      .waitFor();
    assertEquals([await selected(), await reversed()], [client, ids]);
    await page.evaluate("getSelection().removeAllRanges()");
    await until("the order", async () => (await reversed()).join() === ids.toReversed().join());
  },
);

testTable(
  "only what the user does is announced, and the state when it changes",
  30,
  async (page, status) => {
    await page.evaluate(`{
    globalThis.said = [];
    const note = (changes) => said.push(...changes.map(({ target }) => target.textContent));
    for (const region of document.querySelectorAll("[role=status], [aria-live], output")) {
      new MutationObserver(note).observe(region, { subtree: true, childList: true, characterData: true });
    }
  }`);
    await updates(page);
    assertEquals(await page.evaluate("said"), []);
    await page.getByRole("searchbox").fill("192.0.2.1:");
    await tell(page, { ...status, active: 256, waiting: 64, ready: false });
    await page.locator("#state").getByText("full", { exact: true }).waitFor();
    await updates(page);
    const said = await page.evaluate<string[]>("said");
    assert(/^\d+ of 30 connections$/.test(said[0]!), `${said}`);
    assertEquals(said.slice(1), ["full"]);
  },
);
