import { assertEquals } from "@std/assert";
import { lines } from "../lib/base/lines.ts";

async function linesOf(...chunks: string[]): Promise<string[]> {
  const stream = ReadableStream.from(chunks).pipeThrough(new TextEncoderStream());
  return await Array.fromAsync(lines(stream));
}

Deno.test("lines are found however the input is split", async () => {
  assertEquals(await linesOf("a\nb", "b\r", "\n\nc"), ["a", "bb", "", "c"]);
  assertEquals(await linesOf("a\n"), ["a"]);
  assertEquals(await linesOf(), []);
});

Deno.test("an endless line does not pile up in memory", async () => {
  const found = await linesOf(...Array<string>(100).fill("x".repeat(1000)));
  assertEquals(found.join("").length, 100_000);
  assertEquals(Math.max(...found.map((line) => line.length)), 5000);
});
