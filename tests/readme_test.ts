import { assert, assertEquals } from "@std/assert";
import { NOT_SHOWN, OVER, RECOVERIES } from "../lib/base/log.ts";
import { END_REASONS } from "../lib/server/end_reason.ts";
import { columnOf, EVENTS } from "./_events.ts";
import { IMPORTS, ModuleFolder } from "./_handlers.ts";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";

const read = (page: string) => Deno.readTextFile(new URL(`../${page}`, import.meta.url));
const README = await read("README.md");
const REFERENCE = await read("docs/reference.md");
const HANDLERS = await read("docs/handlers.md");

/** The first blocks of code about handlers: the handler and its test. */
const [HANDLER, TEST] = [README, HANDLERS.split("### Its test")[1]!].map((text) =>
  /```ts\n(.*?)```/s.exec(text)![1]!
);

Deno.test("the README's handler does what the README says", async () => {
  const [, answer] = /\$ echo hello \| nc -N 127\.0\.0\.1 9527\n((?: {4}.*\n)+)/.exec(README)!;
  assert(HANDLERS.includes(HANDLER!));
  await using folder = await ModuleFolder.make(HANDLER!);
  await using spawnd = await Spawnd.start(folder.module);
  assertEquals(text(await ask(spawnd.port, "hello\n")), answer!.replaceAll(/^ {4}/gm, ""));
});

Deno.test("the test of a handler in docs/handlers.md passes", async () => {
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

/** The words of a union type in a source file. */
async function unionIn(file: string, type: string): Promise<string[]> {
  const source = await Deno.readTextFile(new URL(`../lib/${file}`, import.meta.url));
  const [, union] = new RegExp(`export type ${type} =([^;]*);`).exec(source)!;
  return [...union!.matchAll(/"([\w-]+)"/g)].map((match) => match[1]!);
}

Deno.test("the reference's reasons are those a session can end for", () => {
  assertEquals(columnOf("reason"), [...END_REASONS]);
});

Deno.test("the reference's refusals are those there are", async () => {
  assertEquals(columnOf("refused"), [
    ...await unionIn("admission/admission.ts", "Refusal"),
    ...await unionIn("admission/intake.ts", "RefusalReason"),
  ]);
});

Deno.test("the reference has every event of the log", async () => {
  const documented = [...EVENTS].flat(2);
  const events = new Set<string>([...Object.values(RECOVERIES), NOT_SHOWN]);
  for await (const source of sources()) {
    for (
      const [, event] of source.matchAll(/(?<!console)\.(?:debug|info|warn|error)\(\s*"([^"]+)"/g)
    ) {
      events.add(event!);
    }
  }
  assert(events.size > 25, [...events].join());
  assertEquals([...events].filter((event) => !documented.includes(event)), []);
  assertEquals(Object.keys(OVER).filter((warning) => !events.has(warning)), []);
});

Deno.test("the reference has every metric, and no other one", async () => {
  const [, table] = /^\| metric .*\n\| -.*\n((?:\|.*\n)*)/m.exec(REFERENCE)!;
  const documented = [...table!.matchAll(/^\| (.*?) *\|/gm)]
    .flatMap(([, cell]) => [...cell!.matchAll(/`(\w+)`/g)].map((match) => match[1]!));
  await using spawnd = await Spawnd.start("--status", "0", "--max-children", "9");
  const response = await fetch(new URL("metrics", await spawnd.statusUrl()));
  const names = [...(await response.text()).matchAll(/^# TYPE (\w+)/gm)].map((match) => match[1]!);
  assertEquals(documented.toSorted(), names.toSorted());
});

/** The sources of the server. */
async function* sources(folder = new URL("../lib/", import.meta.url)): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* sources(new URL(`${name}/`, folder));
    else if (name.endsWith(".ts")) yield await Deno.readTextFile(new URL(name, folder));
  }
}
