/** What is found in a page of the documentation. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { runPage, script } from "./_page_runner.ts";
import { anchorsOf, blocksOf, commandsOf, isServer, linksOf } from "./_pages.ts";
import { testWith } from "./_test_with.ts";

const PAGE = `# A page

Start it:

    deno run --allow-net main.ts \\
      -- cat

1. In a list:

       true

   <!-- not run: it is
   for an example -->

       false

Save this as \`a.ts\`:

\`\`\`ts
export {};
\`\`\`

    $ echo one
    one
    $ echo two
    …
`;

Deno.test("the blocks of a page have their kind, line, section and marker", () => {
  assertEquals(
    blocksOf("a.md", PAGE).map(({ line, kind, text, name, marker }) => [
      line,
      kind,
      text.split("\n").length,
      name ?? marker,
    ]),
    [
      [5, "commands", 2, undefined],
      [10, "commands", 1, undefined],
      [15, "commands", 1, { notRun: "it is for an example" }],
      [20, "file", 1, "a.ts"],
      [23, "transcript", 4, undefined],
    ],
  );
});

Deno.test("commands may go over several lines, and a transcript has their output", () => {
  const commands = blocksOf("a.md", PAGE).map((block) =>
    commandsOf(block).map(({ line, output }) => [line, output])
  );
  assertEquals(commands[0], [[5, ""]]);
  assertEquals(commands[4], [[23, "one\n"], [25, "…\n"]]);
});

Deno.test("a server is told from what ends by itself", () => {
  const servers = [
    "deno run -A main.ts",
    "npx -y deno run main.ts -- date",
    "spawnd -- git --help",
  ];
  for (const command of servers) assert(isServer(command), command);
  const others = ["deno run -A main.ts --check", "spawnd --once -- cat", "deno check main.ts"];
  for (const command of others) assert(!isServer(command), command);
});

Deno.test("the anchors and links of a page are those that readers see", () => {
  assertEquals(anchorsOf("# It's `a-b`, c\n\n## It's `a-b`, c\n"), ["its-a-b-c", "its-a-b-c-1"]);
  assertEquals(linksOf("[a](b.md#c) `[d](e)` [f](https://g)"), ["b.md#c"]);
});

Deno.test("what is not run is not in the script of a page", () => {
  assertStringIncludes(script("a.md", PAGE), "a.md:10");
  assert(!script("a.md", PAGE).includes("a.md:15"));
});

for (
  const [trouble, block, message] of [
    ["a command that fails", "    true\n    false\n", "broken.md:2\nfalse\nit ended with 1"],
    ["a pipe of which a part fails", "    false | true\n", "it ended with 1"],
    ["a transcript of a command that is none", "    $ none | cat\n    …\n", "it ended with 127"],
    ["a block of an unknown kind", "```python\nprint()\n```\n", "it is not known what"],
    ["an output that differs", "    $ echo one\n    two\n", "its output is: one"],
    ["a server that does not start", "    deno run main.ts --prot 1\n", "it does not listen"],
    [
      "a server that has gone before",
      "    deno run --allow-net --allow-run main.ts\n    kill -KILL $(pgrep -x deno | head -n 1); sleep 0.2\n",
      "there is no process of Deno to end",
    ],
  ] as const
) {
  testWith(
    "bwrap git",
    "bubblewrap git",
    `a page fails for ${trouble}, and says where`,
    async () => {
      const { message: said } = await runPage("broken.md", block).then(
        () => new Error("it did not fail"),
        (error) => error,
      );
      assertStringIncludes(said, message);
    },
  );
}
