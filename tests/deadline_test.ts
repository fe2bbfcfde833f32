import { assertEquals } from "@std/assert";
import { Flow } from "../lib/base/relay.ts";
import { deadlineOf, type SessionTimeouts } from "../lib/server/deadline.ts";

const NONE = { eofTimeoutMs: 0, idleTimeoutMs: 0, sessionTimeoutMs: 0, killTimeoutMs: 0 };

/** The deadline of a session that began at 1,000, with these limits and flows. */
function deadline(
  timeouts: Partial<SessionTimeouts>,
  flows: { inbound?: Partial<Flow>; outbound?: Partial<Flow> } = {},
  silentSinceMs?: number,
) {
  const [inbound, outbound] = [flows.inbound, flows.outbound].map((flow) =>
    Object.assign(new Flow(), flow)
  );
  const progress = { startedAtMs: 1000, inbound: inbound!, outbound: outbound!, silentSinceMs };
  return deadlineOf(progress, { ...NONE, ...timeouts }, 50_000);
}

Deno.test("without limits a session has no deadline", () => {
  assertEquals(deadline({}, {}, 2000), undefined);
});

Deno.test("the earliest limit counts", () => {
  const timeouts = { sessionTimeoutMs: 500, idleTimeoutMs: 400, eofTimeoutMs: 300 };
  assertEquals(deadline(timeouts), { atMs: 1400, reason: "idle-timeout" });
  assertEquals(deadline(timeouts, {}, 1050), { atMs: 1350, reason: "eof-timeout" });
  assertEquals(deadline({ ...timeouts, sessionTimeoutMs: 100 }, {}, 1050), {
    atMs: 1100,
    reason: "session-timeout",
  });
});

Deno.test("the idle timeout counts from the last byte read or written on either side", () => {
  for (const at of [{ readAtMs: 3000 }, { writtenAtMs: 3000 }]) {
    for (const flows of [{ inbound: at }, { outbound: at }]) {
      assertEquals(deadline({ idleTimeoutMs: 10 }, flows)?.atMs, 3010);
    }
  }
});

Deno.test("while output waits for its client, 4 kB/s is enough not to be idle, up to 2 MiB", () => {
  const idle = (bytes: number, writing = true) =>
    deadline({ idleTimeoutMs: 60_000 }, { outbound: { bytes, writing, readAtMs: 2000 } })?.atMs;
  assertEquals(idle(40_000), 2000 + 60_000 + 10_000);
  assertEquals(idle(2 ** 21), 2000 + 60_000 + 2 ** 21 / 4);
  assertEquals(idle(2 ** 30), 2000 + 60_000 + 2 ** 21 / 4); // a client that reads nothing ends then
  assertEquals(idle(40_000, false), 2000 + 60_000);
});

Deno.test("a child is silent from its last output, and not while that waits for its client", () => {
  const silent = (outbound: Partial<Flow>) => deadline({ eofTimeoutMs: 10 }, { outbound }, 2000);
  assertEquals(silent({})?.atMs, 2010);
  assertEquals(silent({ readAtMs: 2500 })?.atMs, 2510);
  assertEquals(silent({ readAtMs: 2500, writing: true })?.atMs, 50_010);
});
