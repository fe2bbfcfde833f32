import { assert, assertEquals, assertRejects } from "@std/assert";
import { Handover } from "../lib/child/handover.ts";
import type { Exit, Worker } from "../lib/child/worker.ts";

/** A worker without a process: a dead one refuses writes, and its output has ended. */
class FakeWorker {
  readonly written: string[] = [];
  readonly exited: Promise<Exit>;
  exit: Exit | null = null;
  isInputClosed = false;
  readonly #output: string[];

  constructor(output: string[], exit?: Exit | "soon") {
    this.#output = output;
    const ended: Exit = { code: 137, signal: "SIGKILL" };
    this.exited = exit === undefined
      ? new Promise(() => {})
      : new Promise((resolve) => setTimeout(resolve, 5, exit === "soon" ? ended : exit));
    this.exited.then((exit) => this.exit = exit);
    this.isDead = exit !== undefined;
  }

  readonly isDead: boolean;

  read(): Promise<Uint8Array<ArrayBuffer> | null> {
    const text = this.#output.shift();
    if (text !== undefined) return Promise.resolve(new TextEncoder().encode(text));
    return this.isDead ? Promise.resolve(null) : new Promise(() => {});
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.isDead) return Promise.reject(new Deno.errors.BrokenPipe("dead"));
    this.written.push(new TextDecoder().decode(bytes));
    return Promise.resolve();
  }

  closeWrite(): Promise<void> {
    this.isInputClosed = true;
    return Promise.resolve();
  }
}

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array | null) => bytes && new TextDecoder().decode(bytes);

function handoverOf(worker: FakeWorker, replacement: FakeWorker | undefined) {
  let asked = 0;
  const handover = new Handover(worker as unknown as Worker, () => {
    asked++;
    return replacement as unknown as Worker;
  });
  return { handover, asked: () => asked };
}

Deno.test("a dead worker is replaced once, and no byte of either direction is lost", async () => {
  const [dead, other] = [new FakeWorker([], "soon"), new FakeWorker(["hi", "bye"])];
  const { handover, asked } = handoverOf(dead, other);
  const reading = handover.read(new Uint8Array(9));
  await handover.write(encode("one"));
  await handover.write(encode("two"));
  await handover.closeWrite();
  assertEquals([decode(await reading), decode(await handover.read(new Uint8Array(9)))], [
    "hi",
    "bye",
  ]);
  assertEquals([other.written, other.isInputClosed, asked()], [["one", "two"], true, 1]);
});

Deno.test("an end of input that came before the replacement is passed on to it", async () => {
  const [dead, other] = [new FakeWorker([], "soon"), new FakeWorker(["answer"])];
  const { handover } = handoverOf(dead, other);
  await handover.closeWrite();
  assertEquals(decode(await handover.read(new Uint8Array(9))), "answer");
  assert(other.isInputClosed);
});

Deno.test("a worker that exits by itself after end of input is not replaced", async () => {
  const { handover, asked } = handoverOf(new FakeWorker([], { code: 0, signal: null }), undefined);
  await handover.closeWrite();
  assertEquals([await handover.read(new Uint8Array(9)), asked()], [null, 0]);
});

Deno.test("a worker that has given a byte is not replaced when it dies", async () => {
  const worker = new FakeWorker(["last words"], "soon");
  const { handover, asked } = handoverOf(worker, new FakeWorker([]));
  assertEquals(decode(await handover.read(new Uint8Array(9))), "last words");
  assertEquals(await handover.read(new Uint8Array(9)), null);
  await assertRejects(() => handover.write(encode("x")), Deno.errors.BrokenPipe);
  await worker.exited;
  assertEquals(asked(), 0);
});

Deno.test("a worker that closes its output but lives is not replaced", async () => {
  const worker = new FakeWorker([]);
  worker.read = () => Promise.resolve(null);
  const { handover, asked } = handoverOf(worker, new FakeWorker([]));
  assertEquals([await handover.read(new Uint8Array(9)), asked()], [null, 0]);
  await handover.write(encode("x"));
  assertEquals(worker.written, ["x"]);
});

Deno.test("without a replacement the dead worker's end is passed on", async () => {
  const { handover, asked } = handoverOf(new FakeWorker([], "soon"), undefined);
  assertEquals(await handover.read(new Uint8Array(9)), null);
  await assertRejects(() => handover.write(encode("x")), Deno.errors.BrokenPipe);
  assertEquals(asked(), 1);
});
