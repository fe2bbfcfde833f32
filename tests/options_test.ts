import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseCommandLine } from "../lib/cli/command_line.ts";
import { COMMAND_OPTIONS } from "../lib/cli/command_options.ts";
import { defaultOf, usage } from "../lib/cli/usage.ts";
import { MODULE_OPTIONS, type Option, OPTIONS, THEMES } from "../lib/server/options.ts";
import { resolveSettings } from "../lib/server/settings.ts";

const ALL_OPTIONS: Option[] = [OPTIONS, MODULE_OPTIONS, COMMAND_OPTIONS].flatMap((table) =>
  Object.values<Option>(table)
);

Deno.test("the usage text fits a terminal, and every option is in it with all its facts", () => {
  for (const line of usage().split("\n")) {
    assert(line.length <= 80 && line === line.trimEnd(), `${line}|`);
  }
  const entries = usage().split(/\n(?= {2}-|\n)/).map((entry) => entry.replaceAll(/\s+/g, " "));
  for (const { name, short, argument, help, ...option } of ALL_OPTIONS) {
    const term = ` ${short ? `-${short}, ` : ""}--${name}${argument ? ` ${argument}` : ""} ${help}`;
    const entry = entries.find((entry) => entry.startsWith(term)) ?? "";
    assert(entry !== "", term);
    assertEquals(entry.includes("may be repeated"), option.repeatable ?? false, entry);
    for (const word of [...option.needs ?? [], ...option.words ?? []]) {
      assert(entry.includes(word), entry);
    }
  }
  for (
    const [name, end] of Object.entries({
      "-p, --port": "TCP port; 0 takes a free one (default 9527)",
      "--eof-timeout": "0 is no limit (default 30)",
      "--stderr": "goes: inherit, log, client or null (default inherit)",
      "--cert": "the first; may be repeated; needs --key and Deno's --allow-read",
    })
  ) {
    const entry = entries.find((entry) => entry.startsWith(` ${name} `));
    assert(entry?.endsWith(end), entry);
  }
});

Deno.test("every option of a server or a module has one theme", () => {
  assertEquals(Object.values(THEMES).flatMap(Object.keys), [
    ...Object.keys(OPTIONS),
    ...Object.keys(MODULE_OPTIONS),
  ]);
});

Deno.test("the tables of the reference have every option with its argument and default", async () => {
  const reference = await Deno.readTextFile(new URL("../docs/reference.md", import.meta.url));
  const rows = reference.matchAll(/^\| `(?:-\w`, `)?--([\w-]+)(?: ([^`]+))?` *\| ([^|]*?) *\|/gm);
  assertEquals(
    [...rows].map(([, name, argument, standard]) => [name, argument, standard]),
    ALL_OPTIONS.map((option) => [option.name, option.argument, defaultOf(option)]),
  );
});

Deno.test("the documentation of ServerOptions has the defaults of the table", async () => {
  const source = await Deno.readTextFile(new URL("../lib/server/options.ts", import.meta.url));
  const documented = [...source.matchAll(/@default \{(.*)\}\n +\*\/\n +(\w+)\?: /g)];
  assertEquals(
    documented.map(([, standard, key]) => [key, standard]),
    Object.entries<Option>(OPTIONS).map(([key, option]) => [
      key,
      ["warm", "wsMode"].includes(key) ? `handler.${key}` : String(JSON.stringify(option.default)),
    ]),
  );
});

Deno.test("a server option out of range is a RangeError that names it", () => {
  const { handler } = parseCommandLine([]).server;
  for (const [name, { range }] of Object.entries<Option>(OPTIONS)) {
    if (range === undefined) continue;
    const [min, max] = range;
    for (const value of [min - 1, max + 1, min + 0.5, NaN]) {
      const { message } = assertThrows(
        () => resolveSettings({ handler, gid: 1, [name]: value }),
        RangeError,
      );
      assertEquals(
        message,
        `Cannot listen as ${name} must be a whole number from ${min} to ${max}: current value is ${value}`,
      );
    }
    for (const value of [min, max]) resolveSettings({ handler, gid: 1, [name]: value });
  }
});
