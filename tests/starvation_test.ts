/** Work that a client or child can keep going leaves the event loop time for all others. */

import { assert, assertEquals } from "@std/assert";
import { lines } from "../lib/base/lines.ts";
import { discard, Flow, pump } from "../lib/base/relay.ts";
import { connectFrom } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { within } from "./_waiting.ts";

/** Runs `work`, which goes on until a timer fires: if it does not yield, that never happens. */
async function untilTimer(
  work: (isOver: () => boolean) => Promise<unknown>,
  maxRounds = 2_000_000,
): Promise<void> {
  let isOver = false;
  let rounds = 0;
  setTimeout(() => isOver = true, 20);
  await work(() => {
    if (rounds++ > maxRounds) throw new Error("The timer did not fire");
    return isOver;
  });
  assert(isOver);
}

Deno.test("a pump between endpoints that are always ready yields to timers", async () => {
  await untilTimer(async (isOver) => {
    const end = await pump(
      { read: (buffer) => Promise.resolve(isOver() ? null : buffer.subarray(0, 1)) },
      { write: () => Promise.resolve(), closeWrite: () => Promise.resolve() },
      new Flow(),
    );
    assertEquals(end, "ended");
  });
});

Deno.test("discarding from a source that is always ready yields to timers", async () => {
  await untilTimer(async (isOver) => {
    const source = {
      read: (buffer: Uint8Array<ArrayBuffer>) =>
        Promise.resolve(isOver() ? null : buffer.subarray(0, 1)),
    };
    assertEquals(await discard(source, () => false), "ended");
  });
});

Deno.test("lines of a stream that is always ready yield to timers", async () => {
  await untilTimer(async (isOver) => {
    const bytes = new TextEncoder().encode("x\n".repeat(1000));
    const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: (controller) => isOver() ? controller.close() : controller.enqueue(bytes.slice()),
    });
    for await (const line of lines(stream)) assertEquals(line, "x");
  }, 2_000);
});

Deno.test("a refused client that keeps sending is read for a bounded number of bytes", async () => {
  await using spawnd = await Spawnd.start("--deny", "127.0.0.1", "--", "cat");
  using live = await connectFromAllowed(spawnd.port);
  using refused = await spawnd.connect();
  const chunk = new Uint8Array(64 * 1024);
  let taken = 0;
  try {
    for (;;) taken += await within("the end of the connection", refused.write(chunk));
  } catch (error) {
    assert(!/Waited/.test(String(error)), String(error));
  }
  assert(taken < 20_000_000, `${taken} bytes were taken`); // which is what the kernel holds
  live.socket.write("still here");
  await within("an answer", new Promise((resolve) => live.socket.once("data", resolve)));
});

/** A client from an address that is not denied. */
async function connectFromAllowed(port: number) {
  const socket = await connectFrom("127.0.0.2", port);
  return {
    socket,
    [Symbol.dispose]() {
      socket.destroy();
    },
  };
}
