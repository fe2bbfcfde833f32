import { assert, assertEquals } from "@std/assert";
import { END_REASONS } from "../lib/server/end_reason.ts";
import { IMPORTS, ModuleFolder } from "./_handlers.ts";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";

const README = await Deno.readTextFile(new URL("../README.md", import.meta.url));

/** The code blocks of the chapter about handlers: a handler, and its test. */
const [HANDLER, TEST] = (() => {
  const [, section] = /\n## Your own handler in TypeScript\n(.*?)\n## /s.exec(README)!;
  return [...section!.matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1]!);
})();

Deno.test("the README's handler does what the README says", async () => {
  const [, answer] = /\$ echo hello \| nc -N 127\.0\.0\.1 9527\n((?: {4}.*\n)+)/.exec(README)!;
  await using folder = await ModuleFolder.make(HANDLER!);
  await using spawnd = await Spawnd.start(folder.module);
  assertEquals(text(await ask(spawnd.port, "hello\n")), answer!.replaceAll(/^ {4}/gm, ""));
});

Deno.test("the README's test of a handler passes", async () => {
  const imports = {
    ...IMPORTS,
    "@spawnd/spawnd/testing": new URL("../lib/handler/testing.ts", import.meta.url).href,
    "@std/assert": "npm:deno-std@^1.4.0/assert/mod.js",
  };
  const shout = HANDLER!
    .replace("{ serve }", "{ type Client, serve }")
    .replace("await serve(async (client) => {", "export async function shout(client: Client) {")
    .replace(/}\);\n$/, "}\nif (import.meta.main) await serve(shout);\n");
  await using folder = await ModuleFolder.make(shout, { imports });
  await Deno.rename(folder.module, `${folder.path}/shout.ts`);
  await folder.write("shout_test.ts", TEST!);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--check", `${folder.path}/shout_test.ts`],
    cwd: folder.path,
    env: { NO_COLOR: "1" },
  }).output();
  assert(success, text(stdout) + text(stderr));
  assert(text(stdout).includes("2 passed"), text(stdout));
});

/** The words in the first column of the README's table with this heading. */
function columnOf(heading: string): string[] {
  const [, rows] = new RegExp(`^\\| ${heading} .*\n\\| -.*\n((?:\\|.*\n)*)`, "m").exec(README)!;
  return [...rows!.matchAll(/^\| `([^`]+)` *\|/gm)].map((match) => match[1]!);
}

/** The words of a union type in a source file. */
async function unionIn(file: string, type: string): Promise<string[]> {
  const source = await Deno.readTextFile(new URL(`../lib/${file}`, import.meta.url));
  const [, union] = new RegExp(`export type ${type} =([^;]*);`).exec(source)!;
  return [...union!.matchAll(/"([\w-]+)"/g)].map((match) => match[1]!);
}

Deno.test("the README's reasons are those a session can end for", () => {
  assertEquals(columnOf("reason"), [...END_REASONS]);
});

Deno.test("the README's refusals are those there are", async () => {
  assertEquals(columnOf("refused"), [
    ...await unionIn("admission/admission.ts", "Refusal"),
    ...await unionIn("admission/intake.ts", "RefusalReason"),
  ]);
});
