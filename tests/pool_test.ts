import { assert, assertEquals, assertThrows } from "@std/assert";
import { Pool, type Poolable } from "../lib/child/pool.ts";
import type { Exit } from "../lib/child/worker.ts";
import { FakeClock, settle } from "./_fake_clock.ts";
import {
  ask,
  childrenOf,
  isAlive,
  receive,
  receiveAll,
  send,
  Spawnd,
  text,
  until,
  waitsForInput,
} from "./_spawnd.ts";

class FakeWorker implements Poolable {
  exit: Exit | null = null;
  stopped = false;
  cancelled = false;
  readonly #exited = Promise.withResolvers<Exit>();
  readonly exited = this.#exited.promise;

  constructor(readonly bornAt: number) {}

  die(code: number, signal: string | null = null): void {
    this.exit = { code, signal };
    this.#exited.resolve(this.exit);
  }

  stop(): Promise<void> {
    this.stopped = true;
    this.die(0);
    return Promise.resolve();
  }

  cancel(): void {
    this.cancelled = true;
  }
}

/** A pool of `size` on a clock of its own, and the workers it has started; `born` sees each. */
function setUp(size: number, born: (worker: FakeWorker) => void = () => {}) {
  const clock = new FakeClock();
  const workers: FakeWorker[] = [];
  const pool = new Pool<FakeWorker>({
    size,
    killTimeoutMs: 100,
    clock,
    spawn: () => {
      const worker = new FakeWorker(clock.now());
      workers.push(worker);
      born(worker);
      return worker;
    },
  });
  return { clock, workers, pool, bornAt: () => workers.map(({ bornAt }) => bornAt) };
}

Deno.test("Pool.start() starts the first at once and the others one by one", async () => {
  const { clock, pool, bornAt } = setUp(3);
  pool.start();
  assertEquals(pool.warm, 1);
  await clock.pass(1000);
  assertEquals(bornAt(), [0, 5, 10]);
});

Deno.test("Pool.take() hands out the oldest, and starts a cold one where there is none", async () => {
  const { clock, pool, workers } = setUp(2);
  pool.start();
  await clock.pass(1000);
  assertEquals(pool.take(), { worker: workers[0]!, warm: true });
  assertEquals(pool.take(), { worker: workers[1]!, warm: true });
  const { worker, warm } = pool.take();
  assertEquals([worker === workers[2], warm, pool.warm], [true, false, 0]);
});

Deno.test("Pool.take() never starts a warm worker in its client's way", async () => {
  const { clock, pool, workers } = setUp(1);
  pool.start();
  for (let arrival = 0; arrival < 50; arrival++) {
    await clock.pass(arrival % 13);
    const before = workers.length;
    const { warm } = pool.take();
    assertEquals(workers.length - before, warm ? 0 : 1);
  }
});

Deno.test("a pool refills when arrivals pause, one at a time", async () => {
  const { clock, pool, bornAt } = setUp(3);
  pool.start();
  await clock.pass(1000);
  for (let arrival = 0; arrival < 3; arrival++) {
    pool.take();
    await clock.pass(2);
  }
  assertEquals(pool.warm, 0); // the last came at 1004
  await clock.pass(1000);
  assertEquals(bornAt().slice(3), [1007, 1012, 1017]);
});

Deno.test("a burst is served from the pool before anything is started again", async () => {
  const { clock, pool, workers } = setUp(64);
  pool.start();
  await clock.pass(1000);
  for (let arrival = 0; arrival < 64; arrival++) {
    assertEquals(pool.take().warm, true);
    await clock.pass(0.15);
  }
  assertEquals(workers.length, 64);
  await clock.pass(1000);
  assertEquals([workers.length, pool.warm], [128, 64]);
});

Deno.test("at 50 random arrivals a second nearly all find a worker that has started, with a pool of 4", async () => {
  const { clock, pool } = setUp(4);
  pool.start();
  await clock.pass(1000);
  let [state, ready] = [1, 0];
  for (let arrival = 0; arrival < 2000; arrival++) {
    state = (state * 48_271) % 2_147_483_647; // Park and Miller's generator: the same every time
    await clock.pass(-Math.log(state / 2_147_483_647) * 20);
    const { worker } = pool.take();
    if (clock.now() - worker.bornAt >= 15) ready++; // as long as a Deno child takes to start
  }
  assert(ready > 2000 * 0.97, `${ready} of 2000`);
});

Deno.test("a pool of any size refills under arrivals that never pause, 10 ms after it fell short", async () => {
  for (const [size, expected] of [[1, 10], [2, 5], [8, 5]] as const) {
    const { clock, pool, workers } = setUp(size);
    pool.start();
    await clock.pass(1000);
    const ofClients = new Set<FakeWorker>(); // started cold, for somebody who was there
    for (let arrival = 0; arrival < 200; arrival++) {
      const { worker, warm } = pool.take();
      if (!warm) ofClients.add(worker);
      await clock.pass(2);
    }
    const refilledAt = workers.slice(size).filter((worker) => !ofClients.has(worker))
      .map(({ bornAt }) => bornAt);
    assertEquals(refilledAt.slice(0, 3), [1010, 1010 + expected, 1010 + 2 * expected]);
    assert(refilledAt.length >= 400 / expected - 2, `size ${size}: ${refilledAt.length} times`);
  }
});

Deno.test("a worker that ends idle is dropped and replaced", async () => {
  const { clock, pool, workers } = setUp(2);
  pool.start();
  await clock.pass(60_000);
  workers[0]!.die(1);
  await settle();
  assertEquals([pool.warm, workers[0]!.cancelled], [1, true]);
  await clock.pass(100);
  assertEquals([pool.warm, workers.length], [2, 3]);
  assertEquals(pool.take().worker, workers[1]!);
});

Deno.test("workers that fail at start wait 100 ms, then twice as long each time, up to 10 s", async () => {
  const { clock, pool, bornAt } = setUp(1, (worker) => worker.die(1));
  pool.start();
  await clock.pass(35_000);
  assertEquals(bornAt(), [0, 100, 300, 700, 1500, 3100, 6300, 12_700, 22_700, 32_700]);
});

Deno.test("after failures one worker has to stay before others follow, and the wait is short again", async () => {
  let broken = true;
  const { clock, pool, bornAt, workers } = setUp(2, (worker) => {
    if (broken) worker.die(1);
  });
  pool.start();
  await clock.pass(300); // at 0, 100 and 300
  broken = false;
  await clock.pass(5000);
  assertEquals(bornAt(), [0, 100, 300, 700, 1700]);
  workers.at(-1)!.die(1); // long after its start: no failure
  await settle();
  const mended = clock.now();
  await clock.pass(100);
  assertEquals(bornAt().at(-1), mended);
});

Deno.test("a start that is not possible waits like one that failed", async () => {
  let possible = true;
  const { clock, pool, bornAt } = setUp(1, () => {
    if (!possible) throw new Deno.errors.NotFound("gone");
  });
  pool.start();
  await clock.pass(1000);
  possible = false;
  pool.take();
  await clock.pass(1000);
  assertEquals(bornAt(), [0, 1003, 1103, 1303, 1703]);
  assertThrows(() => pool.take(), Deno.errors.NotFound);
});

Deno.test("Pool.start() throws what the first start throws", () => {
  const { pool } = setUp(1, () => {
    throw new Deno.errors.NotFound("no such program");
  });
  assertThrows(() => pool.start(), Deno.errors.NotFound);
});

Deno.test("workers that exit without waiting for a client start cold from then on", async () => {
  const { clock, pool, workers } = setUp(3);
  pool.start();
  await clock.pass(20);
  workers[1]!.die(0);
  await clock.pass(60_000);
  assertEquals([pool.warm, workers.length], [0, 3]);
  assert(workers.every(({ stopped, exit }) => stopped || exit), "the others may be stale: stopped");
  assertEquals(pool.take().warm, false);
  await clock.pass(60_000);
  assertEquals(workers.length, 4);
});

Deno.test("a worker that exits by itself after a long wait is only replaced", async () => {
  const { clock, pool, workers } = setUp(1);
  pool.start();
  await clock.pass(30_000);
  workers[0]!.die(0);
  await clock.pass(100);
  assertEquals([pool.warm, workers.length], [1, 2]);
});

Deno.test("Pool.refresh() stops the idle workers, starts others, and gives a cold pool a new try", async () => {
  const { clock, pool, workers } = setUp(2);
  pool.start();
  await clock.pass(1000);
  const client = pool.take().worker;
  await clock.pass(1000);
  pool.refresh();
  await clock.pass(100);
  assertEquals([pool.warm, client.stopped], [2, false]);
  assertEquals(workers.map(({ stopped }) => stopped), [false, true, true, false, false]);
  assert(workers[1]!.cancelled, "what it held is given back");
  workers[3]!.die(0);
  await clock.pass(100);
  assertEquals(pool.warm, 0);
  pool.refresh();
  await clock.pass(100);
  assertEquals(pool.warm, 2);
});

Deno.test("Pool.close() stops the idle workers, and nothing starts any more", async () => {
  const { clock, pool, workers } = setUp(2);
  pool.start();
  await clock.pass(1000);
  pool.take();
  await pool.close();
  pool.refresh();
  await clock.pass(60_000);
  assertEquals([pool.warm, workers.length, workers[1]!.stopped], [0, 2, true]);
});

Deno.test("a pool of 0 starts nothing ahead", async () => {
  const { clock, pool, workers } = setUp(0);
  pool.start();
  pool.take();
  await clock.pass(60_000);
  assertEquals([pool.warm, workers.length], [0, 1]);
});

Deno.test("a warm server hands out its oldest child and starts another", async () => {
  await using spawnd = await Spawnd.start("--warm", "2", "--", "sh", "-c", "echo $$; exec cat");
  await until("two warm children", () => childrenOf(spawnd.pid).length === 2);
  const warm = childrenOf(spawnd.pid);
  const served = Number((await ask(spawnd.port, "").then(text)).trim());
  assert(warm.includes(served), `${served} is not one of ${warm}`);
  assertEquals((await spawnd.record({ message: "open" })).start, "warm");
  await until(
    "a new one",
    () => childrenOf(spawnd.pid).filter((pid) => pid !== served).length === 2,
  );
});

Deno.test("a warm child that is killed is replaced", async () => {
  await using spawnd = await Spawnd.start("--warm", "1", "--", "cat");
  const [pid] = await until("a warm child", () => {
    const children = childrenOf(spawnd.pid);
    return children.length === 1 && children;
  });
  Deno.kill(pid!, "SIGKILL");
  await until("another", () => {
    const children = childrenOf(spawnd.pid);
    return children.length === 1 && children[0] !== pid;
  });
  assertEquals(text(await ask(spawnd.port, "hello")), "hello");
});

Deno.test("a child that fails at once with --warm 4 does not become a storm, and one line says so", async () => {
  const counter = await Deno.makeTempFile();
  await using spawnd = await Spawnd.start(
    "--warm",
    "4",
    "--",
    "sh",
    "-c",
    `echo >>${counter}; exit 1`,
  );
  await spawnd.record({ level: "WARN", message: /fail at start/ });
  const begun = performance.now();
  await until("three starts", () => Deno.readTextFileSync(counter).length >= 5);
  const seconds = (performance.now() - begun) / 1000;
  assert(seconds > 0.25, `five starts within ${seconds} s`);
  assertEquals(spawnd.records({ level: "WARN" }).length, 1);
  await Deno.remove(counter);
});

Deno.test("a program that answers without waiting gives every client a run of its own", async () => {
  await using spawnd = await Spawnd.start("--warm", "2", "--", "date", "+%s%N");
  await spawnd.record({ level: "WARN", message: /without waiting for its client/ });
  for (let client = 0; client < 5; client++) {
    const before = Date.now();
    const said = Number(text(await ask(spawnd.port, ""))) / 1e6;
    assert(said >= before - 1, `${before - said} ms old`);
  }
  await until("five runs", () => spawnd.records({ message: "end" }).length === 5);
  assertEquals(new Set(spawnd.records({ message: "open" }).map(({ pid }) => pid)).size, 5);
  assertEquals(spawnd.records({ level: "WARN" }).length, 1);
});

Deno.test("a greeting that comes before the client says anything reaches a client of a warm child", async () => {
  await using spawnd = await Spawnd.start(
    "--warm",
    "2",
    "--",
    "sh",
    "-c",
    "echo 220 ready; exec cat",
  );
  await until("two warm children", () => childrenOf(spawnd.pid).length === 2);
  using conn = await spawnd.connect();
  assertEquals(text(await receive(conn, 10)), "220 ready\n");
  await send(conn, "hello");
  await conn.closeWrite();
  assertEquals(text(await receiveAll(conn)), "hello");
});

Deno.test("SIGHUP gives new clients new code, and leaves the old ones theirs", async () => {
  const module = await Deno.makeTempFile({ suffix: ".ts" });
  const write = (answer: string) =>
    Deno.writeTextFile(
      module,
      `await Deno.stdin.read(new Uint8Array(9)); console.log("${answer}"); await Deno.stdin.read(new Uint8Array(9)); console.log("${answer}")`,
    );
  await write("old");
  await using spawnd = await Spawnd.start("--warm", "2", module);
  await until("two warm children", () => childrenOf(spawnd.pid).length === 2);
  const before = childrenOf(spawnd.pid);
  using old = await spawnd.connect();
  await send(old, "1");
  assertEquals(text(await receive(old, 4)), "old\n");
  await write("new");
  spawnd.kill("SIGHUP");
  await until("fresh children", () => before.filter(isAlive).length === 1);
  assertEquals(text(await ask(spawnd.port, "1")), "new\nnew\n");
  await send(old, "2");
  assertEquals(text(await receive(old, 4)), "old\n");
  await Deno.remove(module);
});

Deno.test("a first reply from a warm Deno child is ten times faster than from a cold one", async () => {
  const firstReply = async (spawnd: Spawnd): Promise<number> => {
    const begun = performance.now();
    using conn = await spawnd.connect();
    await send(conn, "hello");
    await receive(conn, 256);
    return performance.now() - begun;
  };
  const median = (times: number[]) => times.toSorted((a, b) => a - b)[times.length >> 1]!;
  await using warm = await Spawnd.start("--log-level", "warn", "--warm", "4");
  await using cold = await Spawnd.start("--log-level", "warn", "--warm", "0");
  const [warmTimes, coldTimes]: [number[], number[]] = [[], []];
  for (let round = 0; round < 41; round++) {
    await until("a full pool", () => {
      const children = childrenOf(warm.pid);
      return children.length === 4 && children.every(waitsForInput);
    });
    warmTimes.push(await firstReply(warm));
    coldTimes.push(await firstReply(cold));
  }
  const ratio = median(coldTimes) / median(warmTimes);
  assert(ratio >= 10, `${median(coldTimes)} ms cold, ${median(warmTimes)} ms warm: ${ratio} times`);
});
