import { assertEquals } from "@std/assert";
import { History, MAX_HISTORY } from "../lib/status/history.ts";

Deno.test("a history has one value of each kind per second", () => {
  const history = new History();
  history.sample({ active: 1, accepted: 3 });
  for (const seconds of [0.5, 0.001, 0.002]) history.answered(seconds);
  history.sample({ active: 2, accepted: 7 });
  history.sample({ active: 0, accepted: 7 });
  assertEquals(history.values, {
    active: [1, 2, 0],
    accepted: [3, 4, 0],
    firstByteMs: [null, 2, null],
  });
});

Deno.test("a history forgets values older than five minutes", () => {
  const history = new History();
  for (let second = 1; second <= MAX_HISTORY + 2; second++) {
    history.answered(second);
    history.sample({ active: second, accepted: second });
  }
  const { active, accepted, firstByteMs } = history.values;
  assertEquals([active.length, accepted.length, firstByteMs.length], [300, 300, 300]);
  assertEquals([active[0], active.at(-1), firstByteMs[0]], [3, 302, 3000]);
});
