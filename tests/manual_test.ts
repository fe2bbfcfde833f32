/**
 * docs/spawnd.1: it is that of the option table, and reads without a warning in groff, which man uses, and mandoc.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { UNSET_VARIABLES } from "../lib/child/environment.ts";
import { ALL_OPTIONS } from "../lib/cli/command_options.ts";
import { manual } from "../lib/cli/manual.ts";
import { prose } from "../lib/cli/mdoc.ts";
import { defaultOf, EXIT_STATUS, SIGNALS } from "../lib/cli/usage.ts";
import { text } from "./_sockets.ts";
import { testWith } from "./_test_with.ts";
import { within } from "./_waiting.ts";

const PAGE = new URL("../docs/spawnd.1", import.meta.url).pathname;

async function run(command: string, ...args: string[]): Promise<[stdout: string, stderr: string]> {
  const { stdout, stderr } = await within(
    command,
    new Deno.Command(command, {
      args,
      env: { LC_ALL: "C.UTF-8" },
      stdin: "null",
    }).output(),
  );
  return [text(stdout), text(stderr)];
}

/** Asserts that a page in plain text has all that the tables have. */
function assertComplete(page: string): void {
  const options = page.slice(page.indexOf("\nOPTIONS"), page.indexOf("\nCONFIGURATION FILE"));
  const entries = options.split(/\n(?= {5}-)/).map((entry) => entry.replaceAll(/\s+/g, " ").trim());
  for (const [, option] of ALL_OPTIONS) {
    const { name, short, argument, help, needs = [], words = [] } = option;
    const term = `${short ? `-${short}, ` : ""}--${name}${argument ? ` ${argument}` : ""} `;
    const [entry, ...others] = entries.filter((entry) => entry.startsWith(term));
    assert(entry !== undefined && others.length === 0, `one entry for ${term}`);
    const standard = defaultOf(option);
    const texts = [
      help.slice(1),
      ...needs,
      ...words,
      ...(standard ? [`Default: ${standard}.`] : []),
    ];
    for (const text of texts) assertStringIncludes(entry, text);
  }
  const words = page.replaceAll(/\s+/g, " ");
  for (const table of [SIGNALS, EXIT_STATUS]) {
    for (const [term, text] of Object.entries(table)) {
      assertStringIncludes(words, `${term} ${text.charAt(0).toUpperCase()}${text.slice(1)}.`);
    }
  }
  for (const name of Object.keys(UNSET_VARIABLES)) assertStringIncludes(words, name);
}

Deno.test("docs/spawnd.1 is what deno task docs writes", async () => {
  assertEquals(await Deno.readTextFile(PAGE), manual());
});

testWith("groff", "groff-base", "groff renders every option, without a warning", async () => {
  const options = ["-ww", "-mandoc", "-Tutf8", "-rLL=100n", "-P-c", "-P-b", "-P-o", "-P-u"];
  const [page, warnings] = await run("groff", ...options, PAGE);
  assertEquals(warnings, "");
  assertComplete(page.replaceAll(/\u2010\n */g, "")); // hyphenation
});

testWith("mandoc", "mandoc", "mandoc renders every option, without a warning", async () => {
  const lint = await run("mandoc", "-T", "lint", "-W", "warning", PAGE);
  assertEquals(lint, ["", ""]);
  const [page] = await run("mandoc", "-T", "utf8", "-O", "width=100", PAGE);
  assertComplete(page.replaceAll(/.[\b]/g, ""));
});

Deno.test("nothing in a text is taken for a macro or an escape sequence", () => {
  assertEquals(
    prose(".Sh 'x' \\n ~/^ --port"),
    "\\&.Sh \\(aqx\\(aq \\en \\(ti/\\(ha \\%\\-\\-port.",
  );
  assertEquals(prose("'quoted' text"), "\\(aqquoted\\(aq text.");
  for (const line of prose(`${"x".repeat(70)} .Sh NAME`).split("\n")) assert(!/^[.']/.test(line));
});
