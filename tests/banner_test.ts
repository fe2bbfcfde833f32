/** `--banner`: what a client is sent first. */

import { assertEquals, assertMatch } from "@std/assert";
import { ask, connectToReset, receive, text } from "./_sockets.ts";
import { serveScript, Spawnd } from "./_spawnd.ts";
import { until } from "./_waiting.ts";

for (const warm of ["0", "1"]) {
  Deno.test(`a banner comes before the output of a child, with --warm ${warm}`, async () => {
    await using spawnd = await serveScript(
      "echo started; cat",
      ...["--warm", warm, "--banner", "220 ready\r\n"],
    );
    assertEquals(text(await ask(spawnd.port, "hello")), "220 ready\r\nstarted\nhello");
    const { out } = await spawnd.record({ message: "end" });
    assertEquals(out, "started\nhello".length); // what the child has said
  });
}

Deno.test("a banner comes before the client has said anything", async () => {
  await using spawnd = await Spawnd.start("--banner", "hello", "--", "cat");
  using conn = await spawnd.connect();
  assertEquals(text(await receive(conn, 5)), "hello");
});

Deno.test("a client that has left before its banner ends as any other", async () => {
  await using spawnd = await Spawnd.start("--banner", "hello", "--", "cat");
  const { reason } = await until("a client that has been accepted", async () => {
    await (await connectToReset(spawnd.port))(); // which may come before the accept
    return spawnd.records({ message: "end" })[0];
  });
  assertMatch(String(reason), /^client-/);
});

Deno.test("a refused client gets no banner", async () => {
  await using spawnd = await Spawnd.start(
    ...["--banner", "hello", "--deny", "127.0.0.1", "--refusal", "no", "--", "cat"],
  );
  assertEquals(text(await ask(spawnd.port, "")), "no");
});
