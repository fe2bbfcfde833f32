import { assertEquals } from "@std/assert";
import { SpawnPace } from "../lib/child/spawn_pace.ts";
import { StartGate } from "../lib/child/start_gate.ts";
import { FakeClock } from "./_fake_clock.ts";

/** Two services that share a pace; each start takes so many milliseconds, and is noted. */
function setUp(spawnMs = 2) {
  const clock = new FakeClock();
  const pace = new SpawnPace(clock);
  const starts: string[] = [];
  const service = (name: string) => {
    const gate = new StartGate({ pace, clock, processors: 100 });
    return () => {
      pace.noteClient(gate);
      const spawn = () => {
        clock.pass(spawnMs);
        starts.push(`${name} ${clock.now()}`);
        return { started: new Promise<void>(() => {}) };
      };
      gate.start(spawn, new AbortController().signal);
    };
  };
  return { clock, starts, one: service("one"), other: service("other") };
}

Deno.test("a service that alone has clients spawns as fast as it can", () => {
  const { starts, one } = setUp();
  for (let i = 0; i < 4; i++) one();
  assertEquals(starts, ["one 2", "one 4", "one 6", "one 8"]);
});

Deno.test("while two services have clients, a spawn is followed by a rest of three times as long", async () => {
  const { clock, starts, one, other } = setUp();
  other();
  for (let i = 0; i < 3; i++) one();
  assertEquals(starts, ["other 2"]);
  await clock.advance(100);
  assertEquals(starts, ["other 2", "one 10", "one 18", "one 26"]);
});

Deno.test("a spawn that took very long is followed by a short rest", async () => {
  const { clock, starts, one, other } = setUp(400);
  other();
  one();
  await clock.advance(49);
  assertEquals(starts.length, 1);
  await clock.advance(1);
  assertEquals(starts.length, 2);
});

Deno.test("the services take turns, however many starts of one wait", async () => {
  const { clock, starts, one, other } = setUp();
  other();
  for (let i = 0; i < 5; i++) one();
  other();
  await clock.advance(28);
  assertEquals(starts.map((start) => start.split(" ")[0]), ["other", "one", "other", "one"]);
});

Deno.test("a second after its last client a service needs no time any more", async () => {
  const { clock, starts, one, other } = setUp();
  other();
  await clock.advance(1001);
  for (let i = 0; i < 3; i++) one();
  assertEquals(starts.length, 4);
});
