import { assert, assertEquals, assertThrows } from "@std/assert";
import { Pool, type Poolable } from "../lib/child/pool.ts";
import type { Exit } from "../lib/child/worker.ts";
import { type Logger, RECOVERIES } from "../lib/base/log.ts";
import { FakeClock, settle } from "./_fake_clock.ts";

class FakeWorker implements Poolable {
  exit: Exit | null = null;
  stopped = false;
  released = false;
  readonly #exited = Promise.withResolvers<Exit>();
  readonly exited = this.#exited.promise;

  constructor(readonly startedAt: number) {}

  die(code: number, signal: string | null = null): void {
    this.exit = { code, signal };
    this.#exited.resolve(this.exit);
  }

  stop(): Promise<void> {
    this.stopped = true;
    this.die(0);
    return Promise.resolve();
  }

  release(): void {
    this.released = true;
  }
}

/**
 * A pool of `size` with a fake clock, the workers that it has started, and what it has logged; `onSpawn`
 * sees each worker.
 */
function setUp(
  size: number,
  onSpawn: (worker: FakeWorker) => void = () => {},
  mayStart: () => boolean = () => true,
) {
  const clock = new FakeClock();
  const workers: FakeWorker[] = [];
  const logged: string[] = [];
  const record = (message: string) => void logged.push(message);
  const pool = new Pool<FakeWorker>({
    size,
    mayStart,
    killTimeoutMs: 100,
    clock,
    log: { info: record, warn: record } as unknown as Logger,
    spawn: () => {
      const worker = new FakeWorker(clock.now());
      workers.push(worker);
      onSpawn(worker);
      return worker;
    },
  });
  return {
    clock,
    workers,
    pool,
    logged,
    startedAt: () => workers.map(({ startedAt }) => startedAt),
  };
}

Deno.test("Pool.start() starts one worker at once, the others one by one", async () => {
  const { clock, pool, startedAt } = setUp(3);
  pool.start();
  assertEquals(pool.warm, 1);
  await clock.advance(1000);
  assertEquals(startedAt(), [0, 5, 10]);
});

Deno.test("Pool.take() hands out the oldest worker, if there is one", async () => {
  const { clock, pool, workers } = setUp(2);
  pool.start();
  await clock.advance(1000);
  assertEquals([pool.take(), pool.take(), pool.take()], [workers[0], workers[1], undefined]);
  assertEquals([workers.length, pool.warm], [2, 0]);
});

Deno.test("a pool starts no worker while starts are held back, and goes on soon after", async () => {
  let open = true;
  const { clock, pool, startedAt } = setUp(2, () => {}, () => open);
  pool.start();
  open = false;
  await clock.advance(1002);
  assertEquals(startedAt(), [0]);
  open = true;
  await clock.advance(1000);
  assertEquals(startedAt(), [0, 1005]);
});

Deno.test("a pool refills when arrivals pause, one at a time", async () => {
  const { clock, pool, startedAt } = setUp(3);
  pool.start();
  await clock.advance(1000);
  for (let arrival = 0; arrival < 3; arrival++) {
    pool.take();
    await clock.advance(2);
  }
  assertEquals(pool.warm, 0); // the last client came at 1004
  await clock.advance(1000);
  assertEquals(startedAt().slice(3), [1007, 1012, 1017]);
});

Deno.test("a burst is served from the pool before the pool refills", async () => {
  const { clock, pool, workers } = setUp(64);
  pool.start();
  await clock.advance(1000);
  for (let arrival = 0; arrival < 64; arrival++) {
    assert(pool.take() !== undefined);
    await clock.advance(0.15);
  }
  assertEquals(workers.length, 64);
  await clock.advance(1000);
  assertEquals([workers.length, pool.warm], [128, 64]);
});

Deno.test("with a pool of 4, nearly all of 50 random arrivals a second find a started worker", async () => {
  const { clock, pool } = setUp(4);
  pool.start();
  await clock.advance(1000);
  let [state, ready] = [1, 0];
  for (let arrival = 0; arrival < 2000; arrival++) {
    state = (state * 48_271) % 2_147_483_647; // Park and Miller's generator: the same every time
    await clock.advance(-Math.log(state / 2_147_483_647) * 20);
    const worker = pool.take();
    if (worker && clock.now() - worker.startedAt >= 15) ready++; // as long as a Deno child takes to start
  }
  assert(ready > 2000 * 0.97, `${ready} of 2000`);
});

Deno.test("a pool of any size refills under arrivals that never pause, 10 ms after it falls short", async () => {
  for (const [size, expected] of [[1, 10], [2, 5], [8, 5]] as const) {
    const { clock, pool, workers } = setUp(size);
    pool.start();
    await clock.advance(1000);
    for (let arrival = 0; arrival < 200; arrival++) {
      pool.take();
      await clock.advance(2);
    }
    const refilledAt = workers.slice(size).map(({ startedAt }) => startedAt);
    assertEquals(refilledAt.slice(0, 3), [1010, 1010 + expected, 1010 + 2 * expected]);
    assert(refilledAt.length >= 400 / expected - 2, `size ${size}: ${refilledAt.length} times`);
  }
});

Deno.test("an idle worker that exits is dropped and replaced", async () => {
  const { clock, pool, workers } = setUp(2);
  pool.start();
  await clock.advance(60_000);
  workers[0]!.die(1);
  await settle();
  assertEquals([pool.warm, workers[0]!.released], [1, true]);
  await clock.advance(100);
  assertEquals([pool.warm, workers.length], [2, 3]);
  assertEquals(pool.take(), workers[1]!);
});

Deno.test("failures at start back off from 100 ms, doubling up to 10 s", async () => {
  const { clock, pool, startedAt } = setUp(1, (worker) => worker.die(1));
  pool.start();
  await clock.advance(35_000);
  assertEquals(startedAt(), [0, 100, 300, 700, 1500, 3100, 6300, 12_700, 22_700, 32_700]);
});

Deno.test("after failures one worker must survive before others start, and the back-off resets", async () => {
  let broken = true;
  const { clock, pool, startedAt, workers } = setUp(2, (worker) => {
    if (broken) worker.die(1);
  });
  pool.start();
  await clock.advance(300); // at 0, 100 and 300
  broken = false;
  await clock.advance(5000);
  assertEquals(startedAt(), [0, 100, 300, 700, 1700]);
  workers.at(-1)!.die(1); // long after its start: no failure
  await settle();
  const exitedAt = clock.now();
  await clock.advance(100);
  assertEquals(startedAt().at(-1), exitedAt);
});

Deno.test("workers that start again are logged once one has stayed up, after a refresh too", async () => {
  for (const refreshed of [false, true]) {
    let broken = true;
    const { clock, pool, logged } = setUp(2, (worker) => {
      if (broken) worker.die(1);
    });
    pool.start();
    await clock.advance(300);
    broken = false;
    if (refreshed) pool.refresh();
    await clock.advance(900);
    assertEquals(logged.length, 1);
    await clock.advance(10_000);
    assertEquals(logged.slice(1), [RECOVERIES.warm]);
    pool.refresh();
    await clock.advance(10_000);
    assertEquals(logged.length, 2);
  }
});

Deno.test("a spawn that throws backs off like a failed start", async () => {
  let possible = true;
  const { clock, pool, startedAt } = setUp(1, () => {
    if (!possible) throw new Deno.errors.NotFound("gone");
  });
  pool.start();
  await clock.advance(1000);
  possible = false;
  pool.take();
  await clock.advance(1000);
  assertEquals(startedAt(), [0, 1003, 1103, 1303, 1703]);
});

Deno.test("Pool.start() throws what the first spawn throws", () => {
  const { pool } = setUp(1, () => {
    throw new Deno.errors.NotFound("no such program");
  });
  assertThrows(() => pool.start(), Deno.errors.NotFound);
});

Deno.test("once a worker exits without waiting for a client, all start cold", async () => {
  const { clock, pool, workers } = setUp(3);
  pool.start();
  await clock.advance(20);
  workers[1]!.die(0);
  await clock.advance(60_000);
  assertEquals([pool.warm, workers.length], [0, 3]);
  assert(
    workers.every(({ stopped, exit }) => stopped || exit),
    "the others may be stale, and are stopped",
  );
  assertEquals(pool.take(), undefined);
  await clock.advance(60_000);
  assertEquals(workers.length, 3);
});

Deno.test("a worker that exits after a long wait is simply replaced", async () => {
  const { clock, pool, workers } = setUp(1);
  pool.start();
  await clock.advance(30_000);
  workers[0]!.die(0);
  await clock.advance(100);
  assertEquals([pool.warm, workers.length], [1, 2]);
});

Deno.test("Pool.refresh() replaces the idle workers, and gives a cold pool another try", async () => {
  const { clock, pool, workers } = setUp(2);
  pool.start();
  await clock.advance(1000);
  const client = pool.take()!;
  await clock.advance(1000);
  pool.refresh();
  await clock.advance(100);
  assertEquals([pool.warm, client.stopped], [2, false]);
  assertEquals(workers.map(({ stopped }) => stopped), [false, true, true, false, false]);
  assert(workers[1]!.released, "its resources are released");
  workers[3]!.die(0);
  await clock.advance(100);
  assertEquals(pool.warm, 0);
  pool.refresh();
  await clock.advance(100);
  assertEquals(pool.warm, 2);
});

Deno.test("Pool.close() stops the idle workers and starts no more", async () => {
  const { clock, pool, workers } = setUp(2);
  pool.start();
  await clock.advance(1000);
  pool.take();
  await pool.close();
  pool.refresh();
  await clock.advance(60_000);
  assertEquals([pool.warm, workers.length, workers[1]!.stopped], [0, 2, true]);
});

Deno.test("a pool of 0 keeps nothing warm", async () => {
  const { clock, pool, workers } = setUp(0);
  pool.start();
  assertEquals(pool.take(), undefined);
  await clock.advance(60_000);
  assertEquals([pool.warm, workers.length], [0, 0]);
});

Deno.test("workers that are slow to stop delay further generations of new ones", async () => {
  const stops: (() => void)[] = [];
  const { clock, workers, pool } = setUp(2, (worker) => {
    worker.stop = () => new Promise((resolve) => stops.push(resolve));
  });
  pool.start();
  await clock.advance(1000);
  for (let i = 0; i < 5; i++) {
    pool.refresh();
    await clock.advance(1000);
  }
  assertEquals([workers.length, pool.warm, stops.length], [4, 0, 4]);
  for (const stop of stops.splice(0, 2)) stop();
  await clock.advance(1000);
  assertEquals([workers.length, pool.warm], [6, 2]);
});
