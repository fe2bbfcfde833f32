/**
 * WebSockets end to end: what a message is, and what becomes of one.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { withFolder } from "./_programs.ts";
import { assertSameBytes, concat, text } from "./_sockets.ts";
import { within } from "./_waiting.ts";
import { frame } from "./_web_frames.ts";
import { serveWeb, serveWebScript, WebClient } from "./_web_socket.ts";

const encoder = new TextEncoder();

Deno.test("a message is a line of the child's input, and a line of its output is a message", async () => {
  await using spawnd = await serveWeb("--", "cat");
  using client = await WebClient.connect(spawnd);
  await client.send(frame("text", "hello"), frame("binary", "world"), frame("text"));
  for (const expected of ["hello", "world", ""]) assertEquals(await client.message(), expected);
  await client.leave(1000);
  const { in: input, out, reason, exit } = await spawnd.record({ message: "end" });
  assertEquals([input, out, reason, exit], [13, 13, "client-closed", 0]);
});

Deno.test("lines end with LF or CRLF, and an unfinished one is a message at the end", async () => {
  await using spawnd = await serveWebScript(
    `printf 'one\\r\\n\\ntwo\\rthree\\nf\\303\\266ur\\377'`,
  );
  using client = await WebClient.connect(spawnd);
  for (const expected of ["one", "", "two\rthree", "föur\ufffd"]) {
    assertEquals(await client.message(), expected);
  }
  assertEquals(await client.closed(), [1000, ""]);
});

Deno.test("a line of a megabyte is one message in fragments", async () => {
  await using spawnd = await serveWebScript(
    "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo next",
  );
  using client = await WebClient.connect(spawnd);
  const first = await client.receive();
  assertEquals([first?.kind, first?.isFinal], ["text", false]);
  let length = first!.bytes.length;
  for (let isFinal = false; !isFinal;) {
    const next = (await client.receive())!;
    assertEquals(next.kind, "continuation");
    length += next.bytes.length;
    isFinal = next.isFinal;
  }
  assertEquals(length, 1_000_000);
  assertEquals(await client.message(), "next");
  assertEquals(await client.closed(), [1000, ""]);
});

Deno.test("in the mode text, text goes as it comes; in the mode bytes, all bytes do", async () => {
  const script = "printf 'a\\nb\\377'; exec cat";
  await using texts = await serveWebScript(script, "--ws-mode", "text");
  using reader = await WebClient.connect(texts);
  assertEquals(await reader.message(), "a\nb\ufffd");
  await reader.send(frame("text", "x", { isFinal: false }), frame("continuation", "y"));
  assertEquals(await reader.message(), "xy");
  await reader.leave();

  await using bytes = await serveWebScript(script, "--ws-mode", "bytes");
  using client = await WebClient.connect(bytes);
  assertEquals(await client.message(), Uint8Array.of(97, 10, 98, 255));
  const all = Uint8Array.from({ length: 256 }, (_, index) => index);
  await client.send(frame("binary", all));
  assertEquals(await client.message(), all);
  await client.send(frame("text", "text, too"));
  assertEquals(await client.message(), encoder.encode("text, too"));
  await client.leave();
});

Deno.test("a character that the child writes in two parts arrives whole", async () => {
  await using spawnd = await serveWebScript(
    "printf 'a\\303'; read -r _; printf '\\266\\n'; read -r _; printf '\\303'",
  );
  using client = await WebClient.connect(spawnd, {
    headers: { "Sec-WebSocket-Protocol": "spawnd.text" },
  });
  assertEquals(await client.message(), "a");
  await client.send(frame("text", "\n"));
  assertEquals(await client.message(), "ö\n");
  await client.send(frame("text", "\n"));
  assertEquals(await client.message(), "\ufffd");
  assertEquals(await client.closed(), [1000, ""]);
});

Deno.test("the counter service speaks bytes", async () => {
  await using spawnd = await serveWeb();
  using client = await WebClient.connect(spawnd);
  for (const index of [0, 1]) {
    await client.send(frame("text", "message"));
    const block = await client.message() as Uint8Array;
    assertEquals(block.length, 256);
    assertMatch(text(block), new RegExp(`^This is server send message:${index}\0`));
  }
  await client.leave(1000);
  await spawnd.record({ message: "open", start: "warm" });
  const { in: input, out } = await spawnd.record({ message: "end" });
  assertEquals([input, out], [14, 512]);
});

Deno.test("a banner is the first message", async () => {
  await using spawnd = await serveWeb("--banner", "welcome\n", "--", "cat");
  using client = await WebClient.connect(spawnd);
  assertEquals(await client.message(), "welcome");
  await client.send(frame("text", "x"));
  assertEquals(await client.message(), "x");
  await client.leave();
});

for (const warm of [0, 2]) {
  Deno.test(`a module is served ${warm ? "warm" : "cold"}, by Deno's own client`, async () => {
    await withFolder(async (folder) => {
      await Deno.writeTextFile(
        `${folder}/handler.ts`,
        `for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
           Deno.stdout.writeSync(new TextEncoder().encode(text.toUpperCase()));
         }`,
      );
      await using spawnd = await serveWeb("--warm", `${warm}`, `${folder}/handler.ts`);
      for (let round = 0; round < 3; round++) {
        const socket = new WebSocket(`ws://127.0.0.1:${spawnd.port}/`);
        const messages: unknown[] = [];
        const closed = new Promise<CloseEvent>((resolve) => socket.onclose = resolve);
        socket.onopen = () => {
          socket.send("one");
          socket.send(encoder.encode("two"));
        };
        socket.onmessage = ({ data }) => {
          messages.push(data);
          if (messages.length === 2) socket.close(4321, "enough");
        };
        const { code, wasClean } = await within("the end", closed);
        assertEquals([messages, code, wasClean], [["ONE", "TWO"], 4321, true]);
      }
      const { reason, exit } = await spawnd.record({ message: "end", id: 3 });
      assertEquals([reason, exit], ["client-closed", 0]);
    });
  });
}

Deno.test("what follows the request at once, or comes byte by byte, is read", async () => {
  await using spawnd = await serveWeb("--", "cat");
  const frames = [frame("text", "one"), frame("text", "two"), frame("ping", "three")];
  using quick = await WebClient.open(await spawnd.connect(), {}, ...frames);
  const received = [await quick.receive(), await quick.receive(), await quick.receive()];
  const words = received.map((frame) => [frame!.kind, text(frame!.bytes)]);
  assertEquals(words.toSorted(), [["pong", "three"], ["text", "one"], ["text", "two"]]);
  await quick.leave();

  using slow = await WebClient.connect(spawnd);
  const bytes = concat([frame("text", "ö".repeat(70), { isFinal: false }), ...frames.slice(2)]);
  for (const byte of concat([bytes, frame("continuation", "!")])) {
    await slow.send(Uint8Array.of(byte));
  }
  assertEquals(text((await slow.receive())!.bytes), "three");
  assertEquals(await slow.message(), `${"ö".repeat(70)}!`);
  await slow.leave();
});

Deno.test("16 MB of bytes go through and come back intact", async () => {
  await using spawnd = await serveWeb(
    ...["--ws-mode", "bytes", "--ws-max-message", "100000000", "--", "cat"],
  );
  const sent = new Uint8Array(16 * 1024 * 1024);
  for (let at = 0; at < sent.length; at += 65_536) {
    crypto.getRandomValues(sent.subarray(at, at + 65_536));
  }
  using client = await WebClient.connect(spawnd);
  const sending = client.send(frame("binary", sent));
  const chunks: Uint8Array[] = [];
  for (let length = 0; length < sent.length; length += chunks.at(-1)!.length) {
    chunks.push(await client.message() as Uint8Array);
  }
  assertSameBytes(concat(chunks), sent);
  await sending;
  await client.leave(1001);
  const { in: input, out } = await spawnd.record({ message: "end" });
  assertEquals([input, out], [sent.length, sent.length]);
});
