import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { StartGate } from "../lib/child/start_gate.ts";
import { FakeClock, settle } from "./_fake_clock.ts";

/** A child whose spawn took `spawnMs` of the fake clock. */
class FakeChild {
  readonly #started = Promise.withResolvers<void>();
  readonly started = this.#started.promise;

  async speak(): Promise<void> {
    this.#started.resolve();
    await settle();
  }
}

/** A gate for one processor, and what has been started through it, in order. */
function setUp() {
  const clock = new FakeClock();
  const gate = new StartGate({ processors: 1, clock });
  const machine = { spawnMs: 1 };
  const children: FakeChild[] = [];
  const names: string[] = [];
  const spawn = (name: string) => () => {
    clock.pass(machine.spawnMs);
    const child = new FakeChild();
    children.push(child);
    names.push(name);
    return child;
  };
  const start = (name: string, signal = new AbortController().signal) =>
    gate.start(spawn(name), signal);
  /** Makes the processors busy: spawning takes ten times as long as it has to. */
  const beBusy = async () => {
    machine.spawnMs = 1;
    gate.startNow(spawn("idle"), true);
    machine.spawnMs = 10;
    for (let round = 0; round < 4; round++) gate.startNow(spawn("busy"), true);
    await Promise.all(children.map((child) => child.speak()));
    children.length = names.length = 0;
  };
  return { clock, gate, machine, children, names, spawn, start, beBusy };
}

Deno.test("while the processors are free, no start waits", () => {
  const { start, names } = setUp();
  for (let i = 0; i < 100; i++) assert(!(start(`${i}`) instanceof Promise));
  assertEquals(names.length, 100);
});

Deno.test("while they are busy, two children a processor start, and clients wait in order", async () => {
  const { start, names, children, beBusy } = setUp();
  await beBusy();
  for (const name of "abcdef") start(name);
  assertEquals(names, ["a", "b"]);
  await children[1]!.speak();
  assertEquals(names, ["a", "b", "c"]);
  await children[0]!.speak();
  await children[2]!.speak();
  assertEquals(names, ["a", "b", "c", "d", "e"]);
});

Deno.test("a start that becomes possible resolves to its child", async () => {
  const { start, children, beBusy } = setUp();
  await beBusy();
  start("a");
  start("b");
  const waiting = start("c");
  await children[0]!.speak();
  assertEquals(await waiting, children[2]);
});

Deno.test("when the processors are free again, all that wait start", async () => {
  const { start, names, children, machine, beBusy } = setUp();
  await beBusy();
  for (let i = 0; i < 50; i++) start(`${i}`);
  machine.spawnMs = 1;
  for (let i = 0; i < 10; i++) await children[i]?.speak();
  assertEquals(names.length, 50);
});

Deno.test("a child that says nothing holds others back for 100 ms, and once only", async () => {
  const { clock, start, names, children, beBusy } = setUp();
  await beBusy();
  for (const name of "abcd") start(name);
  await clock.advance(60);
  assertEquals(names, ["a", "b"]);
  await clock.advance(40);
  assertEquals(names, ["a", "b", "c", "d"]);
  start("e");
  await children[0]!.speak(); // its place has been given away
  assertEquals(names, ["a", "b", "c", "d"]);
});

Deno.test("a program that takes long to start may hold others back longer, up to 500 ms", async () => {
  const { clock, start, names, children, beBusy } = setUp();
  await beBusy();
  for (let round = 0; round < 400; round++) {
    start("slow");
    await clock.advance(400);
    await children.at(-1)!.speak();
  }
  await beBusy(); // after so many starts the long ones count as normal
  for (const name of "abcd") start(name);
  await clock.advance(460);
  assertEquals(names, ["a", "b"]);
  await clock.advance(40);
  assertEquals(names, ["a", "b", "c", "d"]);
});

Deno.test("a client that leaves while it waits gives up its turn", async () => {
  const { start, names, children, beBusy } = setUp();
  await beBusy();
  start("a");
  start("b");
  const leaving = new AbortController();
  const left = start("c", leaving.signal);
  start("d");
  leaving.abort("left");
  assertEquals(await Promise.resolve(left).catch((reason) => reason), "left");
  await children[0]!.speak();
  assertEquals(names, ["a", "b", "d"]);
});

Deno.test("a child that cannot be started takes no place", async () => {
  const { gate, start, names, children, beBusy } = setUp();
  await beBusy();
  const fail = () => {
    throw new Deno.errors.NotFound("gone");
  };
  const { signal } = new AbortController();
  assertThrows(() => gate.start(fail, signal), Deno.errors.NotFound);
  start("a");
  start("b");
  const failed = assertRejects(async () => await gate.start(fail, signal), Deno.errors.NotFound);
  start("c");
  await children[0]!.speak();
  await failed;
  assertEquals(names, ["a", "b", "c"]);
});

Deno.test("warm children come after every client, and count for as long as a start takes", async () => {
  const { clock, gate, start, spawn, names, children, beBusy } = setUp();
  await beBusy();
  gate.startNow(spawn("warm"), true);
  assert(gate.isIdle, "one child may start for the processor, and one in advance");
  start("a");
  assert(!gate.isIdle);
  start("b");
  assertEquals(names, ["warm", "a"]);
  await clock.advance(25); // as long as a start is presumed to take
  assertEquals(names, ["warm", "a", "b"]);
  start("c");
  await children[1]!.speak();
  assertEquals(names, ["warm", "a", "b", "c"]);
  assert(!gate.isIdle);
  await children[2]!.speak();
  assert(gate.isIdle);
});

Deno.test("a program that starts within 5 ms is never held back", async () => {
  const { clock, start, names, machine, beBusy } = setUp();
  await beBusy();
  machine.spawnMs = 0;
  const fast = start("fast") as FakeChild;
  await clock.advance(3);
  await fast.speak();
  machine.spawnMs = 10;
  for (let i = 0; i < 50; i++) start(`${i}`);
  assertEquals(names.length, 51);
});
