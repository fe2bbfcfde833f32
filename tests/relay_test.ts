import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { discard, type Endpoint, Flow, pump } from "../lib/base/relay.ts";
import { assertSameBytes, concat } from "./_sockets.ts";

/** How one endpoint behaves: what it sends, when it is slow, where it fails. */
interface Script {
  /** What it sends, in the pieces in which it becomes available; then its output ends. */
  chunks: Uint8Array[];
  /** Microtask turns that reads and writes take; used in a cycle. */
  delays: number[];
  /** Reads and writes that succeed before one fails; if undefined, none fails. */
  readsUntilFailure: number | undefined;
  writesUntilFailure: number | undefined;
  /** Whether a read returns its bytes in another `ArrayBuffer`, as a byte stream does. */
  transfers: boolean;
}

/** Small chunks have arbitrary bytes; large ones, slow to generate like that, come from a seed. */
const chunk: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 50 }),
  fc.tuple(fc.integer({ min: 1, max: 200_000 }), fc.nat(250)).map(([length, seed]) => {
    const bytes = new Uint8Array(length);
    for (let index = 0; index < length; index++) bytes[index] = index * 7 + (index >> 8) + seed;
    return bytes;
  }),
);

const script: fc.Arbitrary<Script> = fc.record({
  chunks: fc.array(chunk, { maxLength: 8 }),
  delays: fc.array(fc.nat(4), { minLength: 1, maxLength: 5 }),
  readsUntilFailure: fc.option(fc.nat(10), { nil: undefined }),
  writesUntilFailure: fc.option(fc.nat(10), { nil: undefined }),
  transfers: fc.boolean(),
});

/** An endpoint in memory that follows its script, and checks what a pump must never do. */
class Scripted implements Endpoint {
  readonly received: Uint8Array[] = [];
  closed = 0;
  readFailed = false;
  writeFailed = false;
  peak = 0;
  readonly #script: Script;
  readonly #chunks: Uint8Array[];
  #reads = 0;
  #writes = 0;
  #turn = 0;
  #writing = false;

  constructor(script: Script) {
    this.#script = script;
    this.#chunks = script.chunks.map((chunk) => chunk.slice());
  }

  async #wait() {
    const { delays } = this.#script;
    for (let turns = delays[this.#turn++ % delays.length]!; turns > 0; turns--) {
      await Promise.resolve();
    }
  }

  async read(buffer: Uint8Array<ArrayBuffer>) {
    assert(buffer.length > 0, "a read with a detached or empty buffer");
    this.peak = Math.max(this.peak, buffer.length);
    await this.#wait();
    if (this.#reads++ === this.#script.readsUntilFailure) {
      this.readFailed = true;
      throw new Error("read failed");
    }
    const chunk = this.#chunks.shift();
    if (chunk === undefined) return null;
    const here = chunk.subarray(0, buffer.length);
    if (here.length < chunk.length) this.#chunks.unshift(chunk.subarray(here.length));
    const target = this.#script.transfers ? new Uint8Array(buffer.buffer.transfer()) : buffer;
    target.set(here);
    return target.subarray(0, here.length);
  }

  async write(bytes: Uint8Array<ArrayBuffer>) {
    assert(!this.#writing, "two writes at once");
    assertEquals(this.closed, 0, "a write after the end");
    this.#writing = true;
    await this.#wait();
    this.#writing = false;
    if (this.#writes++ === this.#script.writesUntilFailure) {
      this.writeFailed = true;
      throw new Error("write failed");
    }
    // Copied only now, to catch a pump that reads into this memory during the write.
    this.received.push(bytes.slice());
  }

  async closeWrite() {
    await this.#wait();
    this.closed++;
  }
}

/** Asserts what must hold for one direction, whatever happened in the other. */
function check(from: Scripted, sent: Uint8Array, to: Scripted, flow: Flow, end: string) {
  const arrived = concat(to.received);
  assertSameBytes(arrived, sent.subarray(0, arrived.length));
  assertEquals(flow.bytes, arrived.length, "the flow counts what arrived");
  assertEquals(flow.writing, false);
  assert(from.peak <= 64 * 1024, "memory is bounded");
  if (from.readFailed) assertEquals([end, to.closed], ["source-failed", 0]);
  else if (to.writeFailed) assertEquals([end, to.closed], ["sink-failed", 0]);
  else assertEquals([end, to.closed, arrived.length], ["ended", 1, sent.length], "all bytes");
  assertEquals(flow.error !== undefined, end !== "ended");
}

Deno.test("a relay carries any bytes in any pieces, both ways, until a side fails", async () => {
  await fc.assert(
    fc.asyncProperty(script, script, async (nearScript, farScript) => {
      const [near, far] = [new Scripted(nearScript), new Scripted(farScript)];
      const [inbound, outbound] = [new Flow(), new Flow()];
      const [inboundEnd, outboundEnd] = await Promise.all([
        pump(near, far, inbound),
        pump(far, near, outbound),
      ]);
      check(near, concat(nearScript.chunks), far, inbound, inboundEnd);
      check(far, concat(farScript.chunks), near, outbound, outboundEnd);
    }),
    { numRuns: 300 },
  );
});

Deno.test("a pump waits for its sink before it reads on", async () => {
  let [read, written] = [0, 0];
  const gate = Promise.withResolvers<void>();
  const flow = new Flow();
  const pumping = pump(
    {
      read(buffer) {
        assertEquals(read, written, "nothing is read ahead");
        read += buffer.length;
        return Promise.resolve(read > 1_000_000 ? null : buffer);
      },
    },
    {
      async write(bytes) {
        await gate.promise;
        written += bytes.length;
      },
      closeWrite: () => Promise.resolve(),
    },
    flow,
  );
  await Promise.resolve();
  assertEquals([flow.writing, flow.bytes], [true, 0]);
  gate.resolve();
  assertEquals(await pumping, "ended");
});

Deno.test("a pump's buffer grows while reads fill it and shrinks when they do not", async () => {
  const sizes: number[] = [];
  let reads = 0;
  await pump(
    {
      read(buffer) {
        sizes.push(buffer.length);
        reads++;
        if (reads > 12) return Promise.resolve(null);
        return Promise.resolve(reads <= 6 ? buffer : buffer.subarray(0, 10));
      },
    },
    { write: () => Promise.resolve(), closeWrite: () => Promise.resolve() },
    new Flow(),
  );
  const k = 1024;
  assertEquals(sizes, [
    4 * k,
    8 * k,
    16 * k,
    32 * k,
    64 * k,
    64 * k,
    64 * k,
    32 * k,
    16 * k,
    8 * k,
    4 * k,
    4 * k,
    4 * k,
  ]);
});

Deno.test("a sink that cannot be half-closed is a sink that failed", async () => {
  const flow = new Flow();
  const end = await pump(
    { read: () => Promise.resolve(null) },
    { write: () => Promise.resolve(), closeWrite: () => Promise.reject(new Error("gone")) },
    flow,
  );
  assertEquals([end, String(flow.error)], ["sink-failed", "Error: gone"]);
});

Deno.test("discard() reads until the end, a failure, or enough bytes", async () => {
  const base = { delays: [1], writesUntilFailure: undefined, transfers: false };
  const chunks = [new Uint8Array(9), new Uint8Array(9)];
  assertEquals(
    await discard(new Scripted({ ...base, chunks, readsUntilFailure: undefined }), () => false),
    "ended",
  );
  assertEquals(
    await discard(new Scripted({ ...base, chunks, readsUntilFailure: 1 }), () => false),
    "source-failed",
  );
  let bytes = 0;
  const isEnough = (length: number) => (bytes += length) > 9;
  const forever = {
    read: (buffer: Uint8Array<ArrayBuffer>) => Promise.resolve(buffer.subarray(0, 9)),
  };
  assertEquals([await discard(forever, isEnough), bytes], ["sink-failed", 18]);
});
