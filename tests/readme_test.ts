import { assert, assertEquals } from "@std/assert";
import { END_REASONS } from "../lib/server/end_reason.ts";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";

const README = await Deno.readTextFile(new URL("../README.md", import.meta.url));

Deno.test("the README's handlers do what the README says", async () => {
  const [, section] = /\n## Your own handler in TypeScript\n(.*?)\n## /s.exec(README)!;
  const handlers = [...section!.matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1]!);
  assertEquals(handlers.length, 2);
  assert(README.includes("$ echo hello | nc -N 127.0.0.1 9527\n    HELLO\n"));
  for (const code of handlers) {
    const module = await Deno.makeTempFile({ suffix: ".ts" });
    await Deno.writeTextFile(module, code);
    await using spawnd = await Spawnd.start(module);
    assertEquals(text(await ask(spawnd.port, "hello\n")), "HELLO\n");
    await Deno.remove(module);
  }
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
