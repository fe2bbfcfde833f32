/** --check-types: whether the types of a module are checked before it serves. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { GREET, ModuleFolder } from "./_handlers.ts";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";

const WRONG = GREET.replace("client.lines()", "client.lines({ maxLength: '80' })");

Deno.test("types are not checked unless it is asked for", async () => {
  await using folder = await ModuleFolder.make(WRONG);
  await using spawnd = await Spawnd.start("--warm", "1", folder.module);
  assert(text(await ask(spawnd.port, "hi")).endsWith("hi!\n"));
});

Deno.test("with --check-types a type that is wrong is one line, with its place", async () => {
  await using folder = await ModuleFolder.make(WRONG);
  await using spawnd = Spawnd.starting("--check-types", folder.module);
  assertEquals((await spawnd.ended()).code, 1);
  assertEquals(spawnd.lines, [
    `spawnd: Cannot start "${folder.module}": TS2322: Type 'string' is not assignable to type ` +
    `'number'. at file://${folder.module}:4:43`,
  ]);
});

Deno.test("with --check-types the first of several errors is shown", async () => {
  await using folder = await ModuleFolder.make(`import "./own.ts";`);
  await folder.write("own.ts", "export const a: string = 1;\nexport const b: number = a;\n");
  await using spawnd = Spawnd.starting("--check-types", folder.module);
  assertEquals((await spawnd.ended()).code, 1);
  assertEquals(spawnd.lines.length, 1);
  assertMatch(spawnd.lines[0]!, /own\.ts:1:14 \(the first of 2 errors\)$/);
});

Deno.test("with --check-types a reload keeps what runs, if a type is wrong", async () => {
  await using folder = await ModuleFolder.make(GREET);
  await using spawnd = await Spawnd.start("--check-types", "--warm", "1", folder.module);
  await folder.change(WRONG);
  spawnd.kill("SIGHUP");
  const { error } = await spawnd.record({ level: "ERROR", message: /^cannot reload/ });
  assertMatch(String(error), /TS2322/);
  assert(text(await ask(spawnd.port, "hi")).endsWith("hi!\n"));
});

Deno.test("--check-types is for modules, and --check shows it", async () => {
  await using program = Spawnd.run("--check-types", "--", "cat");
  assertEquals((await program.ended()).code, 2);
  assertMatch(program.lines.join("\n"), /--check-types applies to modules only/);
  await using folder = await ModuleFolder.make(GREET);
  await using spawnd = Spawnd.run("--check", "--check-types", folder.module);
  assertEquals((await spawnd.ended()).code, 0);
  assertMatch(spawnd.stdout, /^ +check-types +true$/m);
});

Deno.test("a module that lacks the import map is told what to add", async () => {
  await using folder = await ModuleFolder.make(GREET, {});
  await using spawnd = Spawnd.starting(folder.module);
  assertEquals((await spawnd.ended()).code, 1);
  assertMatch(
    spawnd.lines.join("\n"),
    /\(map it to file:\S+\/lib\/handler\/serve\.ts in the imports of a deno\.json beside the module\)$/,
  );
});
