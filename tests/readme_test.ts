import { assert, assertEquals } from "@std/assert";
import { ask, Spawnd, text } from "./_spawnd.ts";

const README = await Deno.readTextFile(new URL("../README.md", import.meta.url));

Deno.test("the README's handler does what the README says", async () => {
  const [, code] = /Save this as `shout\.ts`:\n\n```ts\n(.*?)```/s.exec(README)!;
  const module = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(module, code!);
  await using spawnd = await Spawnd.start(module);
  assert(README.includes("$ echo hello | nc -N 127.0.0.1 9527\n    HELLO\n"));
  assertEquals(text(await ask(spawnd.port, "hello\n")), "HELLO\n");
  await Deno.remove(module);
});

Deno.test("the README's reasons are those a session can end for", async () => {
  const source = await Deno.readTextFile(new URL("../lib/session.ts", import.meta.url));
  const [, union] = /export type EndReason =([^;]*);/.exec(source)!;
  const reasons = union!.matchAll(/"([\w-]+)"/g).map((match) => match[1]);
  const inReadme = README.matchAll(/^\| `([a-z][\w-]+)` *\|/gm).map((match) => match[1]);
  assertEquals([...inReadme], [...reasons]);
});
