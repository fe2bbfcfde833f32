/** What a handler sees of its client, over a transport in memory. */

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import process from "node:process";
import fc from "fast-check";
import { TimeoutError } from "../lib/handler/serve.ts";
import { LineTooLongError, TransportClient } from "../lib/handler/transport_client.ts";
import { concat, text } from "./_sockets.ts";
import { within } from "./_waiting.ts";

const bytesOf = (input: string) => new TextEncoder().encode(input);

/** A client that sends these pieces, and then ends its input. */
function clientOf(pieces: readonly Uint8Array[]): TransportClient {
  let [index, used] = [0, 0];
  return new TransportClient({
    read: (buffer) => {
      const piece = pieces[index];
      if (piece === undefined) return Promise.resolve(null);
      assert(buffer.length > 0, "a read into an empty buffer would end the input");
      const part = piece.subarray(used, used + buffer.length);
      buffer.set(part);
      used += part.length;
      if (used === piece.length) [index, used] = [index + 1, 0];
      return Promise.resolve(part.length);
    },
    write: (bytes) => Promise.resolve(bytes.length),
  });
}

/** All lines, with `null` for one that is too long. */
async function linesOf(client: TransportClient, maxLength: number): Promise<(string | null)[]> {
  const lines: (string | null)[] = [];
  for (;;) {
    try {
      for await (const line of client.lines({ maxLength })) lines.push(line);
      return lines;
    } catch (error) {
      if (!(error instanceof LineTooLongError)) throw error;
      lines.push(null);
    }
  }
}

/** The same of a whole input at once. */
function expectedLines(input: Uint8Array, maxLength: number): (string | null)[] {
  const latin1 = [...input].map((byte) => String.fromCharCode(byte)).join("");
  const lines = latin1.split("\n");
  const last = lines.pop()!;
  const ended = lines.map((line) => line.replace(/\r$/, ""));
  return [...ended, ...(last === "" ? [] : [last])].map((line) =>
    line.length > maxLength ? null : new TextDecoder("utf-8", { ignoreBOM: true }).decode(
      Uint8Array.from(line, (character) => character.charCodeAt(0)),
    )
  );
}

/** Bytes of a line protocol: many ends, some text in UTF-8, some that is none. */
const chunks = fc.array(
  fc.array(fc.constantFrom(10, 13, 97, 98, 0xc3, 0xa9, 0xf0, 0x9f, 0x98, 0x80, 0xff), {
    minLength: 1,
    maxLength: 12,
  }).map((bytes) => Uint8Array.from(bytes)),
  { maxLength: 12 },
);

Deno.test("lines are the same in whatever chunks they come", async () => {
  await fc.assert(
    fc.asyncProperty(chunks, fc.integer({ min: 0, max: 20 }), async (pieces, maxLength) => {
      const lines = await linesOf(clientOf(pieces), maxLength);
      assertEquals(lines, expectedLines(concat(pieces), maxLength));
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("lines longer than the first buffer are the same in chunks of any size", async () => {
  const input = bytesOf(`${"é".repeat(30_000)}\r\n${"x".repeat(70_000)}\n${"y".repeat(65_536)}\nz`);
  const expected = expectedLines(input, 65_536);
  assertEquals(expected.map((line) => line?.length), [30_000, undefined, 65_536, 1]);
  for (const size of [1, 7, 4096, 16_384, input.length]) {
    const pieces = Array.from(
      { length: Math.ceil(input.length / size) },
      (_, index) => input.subarray(index * size, (index + 1) * size),
    );
    assertEquals(await linesOf(clientOf(pieces), 65_536), expected);
  }
});

Deno.test("bytes and lines can be read in turns, and none is lost", async () => {
  await fc.assert(fc.asyncProperty(
    fc.array(fc.uint8Array({ minLength: 1, maxLength: 9 }), { minLength: 1, maxLength: 20 }),
    fc.array(fc.constantFrom("read", "exactly", "line"), { maxLength: 40 }),
    async (pieces, reads) => {
      const input = concat(
        pieces.map((piece) => piece.map((byte) => byte % 3 === 0 ? 10 : byte & 127)),
      );
      const client = clientOf(
        pieces.map((piece) => piece.map((byte) => byte % 3 === 0 ? 10 : byte & 127)),
      );
      const seen: Uint8Array[] = [];
      for (const read of [...reads, ...pieces.map(() => "read")]) {
        if (read === "read") seen.push(await client.read() ?? new Uint8Array());
        else if (read === "exactly") {
          const bytes = await client.readExactly(2).catch(() => client.read());
          seen.push(bytes ?? new Uint8Array());
        } else {
          const line = await client.readLine();
          if (line === null) continue;
          seen.push(bytesOf(line));
          const length = concat(seen).length;
          for (const end of [13, 10]) { // they are no part of the line
            if (input[concat(seen).length] === end && (end === 10 || input[length + 1] === 10)) {
              seen.push(Uint8Array.of(end));
            }
          }
        }
      }
      assertEquals(concat(seen), input);
    },
  ));
});

Deno.test("readExactly gives what was asked for, or says how much there was", async () => {
  const client = clientOf([bytesOf("ab"), bytesOf("cde")]);
  assertEquals(text((await client.readExactly(3))!), "abc");
  await assertRejects(
    () => client.readExactly(3),
    Deno.errors.UnexpectedEof,
    "ended after 2 of 3 bytes",
  );
  assertEquals(text((await client.read())!), "de");
  assertEquals(await client.readExactly(3), null);
  assertEquals(await client.read(), null);
});

Deno.test("read and readExactly have a time limit, after which nothing is lost", async () => {
  const { client, input } = slowClient();
  await assertRejects(() => client.read({ timeoutMs: 10 }), TimeoutError);
  input.write(bytesOf("ab"));
  await assertRejects(() => client.readExactly(3, { timeoutMs: 20 }), TimeoutError);
  input.write(bytesOf("c"));
  assertEquals(text((await client.readExactly(3, { timeoutMs: 5_000 }))!), "abc");
});

Deno.test("what is neither text nor bytes cannot be written", async () => {
  const client = clientOf([]);
  await assertRejects(() => client.write(42 as never), TypeError, "Cannot write 42");
  await assertRejects(() => client.write(undefined as never), TypeError, "Cannot write undefined");
});

/** A client whose input the test makes. */
function slowClient() {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>();
  const reader = readable.getReader();
  const client = new TransportClient({
    read: async (buffer) => {
      const { value } = await reader.read();
      if (value) buffer.set(value);
      return value?.length ?? null;
    },
    write: (bytes) => Promise.resolve(bytes.length),
  });
  return { client, input: writable.getWriter() };
}

Deno.test("a time limit that has passed before it is waited for is only late", async () => {
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on("warning", note);
  const { client, input } = slowClient();
  const late = client.readLine({ timeoutMs: 10 });
  input.write(bytesOf("he"));
  const end = performance.now() + 30;
  while (performance.now() < end); // as on a machine that is busy
  await assertRejects(() => late, TimeoutError);
  input.write(bytesOf("llo\n"));
  assertEquals(await client.readLine({ timeoutMs: 10_000 }), "hello");
  process.off("warning", note);
  assertEquals(warnings, []);
});

Deno.test("a line that takes too long is late, however its bytes drip, and is not lost", async () => {
  const { client, input } = slowClient();
  input.write(bytesOf("he"));
  await assertRejects(() => client.readLine({ timeoutMs: 20 }), TimeoutError);
  await assertRejects(() => client.readLine({ timeoutMs: 20 }), TimeoutError); // the read goes on
  input.write(bytesOf("llo\nnext"));
  assertEquals(await client.readLine({ timeoutMs: 10_000 }), "hello");
  const dripping = (async () => {
    for (;;) await input.write(bytesOf("x")).then(() => new Promise((go) => setTimeout(go, 5)));
  })().catch(() => {});
  await assertRejects(() => client.readLine({ timeoutMs: 60 }), TimeoutError);
  await input.abort();
  await dripping;
});

Deno.test("a timeout beyond what a timer can do is no timeout", async () => {
  const { client, input } = slowClient();
  const line = client.readLine({ timeoutMs: 2 ** 40 });
  await new Promise((resolve) => setTimeout(resolve, 20));
  await input.write(bytesOf("a\n"));
  assertEquals(await within("the line", line), "a");
});

Deno.test("what has been read before a timeout can be read as bytes, and the rest follows", async () => {
  const { client, input } = slowClient();
  input.write(bytesOf("ab"));
  await assertRejects(() => client.readLine({ timeoutMs: 20 }), TimeoutError);
  assertEquals(text((await client.read())!), "ab");
  const more = client.read();
  await input.write(bytesOf("cd"));
  assertEquals(text((await more)!), "cd");
});

/** A client that is sent at most `most` bytes at a time, and leaves after `total`. */
function sinkOf(most: number, total = Infinity) {
  let sent = "";
  const client = new TransportClient({
    read: () => Promise.resolve(null),
    write: async (bytes) => {
      await new Promise((resolve) => setTimeout(resolve));
      if (sent.length >= total) throw new Deno.errors.BrokenPipe("gone");
      const part = bytes.subarray(0, most);
      sent += text(part);
      return part.length;
    },
  });
  return { client, sent: () => sent };
}

Deno.test("writes are whole and in order, even if they are not awaited", async () => {
  const { client, sent } = sinkOf(2);
  client.write("one, ");
  client.write(bytesOf("two, "));
  await client.writable.getWriter().write("three");
  assertEquals(sent(), "one, two, three");
  client.write("!");
  await client.written;
  assertEquals(sent(), "one, two, three!");
});

Deno.test("a client that has left fails every write, and aborts closed once", async () => {
  const { client } = sinkOf(4, 4);
  const closed = client.closed;
  const error = await assertRejects(() => client.write("12345678"), Deno.errors.BrokenPipe);
  assert(closed.aborted);
  assertStrictEquals(closed.reason, error);
  assertStrictEquals(await client.write("more").catch((error) => error), error);
  await client.written;
  const late = sinkOf(1, 0).client;
  await late.write("x").catch(() => {});
  assert(late.closed.aborted); // though it is asked for afterwards
});

Deno.test("the streams carry the same bytes, and are made once", async () => {
  const pieces = [bytesOf("a\nb"), bytesOf("c")];
  const client = clientOf(pieces);
  assertEquals(await client.readLine(), "a");
  assertStrictEquals(client.readable, client.readable);
  assertStrictEquals(client.writable, client.writable);
  assertEquals(text(concat(await Array.fromAsync(client.readable))), "bc");
});

Deno.test("an endless line takes no more memory than the longest one", async () => {
  for (const [maxLength, most] of [[80, 16 * 1024], [100_000, 256 * 1024]] as const) {
    let [left, room] = [2_000, 0];
    const client = new TransportClient({
      read: (buffer) => {
        room = Math.max(room, buffer.byteLength, buffer.buffer.byteLength);
        return Promise.resolve(left-- > 0 ? Math.min(buffer.length, 10_000) : null);
      },
      write: () => Promise.resolve(0),
    });
    assertEquals(await linesOf(client, maxLength), [null]);
    assert(room <= most, `a buffer of ${room} bytes for lines of ${maxLength}`);
  }
});

Deno.test("a write that is blocked ends when the client is known to have left", async () => {
  let leave = () => {};
  const client = new TransportClient({
    read: () => Promise.resolve(null),
    write: () => new Promise(() => {}),
    watch: (found) => leave = found,
  });
  assertEquals(client.closed.aborted, false);
  const writing = client.write("x");
  leave();
  await assertRejects(() => within("the end of the write", writing), Deno.errors.BrokenPipe);
  assertEquals(client.closed.aborted, true);
  await assertRejects(() => client.write("y"), Deno.errors.BrokenPipe);
});
