import { assert, assertEquals } from "@std/assert";
import { Networks } from "../lib/net/address.ts";
import { Admission, type AdmissionOptions, MAX_SOURCES } from "../lib/admission/admission.ts";
import { FakeClock } from "./_fake_clock.ts";

const NO_NETWORKS = await Networks.of([]);

/** A admission with these options, on a clock of its own; `come` is all that a plain client goes through. */
function setUp(options: Partial<AdmissionOptions> = {}) {
  const clock = new FakeClock();
  const admission = new Admission({
    maxConnections: 1000,
    queue: 0,
    queueTimeoutMs: 1000,
    maxPerSource: 0,
    ratePerSource: { count: 0, periodMs: 1000 },
    allow: NO_NETWORKS,
    deny: NO_NETWORKS,
    clock,
    ...options,
  });
  const come = (address = "192.0.2.1") => {
    const ticket = admission.issueTicket();
    const refusal = admission.admit(ticket, address);
    if (refusal) admission.release(ticket);
    return { refusal, ticket, slot: refusal ? false : admission.requestSlot(ticket) };
  };
  return { clock, admission, come };
}

Deno.test("as many have a slot as may be, and then nobody has until one leaves", () => {
  const { admission, come } = setUp({ maxConnections: 2 });
  const first = come();
  assertEquals([first.slot, come().slot, come().slot, admission.active], [true, true, false, 2]);
  admission.release(first.ticket);
  admission.release(first.ticket);
  assertEquals([admission.active, come().slot, come().slot], [1, true, false]);
});

Deno.test("who waits gets a slot in the order of coming", async () => {
  const { admission, come } = setUp({ maxConnections: 1, queue: 3 });
  const visitors = [come(), come(), come(), come()];
  const order: number[] = [];
  visitors.forEach(({ slot }, i) => Promise.resolve(slot).then((has) => has && order.push(i)));
  assertEquals([admission.active, admission.waiting], [1, 3]);
  for (const { ticket, slot } of visitors) {
    assertEquals(await slot, true);
    assertEquals(admission.active, 1);
    admission.release(ticket);
  }
  assertEquals([order, admission.active, admission.waiting], [[0, 1, 2, 3], 0, 0]);
});

Deno.test("who has waited as long as may be is turned away, and the others wait on", async () => {
  const { admission, clock, come } = setUp({ maxConnections: 1, queue: 2 });
  const served = come();
  const early = come();
  await clock.pass(600);
  const late = come();
  await clock.pass(400);
  assertEquals([await early.slot, admission.waiting], [false, 1]);
  await clock.pass(599);
  admission.release(served.ticket);
  assertEquals(await late.slot, true);
  await clock.pass(10_000);
  assertEquals(admission.active, 1);
});

Deno.test("who leaves while waiting frees the place, and gets no slot", async () => {
  const { admission, come } = setUp({ maxConnections: 1, queue: 2 });
  const served = come();
  const [leaver, stayer] = [come(), come()];
  assertEquals(admission.isFull, true);
  admission.release(leaver.ticket);
  assertEquals([await leaver.slot, admission.waiting, admission.isFull], [false, 1, false]);
  admission.release(served.ticket);
  assertEquals(await stayer.slot, true);
});

Deno.test("it is full when nobody could even wait, and has room when one leaves at any step", async () => {
  const { admission, come } = setUp({ maxConnections: 1, queue: 2 });
  const [served, waiter, arrived] = [come(), come(), admission.issueTicket()];
  for (const ticket of [arrived, waiter.ticket, served.ticket]) {
    assertEquals(admission.isFull, true);
    let hasCapacity = false;
    const room = admission.capacity().then(() => hasCapacity = true);
    await Promise.resolve();
    assertEquals(hasCapacity, false);
    admission.release(ticket);
    await room;
    assertEquals(admission.isFull, false);
    admission.issueTicket();
  }
});

Deno.test("where nobody may wait, it is not full for those who can be refused at once", () => {
  const { admission, come } = setUp({ maxConnections: 1, queue: 0 });
  come();
  assertEquals(admission.isFull, false);
  for (let i = 0; i < 1000; i++) admission.release(come().ticket);
  assertEquals(admission.isFull, false);
  for (let i = 0; i < 64; i++) admission.issueTicket(); // who shakes hands takes up room all the same
  assertEquals(admission.isFull, true);
});

Deno.test("a closing admission is never full, and clearing it turns away all who wait", async () => {
  const { admission, come } = setUp({ maxConnections: 1, queue: 2 });
  const [, first, second] = [come(), come(), come()];
  const room = admission.capacity();
  admission.close();
  await room;
  assertEquals([admission.isFull, come().slot], [false, false]);
  admission.refuseWaiting();
  assertEquals([await first.slot, await second.slot, admission.waiting], [false, false, 0]);
});

Deno.test("deny wins, and with any allow all else is denied", async () => {
  const allow = await Networks.of(["10.0.0.0/8", "2001:db8::/32"]);
  const deny = await Networks.of(["10.1.0.0/16"]);
  const refusals = (options: Partial<AdmissionOptions>) => {
    const { come } = setUp(options);
    return ["10.0.0.1", "10.1.0.1", "192.0.2.1", "2001:db8::1", "::1"].map((a) => come(a).refusal);
  };
  const no = "denied";
  const yes = undefined;
  assertEquals(refusals({}), [yes, yes, yes, yes, yes]);
  assertEquals(refusals({ deny }), [yes, no, yes, yes, yes]);
  assertEquals(refusals({ allow }), [yes, yes, no, yes, no]);
  assertEquals(refusals({ allow, deny }), [yes, no, no, yes, no]);
});

Deno.test("no rule or limit is about a client without an address", async () => {
  const allow = await Networks.of(["10.0.0.0/8"]);
  const { admission } = setUp({ allow, maxPerSource: 1 });
  for (let i = 0; i < 3; i++) {
    assertEquals(admission.admit(admission.issueTicket(), undefined), undefined);
  }
});

Deno.test("a source has as many connections as may be, waiting or served, and others have theirs", () => {
  const { admission, come } = setUp({ maxPerSource: 2, maxConnections: 1, queue: 10 });
  const first = come("192.0.2.1");
  assertEquals(come("192.0.2.1").refusal, undefined);
  assertEquals(come("192.0.2.1").refusal, "source-limit");
  assertEquals(come("192.0.2.2").refusal, undefined);
  admission.release(first.ticket);
  assertEquals(come("192.0.2.1").refusal, undefined);
  assertEquals(come("192.0.2.1").refusal, "source-limit");
});

Deno.test("a network of 64 bits is one source, and an IPv4 address is one alone", () => {
  const { come } = setUp({ maxPerSource: 1 });
  assertEquals(come("2001:db8::1").refusal, undefined);
  assertEquals(come("2001:db8::ffff:2").refusal, "source-limit");
  assertEquals(come("2001:db8:0:1::1").refusal, undefined);
  assertEquals(come("192.0.2.1").refusal, undefined);
  assertEquals(come("192.0.2.2").refusal, undefined);
});

Deno.test("a source may come so often at once, and as often again in every period", async () => {
  const { clock, come } = setUp({ ratePerSource: { count: 3, periodMs: 6000 } });
  const refusals = (times: number, address?: string) =>
    Array.from({ length: times }, () => come(address).refusal === "source-rate");
  assertEquals(refusals(5), [false, false, false, true, true]);
  assertEquals(refusals(1, "192.0.2.2"), [false]);
  await clock.pass(1999);
  assertEquals(refusals(1), [true]);
  await clock.pass(1);
  assertEquals(refusals(2), [false, true]);
  await clock.pass(600_000);
  assertEquals(refusals(4), [false, false, false, true]);
});

Deno.test("a ticket that the limit refuses does not count for the rate", () => {
  const { admission, come } = setUp({
    maxPerSource: 1,
    ratePerSource: { count: 2, periodMs: 1000 },
  });
  const { ticket } = come();
  for (let i = 0; i < 5; i++) assertEquals(come().refusal, "source-limit");
  admission.release(ticket);
  assertEquals([come().refusal, come().refusal], [undefined, "source-limit"]);
});

Deno.test("a source is forgotten when nobody is there from it and it may come as any other", async () => {
  const { admission, clock, come } = setUp({ ratePerSource: { count: 5, periodMs: 1000 } });
  const stayer = come("192.0.2.1");
  for (let i = 2; i < 200; i++) admission.release(come(`192.0.2.${i}`).ticket);
  assertEquals(admission.sources, 199);
  await clock.pass(1000);
  admission.release(come("192.0.2.2").ticket);
  assertEquals(admission.sources, 2);
  admission.release(stayer.ticket);
  await clock.pass(1000);
  come("192.0.2.3");
  assertEquals(admission.sources, 1);
});

Deno.test("with a limit but no rate, a source is forgotten when the last ticket has left", () => {
  const { admission, come } = setUp({ maxPerSource: 3 });
  for (let i = 0; i < 200; i++) admission.release(come(`192.0.2.${i}`).ticket);
  come("198.51.100.1");
  assert(admission.sources <= 2, `${admission.sources} are remembered`);
});

Deno.test("however many sources come, so many are remembered, and those who are there all", () => {
  const { admission, come } = setUp({
    maxPerSource: 1,
    ratePerSource: { count: 5, periodMs: 3_600_000 },
  });
  come("192.0.2.1");
  for (let i = 0; i < 3 * MAX_SOURCES; i++) {
    const octets = [10, i >> 16, i >> 8 & 255, i & 255];
    admission.release(come(octets.join(".")).ticket);
  }
  assert(admission.sources <= MAX_SOURCES + 1, `${admission.sources} are remembered`);
  assertEquals(come("192.0.2.1").refusal, "source-limit");
});
