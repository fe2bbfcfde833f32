/**
 * The README of the examples, and the handlers that echo.
 */

import { assert, assertEquals } from "@std/assert";
import { COMMANDS, dialogue, HANDLERS, joinLines, README, ROOT, start } from "./_examples.ts";
import { ask, assertSameBytes, receive, send, text } from "./_sockets.ts";

Deno.test("the examples' README starts exactly what is tested here", () => {
  assertEquals(
    COMMANDS.map((command) => HANDLERS.findLast((handler) => command.includes(handler))),
    HANDLERS,
  );
});

Deno.test("every example is in the README, and its header has the same command", async () => {
  for await (const { name } of Deno.readDir(`${ROOT}examples`)) {
    if (name === "README.md") continue;
    assert(README.includes(`[${name}](${name})`), `the README has no link to ${name}`);
    const source = joinLines(await Deno.readTextFile(`${ROOT}examples/${name}`));
    const command = COMMANDS.find((command) => command.includes(`examples/${name}`));
    assert(command && source.includes(`     ${command}\n`), `${name} has another command`);
  }
});

Deno.test("echo.ts sends back what it gets, byte for byte", async () => {
  await using spawnd = await start("examples/echo.ts");
  const { question, answer } = dialogue("examples/echo.ts");
  assertEquals(text(await ask(spawnd.port, question)), answer);
  const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => index % 251);
  assertSameBytes(await ask(spawnd.port, bytes), bytes);
  const { exit, reason } = await spawnd.record({ message: "end", in: bytes.length });
  assertEquals([exit, reason], [0, "client-closed"]);
});

for (const handler of ["examples/echo.ts", "examples/whoami.ts"] as const) {
  Deno.test(`${handler} exits quietly when its client leaves midway`, async () => {
    await using spawnd = await start(handler);
    const conn = await spawnd.connect();
    const sending = send(conn, new Uint8Array(32 * 1024 * 1024)).catch(() => {}); // cut short
    await receive(conn, 1024);
    conn.close();
    await sending;
    const { exit, reason } = await spawnd.record({ message: "end" });
    assertEquals([exit, reason], [0, "client-reset"]);
    assertEquals(spawnd.lines, []);
  });
}
