/**
 * The configuration file under random input: whatever is in it, there is a configuration that a
 * server takes, or an error that a person can read.
 */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { UsageError } from "../lib/cli/command_line.ts";
import { type Configuration, parseConfiguration } from "../lib/cli/config_file.ts";
import { resolveSettings } from "../lib/server/settings.ts";
import { anyValue, plausible, slipped } from "./_configurations.ts";
import { Spawnd } from "./_spawnd.ts";

/** A problem is read in a terminal, and quotes what it is about in part only. */
const MAX_LENGTH = 1_000;

/** Asserts that `text` is a configuration, or has problems of a line each. */
function assertHandled(text: string): Configuration | undefined {
  let configuration;
  try {
    configuration = parseConfiguration(text, "services.jsonc");
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    assert(error.problems.length > 0);
    for (const problem of error.problems) {
      assert(
        /^services\.jsonc:(\d+: [^\p{C}\p{Zl}\p{Zp}]+| there is more)/u.test(problem),
        problem,
      );
      assert(!/[\n\r\p{Cc}\p{Zl}\p{Zp}]/u.test(problem) && problem.length < MAX_LENGTH, problem);
    }
    return undefined;
  }
  assert(configuration.services.size > 0);
  for (const options of configuration.services.values()) resolveSettings(options);
  return configuration;
}

Deno.test("any text is a configuration or an error", () => {
  const json = fc.constantFrom(
    ...'{ } [ ] : , " \\ \\u00 // /* */ - 1e999 .5 0x1 true nul null "services" "a" "listen" \n \r\ufeff \0'
      .split(" "),
  );
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(json).map((words) => words.join("")),
    fc.json(),
  );
  fc.assert(fc.property(text, (text) => void assertHandled(text)), { numRuns: 3_000 });
});

Deno.test("any value in any key is a configuration or an error, and what is plausible is often right", () => {
  let right = 0;
  fc.assert(
    fc.property(fc.oneof(plausible, slipped, anyValue), (value) => {
      if (assertHandled(JSON.stringify(value))) right++;
    }),
    { numRuns: 2_000 },
  );
  assert(right > 100, `${right}`);
});

Deno.test("a configuration with a part cut out, doubled or replaced is one, or an error", () => {
  const change = fc.tuple(
    fc.nat(),
    fc.nat(40),
    fc.constantFrom("", "twice", ...'{}[]:,"\\/\n1'.split("")),
  );
  const changed = fc.tuple(plausible, fc.array(change, { minLength: 1, maxLength: 3 }))
    .map(([configuration, changes]) =>
      changes.reduce((text, [from, length, by]) => {
        const start = from % text.length;
        const part = text.slice(start, start + length);
        return text.slice(0, start) + (by === "twice" ? part + part : by) +
          text.slice(start + length);
      }, JSON.stringify(configuration, null, 1))
    );
  fc.assert(fc.property(changed, (text) => void assertHandled(text)), { numRuns: 3_000 });
});

Deno.test("a huge file with everything wrong is refused soon, with some of it", () => {
  const keys = Array.from(
    { length: 20_000 },
    (_, index) => `"max-per-source-${index.toString(36).padStart(24, "-")}": 1`,
  );
  const texts = [
    `{${keys.join(",\n")}}`,
    `{ "services": { ${keys.join(",\n")} } }`,
    `{ "services": { "a": { "allow": [${"1,\n".repeat(300_000)}] } } }`,
    `{${",\n".repeat(500_000)}`,
    "[".repeat(1_000_000),
    '{"services":'.repeat(80_000),
    `"${"\\u0007".repeat(150_000)}"`,
  ];
  for (const text of texts) {
    const beganAtMs = performance.now();
    assertEquals(assertHandled(text), undefined);
    const seconds = (performance.now() - beganAtMs) / 1000;
    assert(seconds < 10, `${text.slice(0, 20)} took ${seconds} s`);
  }
});

/** Files that are wrong in one way each. */
const BROKEN = [
  "",
  " \n",
  "// nothing",
  "/*",
  "null",
  "[]",
  '"services"',
  "{",
  "{}}",
  "{ services: {} }",
  "{ 'services': {} }",
  '{ "services": }',
  '{ "services": [] }',
  '{ "services": {} }',
  '{ "services": { "a": 1 } }',
  '{ "services": { "a": null } }',
  '{ "services": { "A": {} } }',
  '{ "services": { "": {} } }',
  '{ "services": { "a": {}, "a": {} } }',
  '{ "services": { "a": {}, "b": {} } }',
  '{ "services": { "a": { "listen": 9527 } } }',
  '{ "services": { "a": { "listen": "9527" } } }',
  '{ "services": { "a": { "listen": ":1" }, "b": { "listen": "[::]:1" } } }',
  '{ "services": { "a": { "port": "x" } } }',
  '{ "services": { "a": { "port": 1e999 } } }',
  '{ "services": { "a": { "cert": "x" } } }',
  '{ "services": { "a": { "cert": ["x", "y"], "key": "z" } } }',
  '{ "services": { "a": { "module": "cat" } } }',
  '{ "services": { "a": { "module": "a.ts", "command": ["cat"] } } }',
  '{ "services": { "a": { "module": "a.ts", "grant": [1] } } }',
  '{ "services": { "a": { "command": [] } } }',
  '{ "services": { "a": { "command": [""] } } }',
  '{ "services": { "a": { "command": ["a\\u0000b"] } } }',
  '{ "services": { "a": { "args": [] } } }',
  '{ "services": { "a": { "env": { "A=B": "" } } } }',
  '{ "services": { "a": { "env": ["TZ=UTC"] } } }',
  '{ "services": { "a": { "user": "git", "uid": 1, "gid": 1 } } }',
  '{ "services": { "a": { "uid": 1 } } }',
  '{ "services": { "a": { "idle-timeout": -1 } } }',
  '{ "services": { "a": { "__proto__": 1, "constructor": 2 } } }',
  '{ "log-level": "loud", "services": { "a": {} } }',
  `{ "services": ${"[".repeat(20_000)}`,
  "\u0000\u0001\u001b[2J\u2028",
];

Deno.test("the program says what is wrong with a broken file, and exits with 2", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/services.jsonc`;
  for (const text of BROKEN) {
    await Deno.writeTextFile(path, text);
    const permissions = ["--allow-net", "--allow-run", `--allow-read=${path}`];
    await using spawnd = Spawnd.runWith(permissions, "--config", path);
    assertEquals((await spawnd.ended()).code, 2, text);
    assertEquals([spawnd.stdout, spawnd.log], ["", []]);
    const problems = spawnd.lines.filter((line) => line.startsWith(`spawnd: ${path}:`));
    assert(
      problems.length > 0 && problems.length === spawnd.lines.length,
      spawnd.lines.join("\n"),
    );
  }
  await Deno.remove(folder, { recursive: true });
});
