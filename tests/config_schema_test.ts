/**
 * docs/schema.json: it is that of the option table, and says what the checker says.
 */

import { assert, assertEquals } from "@std/assert";
import { Ajv } from "ajv";
import fc from "fast-check";
import { parse } from "jsonc-parser";
import { UsageError } from "../lib/cli/command_line.ts";
import { parseConfiguration } from "../lib/cli/config_file.ts";
import { configurationSchema } from "../lib/cli/schema.ts";
import { EDGES, KEYS, plausible, slipped } from "./_configurations.ts";

const ROOT = new URL("../", import.meta.url);
const ajv = new Ajv({
  allErrors: true,
  strictTypes: false,
  strictTuples: false,
  strictRequired: false,
});
ajv.addKeyword("allowTrailingCommas");
const conforms = ajv.compile(configurationSchema());

/** What the checker says is wrong, without the file and line. */
function problemsOf(text: string): string[] {
  try {
    parseConfiguration(text, "services.jsonc");
    return [];
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return error.problems.map((problem) => problem.replace(/^services\.jsonc:\d+: /, ""));
  }
}

/** What the checker knows and a schema cannot express. */
const BEYOND = [
  /takes a network such as/, // the bits of a prefix
  /takes HOST:PORT/, // the largest port
  /takes an address and perhaps a path/,
  /takes an origin/, // the form that browsers give it
  /takes a port, or an address/,
  /takes an address or a host name/, // what an IP address is
  /takes a path, got "unix:/,
  /a link-local address needs its zone/,
  /the path has \d+ bytes/,
  /takes a number, or a number and seconds/, // ranges within a text
  /: requires [a-z]/, // what is required may be a default, or an empty list
  /every cert takes a key/,
  /user: cannot be given with/, // a default
  /listen: is missing: several services/,
  /listen: has no address in it/, // unless another key has one
  /is for WebSockets, but there is no address for them$/,
  /listens on .+ too$/,
  /overlaps/,
  /is given twice$/,
];

Deno.test("docs/schema.json is what deno task docs writes", async () => {
  const written = await Deno.readTextFile(new URL("docs/schema.json", ROOT));
  assertEquals(written, `${JSON.stringify(configurationSchema(), null, 2)}\n`);
});

Deno.test("every configuration that is documented or an example conforms to the schema, and is right", async () => {
  const configurations: string[] = [];
  for (const folder of ["docs/", "examples/"]) {
    for await (const { name } of Deno.readDir(new URL(folder, ROOT))) {
      if (!name.endsWith(".jsonc")) continue;
      configurations.push(await Deno.readTextFile(new URL(folder + name, ROOT)));
    }
  }
  for (
    const file of ["docs/reference.md", "docs/programs.md", "docs/migrating.md", "deploy/README.md"]
  ) {
    const text = await Deno.readTextFile(new URL(file, ROOT)).catch(() => "");
    const blocks = text.matchAll(/^```jsonc?\n(.*?)^```/gms);
    configurations.push(
      ...Array.from(blocks, ([, block]) => block!).filter((block) => /"services"/.test(block)),
    );
  }
  assert(configurations.length > 2);
  for (const text of configurations) {
    assert(conforms(parse(text)), `${ajv.errorsText(conforms.errors)}\n${text}`);
    assertEquals(problemsOf(text), [], text);
  }
});

/** Asserts that the schema and the checker agree on a configuration; which verdict it is. */
function compare(configuration: unknown): "both" | "neither" | "beyond" {
  const text = JSON.stringify(configuration);
  const isValid = conforms(JSON.parse(text));
  const problems = problemsOf(text);
  if (!isValid) {
    assert(problems.length > 0, `${ajv.errorsText(conforms.errors)}\n${text}`);
    return "neither";
  }
  const isBeyond = (problem: string) => BEYOND.some((rule) => rule.test(problem));
  assertEquals(problems.filter((problem) => !isBeyond(problem)), [], text);
  return problems.length === 0 ? "both" : "beyond";
}

Deno.test("the schema and the checker agree on every key with values that it may not have", () => {
  for (const key of KEYS) {
    for (
      const value of [...EDGES, ...EDGES.map((value) => [value]), [], {}, { A: "\0" }, { "": "" }]
    ) {
      const property = Object.fromEntries([[key, value]]);
      compare({ services: { a: { module: "a.ts", ...property } } });
      compare({ services: { a: property } });
      compare({ services: { a: {} }, ...property });
    }
  }
});

Deno.test("the schema knows addresses and origins by what the checker makes of them", () => {
  const parts = ["ws://", "unix:", "fd:", ":80", ":", "/", "a", "[::1]", "[", "]", "3", " ", "\n"]
    .concat("?", "#", "%", "@", "*", "é", "http://", "x-y://", "a.example", "\0", '"', "~", "!");
  const text = fc.array(fc.constantFrom(...parts), { maxLength: 6 }).map((parts) => parts.join(""));
  const seen: Record<string, number> = {};
  fc.assert(
    fc.property(text, (text) => {
      for (const key of ["listen", "websocket", "origin"]) {
        const service = { websocket: ":81", [key]: text };
        const isValid = problemsOf(JSON.stringify({ services: { a: service } })).length === 0;
        const isKnown = conforms({ services: { a: service } });
        assert(isKnown || !isValid, `${key}: ${JSON.stringify(text)}`);
        const isSame = isKnown === isValid || key === "origin" || /:\d{5}|\[/.test(text);
        assert(isSame, `${key}: ${JSON.stringify(text)}`);
        const verdict = `${key} ${isValid}`;
        seen[verdict] = (seen[verdict] ?? 0) + 1;
      }
    }),
    { numRuns: 10_000 },
  );
  assertEquals(Object.values(seen).filter((count) => count > 50).length, 6, JSON.stringify(seen));
});

Deno.test("the schema and the checker agree, but for what a schema cannot express", () => {
  const verdicts = { both: 0, neither: 0, beyond: 0 };
  fc.assert(
    fc.property(fc.oneof(plausible, slipped), (configuration) => {
      verdicts[compare(configuration)]++;
    }),
    { numRuns: 2_000 },
  );
  for (const [verdict, count] of Object.entries(verdicts)) {
    assert(count > 100, `${verdict} ${count}`);
  }
});
