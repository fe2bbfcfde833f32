import { assertEquals } from "@std/assert";
import { BLOCK_BYTES, counterBlock } from "../lib/child/counter.ts";
import { ask, receive, send } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { until } from "./_waiting.ts";

/** What the classic server writes: `sprintf` into 256 zero bytes. */
function classicBlock(index: number): Uint8Array {
  const block = new Uint8Array(256);
  block.set([...`This is server send message:${index}`].map((letter) => letter.charCodeAt(0)));
  return block;
}

Deno.test("a block is the numbered text padded with zero bytes to 256", () => {
  for (const index of [0, 9, 10, 12345678]) {
    assertEquals(counterBlock(index), classicBlock(index));
    assertEquals(counterBlock(index).length, BLOCK_BYTES);
  }
});

Deno.test("messages of 1 to 256 bytes in ping-pong each get their own block", async () => {
  await using spawnd = await Spawnd.start("--stderr", "null");
  using conn = await spawnd.connect();
  for (let length = 1; length <= 256; length++) {
    await send(conn, new Uint8Array(length).fill(length));
    assertEquals(await receive(conn, 256), classicBlock(length - 1));
  }
});

Deno.test("600 bytes and end of input are answered by exactly three blocks", async () => {
  await using spawnd = await Spawnd.start();
  assertEquals(
    await ask(spawnd.port, new Uint8Array(600)),
    new Uint8Array([0, 1, 2].flatMap((index) => [...classicBlock(index)])),
  );
});

Deno.test("a client that sends nothing gets nothing", async () => {
  await using spawnd = await Spawnd.start();
  assertEquals(await ask(spawnd.port, ""), new Uint8Array());
});

Deno.test("every connection counts from 0, however many are open", async () => {
  await using spawnd = await Spawnd.start("--stderr", "null");
  using first = await spawnd.connect();
  using second = await spawnd.connect();
  for (const [conn, index] of [[first, 0], [second, 0], [first, 1], [second, 1]] as const) {
    await send(conn, "again");
    assertEquals(await receive(conn, 256), classicBlock(index));
  }
});

Deno.test("a message is reported on one line of stderr, whatever its bytes", async () => {
  await using spawnd = await Spawnd.start();
  await ask(spawnd.port, "hi \x1b[2J\r\n2026 info  forged\u202e\0\xff");
  const line = await until("the report", () => spawnd.lines[0]);
  const { pid } = await spawnd.record({ message: "end" });
  assertEquals(
    line,
    `child ${pid} received 32 bytes: "hi \\u001b[2J\\r\\n2026 info  forged\\u202e\\u0000ÿ"`,
  );
  assertEquals(spawnd.lines.length, 1);
});

Deno.test("a long message is cut in the report, but not in the answer", async () => {
  await using spawnd = await Spawnd.start();
  assertEquals((await ask(spawnd.port, "x".repeat(256))).length, 256);
  const line = await until("the report", () => spawnd.lines[0]);
  assertEquals(line.replace(/^child \d+/, ""), ` received 256 bytes: "${"x".repeat(60)}"…`);
});

Deno.test("at --log-level warn messages are not reported", async () => {
  await using spawnd = await Spawnd.start("--log-level", "warn");
  assertEquals((await ask(spawnd.port, "hello")).length, 256);
  await spawnd.stop();
  assertEquals(spawnd.lines, []);
});
