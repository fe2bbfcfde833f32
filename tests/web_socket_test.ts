/**
 * WebSockets end to end: what a message is, what a handler is told, and where it is served.
 */

import { assert, assertEquals } from "@std/assert";
import { assertSameBytes } from "./_sockets.ts";
import { frame } from "./_web_frames.ts";
import { serveWeb, serveWebAt, serveWebScript, WebClient } from "./_web_socket.ts";
import { within } from "./_waiting.ts";

Deno.test("a message is a line of the child's, and a line is a message", async () => {
  await using spawnd = await serveWeb("--", "cat");
  using client = await WebClient.connect(spawnd);
  await client.send(frame("text", "hello"), frame("binary", "world"), frame("text"));
  assertEquals(await client.message(), "hello");
  assertEquals(await client.message(), "world");
  assertEquals(await client.message(), "");
  await client.leave(1000);
  const { in: input, out, reason, exit } = await spawnd.record({ message: "end" });
  assertEquals([input, out, reason, exit], [13, 13, "client-closed", 0]);
});
