import { assert, assertEquals } from "@std/assert";
import { childrenOf, descriptorsOf, waitsForInput } from "./_processes.ts";
import { ask, connectToReset, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { until, untilSteady, within } from "./_waiting.ts";

Deno.test("2,000 short connections leak no descriptors or children", async () => {
  await using spawnd = await Spawnd.start("--warm", "4", "--", "cat");
  const isIdle = () => {
    const children = childrenOf(spawnd.pid);
    return children.length === 4 && children.every(waitsForInput);
  };
  await until("four warm children", isIdle);
  await ask(spawnd.port, "the first"); // what the server opens once is open from here on
  await spawnd.record({ message: "end" });
  await until("four warm children again", isIdle);
  const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
  const before = await descriptors();
  let next = 0;
  const client = async () => {
    while (next < 2000) {
      const question = `question ${next++}`;
      if (next % 10 === 0) await (await connectToReset(spawnd.port))();
      else assertEquals(text(await ask(spawnd.port, question)), question);
    }
  };
  await within("2,000 connections", Promise.all(Array.from({ length: 8 }, client)), 60_000);
  await until("four warm children at the end", isIdle);
  assertEquals(await descriptors(), before);
  spawnd.kill("SIGTERM");
  assertEquals((await spawnd.ended()).code, 0);
});

Deno.test("300 connections at once are all served by the counter service", async () => {
  await using spawnd = await Spawnd.start("--stderr", "null");
  const answers = await within(
    "300 answers",
    Promise.all(Array.from({ length: 300 }, () => ask(spawnd.port, "hello"))),
    60_000,
  );
  for (const answer of answers) {
    assert(text(answer).startsWith("This is server send message:0\0"));
    assertEquals(answer.length, 256);
  }
  await until("300 records", () => spawnd.records({ message: "open" }).length === 300);
  assertEquals(new Set(spawnd.records({ message: "open" }).map(({ pid }) => pid)).size, 300);
});
