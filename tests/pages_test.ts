/** The pages of the documentation: every command in them is run, or says why not. */

import { assertEquals } from "@std/assert";
import { readPage, ROOT, runPage } from "./_page_runner.ts";
import { anchorsOf, blocksOf, linksOf } from "./_pages.ts";
import { testWith } from "./_test_with.ts";

const GIT = "git init --quiet --bare /srv/git/project.git && chown -R git: /srv/git";
const SHOUT = `echo 'console.log("HELLO");' >shout.ts`;

/** Pages that are run from top to bottom, and what each takes for granted. */
const RUN: Readonly<Record<string, string>> = {
  "README.md": "",
  "docs/handlers.md": GIT,
  "docs/operations.md": "mkdir /run/spawnd",
  "docs/performance.md": "",
  "docs/reference.md": `${GIT} && ${SHOUT}`,
  "docs/websockets.md": "",
  "docs/model.md": "",
};

/** Pages whose commands tests of their own read and run. */
const OTHERS = ["docs/install.md", "docs/migrating.md", "docs/programs.md", "deploy/README.md"];

for (const [page, prepare] of Object.entries(RUN)) {
  testWith(
    "bwrap git",
    "bubblewrap git",
    `every command in ${page} does what it says`,
    async () => {
      const adapt = (command: string) => command.startsWith("npx ") ? undefined : command;
      await runPage(page, await readPage(page), { prepare, adapt });
    },
  );
}

Deno.test("a block that is not run says why, or names the test that runs it", async () => {
  for (const page of Object.keys(RUN)) {
    for (const { line, marker } of blocksOf(page, await readPage(page))) {
      if (marker === undefined || "notRun" in marker) continue;
      const test = await Deno.readTextFile(`${ROOT}${marker.runBy}`);
      assertEquals([page, line, test.includes(page)], [page, line, true]);
    }
  }
});

Deno.test("every link of a page leads to a file and a heading that are there", async () => {
  const dead: string[] = [];
  for (const page of [...Object.keys(RUN), ...OTHERS, "examples/README.md"]) {
    for (const link of linksOf(await readPage(page))) {
      const [path, anchor] = link.split("#") as [string, string?];
      const target = path === "" ? page : new URL(path, `file:///${page}`).pathname.slice(1);
      try {
        const { isDirectory } = await Deno.stat(`${ROOT}${target}`);
        if (anchor === undefined || isDirectory) continue;
        if (!anchorsOf(await readPage(target)).includes(anchor)) dead.push(`${page}: ${link}`);
      } catch {
        dead.push(`${page}: ${link}`);
      }
    }
  }
  assertEquals(dead, []);
});
