/** What is published, from where, and by which workflows. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { parse } from "@std/yaml";
import config from "../deno.json" with { type: "json" };
import { publishedFiles } from "./_published.ts";

const ROOT = new URL("../", import.meta.url);
const read = (file: string) => Deno.readTextFile(new URL(file, ROOT));

/** Relative links in the text of `file` that lead to none of `files`, nor to a folder of theirs. */
function deadLinks(file: string, source: string, files: readonly string[]): string[] {
  const prose = source.replaceAll(/^(```|~~~).*?^\1/gms, "");
  return [...prose.matchAll(/\]\(([^)\s#]+)[^)]*\)|(?:src|href|srcset)="([^"#]+)/g)]
    .map(([, link, attribute]) => link ?? attribute!)
    .filter((link) => !/^[a-z]+:/.test(link))
    .filter((link) => {
      const path = decodeURI(new URL(link, `file:///${file}`).pathname.slice(1));
      return !files.some((file) => file === path || file.startsWith(path.replace(/\/?$/, "/")));
    });
}

Deno.test("every relative link in the README leads to a published file", async () => {
  const files = await publishedFiles();
  assert(files.includes("README.md"));
  assertEquals(deadLinks("README.md", await read("README.md"), files), []);
});

Deno.test("a link to a file that is not published is found", () => {
  const source = '[a](docs/a.md#b) [b](tests/b.ts) [c](docs) <img src="no.svg"> [d](https://d.e)';
  assertEquals(deadLinks("README.md", source, ["docs/a.md"]), ["tests/b.ts", "no.svg"]);
});

Deno.test("the sources name the packages in deno.json, in the versions that are there", async () => {
  const known = new Set(Object.values(config.imports).map((address) => packageOf(address)));
  for (const file of (await publishedFiles()).filter((file) => /^(?:lib|main).*\.ts$/.test(file))) {
    const source = (await read(file)).replaceAll(/\/\*\*.*?\*\//gs, "");
    for (const [, specifier] of source.matchAll(/\b(?:from |import\(\s*)"([^".][^"]*)"/g)) {
      if (/^node:/.test(specifier!)) continue;
      assert(known.has(packageOf(specifier!)), `${file} imports ${specifier}`);
    }
  }
});

/** The package of an address, with its version. */
function packageOf(address: string): string | undefined {
  return /^npm:(?:@[^/]+\/)?[^/]+/.exec(address)?.[0];
}

Deno.test("the changelog and deno.json have the same version", async () => {
  const [, version] = /^## (\d\S*) - \d{4}-\d\d-\d\d$/m.exec(await read("CHANGELOG.md"))!;
  assertEquals(version, config.version);
});

interface Workflow {
  on: Record<string, unknown>;
  permissions: Record<string, string>;
  jobs: Record<string, {
    uses?: string;
    needs?: string;
    permissions?: Record<string, string>;
    steps?: { uses?: string; run?: string; with?: Record<string, unknown> }[];
  }>;
}

const workflow = async (name: string) => parse(await read(`.github/workflows/${name}`)) as Workflow;

Deno.test("the workflows run .ci/run, and publish from a tag only after it", async () => {
  const [ci, publish] = await Promise.all([workflow("ci.yml"), workflow("publish.yml")]);
  assert(ci.jobs.check!.steps!.some(({ run }) => run === ".ci/run"));
  assert("workflow_call" in ci.on);
  assertEquals(publish.on, { push: { tags: ["v*"] } });
  assertEquals(publish.jobs.ci!.uses, "./.github/workflows/ci.yml");
  assertEquals(publish.jobs.jsr!.needs, "ci");
  const [, version] = /^deno_version=(.*)$/m.exec(await read(".ci/run"))!;
  assert(publish.jobs.jsr!.steps!.some(({ run }) => run === `npx --yes deno@${version} publish`));
});

Deno.test("the workflows may read, actions are pinned, and only the publication is signed", async () => {
  for (const name of ["ci.yml", "publish.yml"]) {
    const { permissions, jobs } = await workflow(name);
    assertEquals(permissions, { contents: "read" });
    for (const [job, { permissions, steps = [] }] of Object.entries(jobs)) {
      const signed = { contents: "read", "id-token": "write" };
      assertEquals(permissions, job === "jsr" ? signed : undefined);
      for (const { uses, with: inputs } of steps.filter(({ uses }) => uses !== undefined)) {
        assertMatch(uses!, /^[\w-]+\/[\w-]+@[0-9a-f]{40}$/);
        assertEquals(inputs, { "persist-credentials": false });
      }
    }
  }
});
