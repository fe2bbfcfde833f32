/** A program that `deno compile` has made; the flag that it would have is set in an ordinary one. */

import { assertEquals } from "@std/assert";
import { run } from "./_service.ts";
import { Spawnd } from "./_spawnd.ts";

const COMPILED = "--preload=data:text/javascript," + encodeURIComponent(
  `Object.defineProperty(Deno, "build", { value: { ...Deno.build, standalone: true } });`,
);

Deno.test("a compiled spawnd says in one line that it cannot be compiled", async () => {
  for (const args of [[], ["handler.ts"], ["--", "cat"]]) {
    await using spawnd = Spawnd.runWith([COMPILED, "--allow-net", "--allow-run"], ...args);
    assertEquals((await spawnd.ended()).code, 1);
    assertEquals(spawnd.lines, [
      "spawnd: deno compile cannot make a program of spawnd: its children need deno. Use deno install",
    ]);
  }
});

Deno.test("a compiled program that uses the library does not start itself as a child", async () => {
  const library = new URL("../lib/mod.ts", import.meta.url).href;
  const program = `import { counterHandler } from "${library}"; counterHandler();`;
  const { code, stderr } = await run([
    ...[Deno.execPath(), "run", COMPILED],
    `data:text/javascript,${encodeURIComponent(program)}`,
  ], { env: { NO_COLOR: "1" } });
  assertEquals(code, 1);
  assertEquals(
    stderr.includes("Cannot run modules in a compiled program: they need the deno program"),
    true,
    stderr,
  );
});
