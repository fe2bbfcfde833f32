import { assert, assertEquals } from "@std/assert";
import { Networks } from "../lib/net/address.ts";
import { Admission, type AdmissionOptions, MAX_SOURCES } from "../lib/admission/admission.ts";
import { FakeClock } from "./_fake_clock.ts";

const NO_NETWORKS = await Networks.of([]);

/** Admission control with a fake clock; `arrive` takes a client through every step to its slot. */
function setUp(given: Partial<AdmissionOptions> = {}) {
  const clock = new FakeClock();
  const options: AdmissionOptions = {
    maxConnections: 1000,
    queue: 0,
    queueTimeoutMs: 1000,
    maxPerSource: 0,
    ratePerSource: { count: 0, periodMs: 1000 },
    rate: { count: 0, periodMs: 1000 },
    exempt: NO_NETWORKS,
    allow: NO_NETWORKS,
    deny: NO_NETWORKS,
    ...given,
  };
  const admission = new Admission(options, { clock });
  const arrive = (address = "192.0.2.1") => {
    const ticket = admission.issueTicket();
    const refusal = admission.admit(ticket, address);
    if (refusal) admission.release(ticket);
    return { refusal, ticket, slot: refusal ? false : admission.requestSlot(ticket) };
  };
  return { clock, admission, options, arrive };
}

Deno.test("slots are limited to maxConnections, and a release frees exactly one", () => {
  const { admission, arrive } = setUp({ maxConnections: 2 });
  const first = arrive();
  assertEquals([first.slot, arrive().slot, arrive().slot, admission.active], [
    true,
    true,
    false,
    2,
  ]);
  admission.release(first.ticket);
  admission.release(first.ticket);
  assertEquals([admission.active, arrive().slot, arrive().slot], [1, true, false]);
});

Deno.test("waiting clients get slots in order of arrival", async () => {
  const { admission, arrive } = setUp({ maxConnections: 1, queue: 3 });
  const clients = [arrive(), arrive(), arrive(), arrive()];
  const order: number[] = [];
  clients.forEach(({ slot }, i) => Promise.resolve(slot).then((has) => has && order.push(i)));
  assertEquals([admission.active, admission.waiting], [1, 3]);
  for (const { ticket, slot } of clients) {
    assertEquals(await slot, true);
    assertEquals(admission.active, 1);
    admission.release(ticket);
  }
  assertEquals([order, admission.active, admission.waiting], [[0, 1, 2, 3], 0, 0]);
});

Deno.test("a client is refused after the queue timeout, and the others wait on", async () => {
  const { admission, clock, arrive } = setUp({ maxConnections: 1, queue: 2 });
  const served = arrive();
  const early = arrive();
  await clock.advance(600);
  const late = arrive();
  await clock.advance(400);
  assertEquals([await early.slot, admission.waiting], [false, 1]);
  await clock.advance(599);
  admission.release(served.ticket);
  assertEquals(await late.slot, true);
  await clock.advance(10_000);
  assertEquals(admission.active, 1);
});

Deno.test("a client that leaves the queue frees its place and gets no slot", async () => {
  const { admission, arrive } = setUp({ maxConnections: 1, queue: 2 });
  const served = arrive();
  const [leaving, staying] = [arrive(), arrive()];
  assertEquals(admission.isFull, true);
  admission.release(leaving.ticket);
  assertEquals([await leaving.slot, admission.waiting, admission.isFull], [false, 1, false]);
  admission.release(served.ticket);
  assertEquals(await staying.slot, true);
});

Deno.test("admission is full when the queue is, and a release at any step makes room", async () => {
  const { admission, arrive } = setUp({ maxConnections: 1, queue: 2 });
  const [served, waiting, pending] = [arrive(), arrive(), admission.issueTicket()];
  for (const ticket of [pending, waiting.ticket, served.ticket]) {
    assertEquals(admission.isFull, true);
    let hasCapacity = false;
    const capacity = admission.capacity().then(() => hasCapacity = true);
    await Promise.resolve();
    assertEquals(hasCapacity, false);
    admission.release(ticket);
    await capacity;
    assertEquals(admission.isFull, false);
    admission.issueTicket();
  }
});

Deno.test("without a queue, admission is full only when too many tickets are pending", () => {
  const { admission, arrive } = setUp({ maxConnections: 1, queue: 0 });
  arrive();
  assertEquals(admission.isFull, false);
  for (let i = 0; i < 1000; i++) admission.release(arrive().ticket);
  assertEquals(admission.isFull, false);
  for (let i = 0; i < 64; i++) admission.issueTicket(); // pending handshakes count
  assertEquals(admission.isFull, true);
});

Deno.test("after drain() the queue takes everyone, and refuseWaiting() empties it", async () => {
  const { admission, arrive } = setUp({ maxConnections: 1, queue: 2 });
  const [, first, second] = [arrive(), arrive(), arrive()];
  const capacity = admission.capacity();
  admission.drain();
  await capacity;
  const third = arrive();
  assertEquals([admission.isFull, admission.waiting], [false, 3]);
  admission.refuseWaiting();
  const slots = await Promise.all([first.slot, second.slot, third.slot]);
  assertEquals([slots, admission.waiting], [[false, false, false], 0]);
});

Deno.test("without a queue, drain() makes nobody wait", () => {
  const { admission, arrive } = setUp({ maxConnections: 1, queue: 0 });
  arrive();
  admission.drain();
  assertEquals(arrive().slot, false);
});

Deno.test("deny wins, and an allow list denies all others", async () => {
  const allow = await Networks.of(["10.0.0.0/8", "2001:db8::/32"]);
  const deny = await Networks.of(["10.1.0.0/16"]);
  const refusals = (options: Partial<AdmissionOptions>) => {
    const { arrive } = setUp(options);
    return ["10.0.0.1", "10.1.0.1", "192.0.2.1", "2001:db8::1", "::1"].map((a) =>
      arrive(a).refusal
    );
  };
  const no = "denied";
  const yes = undefined;
  assertEquals(refusals({}), [yes, yes, yes, yes, yes]);
  assertEquals(refusals({ deny }), [yes, no, yes, yes, yes]);
  assertEquals(refusals({ allow }), [yes, yes, no, yes, no]);
  assertEquals(refusals({ allow, deny }), [yes, no, no, yes, no]);
});

Deno.test("no rule or limit applies to a client without an address", async () => {
  const allow = await Networks.of(["10.0.0.0/8"]);
  const { admission } = setUp({ allow, maxPerSource: 1 });
  for (let i = 0; i < 3; i++) {
    assertEquals(admission.admit(admission.issueTicket(), undefined), undefined);
  }
});

Deno.test("maxPerSource counts waiting and served connections, for each source separately", () => {
  const { admission, arrive } = setUp({ maxPerSource: 2, maxConnections: 1, queue: 10 });
  const first = arrive("192.0.2.1");
  assertEquals(arrive("192.0.2.1").refusal, undefined);
  assertEquals(arrive("192.0.2.1").refusal, "source-limit");
  assertEquals(arrive("192.0.2.2").refusal, undefined);
  admission.release(first.ticket);
  assertEquals(arrive("192.0.2.1").refusal, undefined);
  assertEquals(arrive("192.0.2.1").refusal, "source-limit");
});

Deno.test("an IPv6 /64 is one source, and so is each single IPv4 address", () => {
  const { arrive } = setUp({ maxPerSource: 1 });
  assertEquals(arrive("2001:db8::1").refusal, undefined);
  assertEquals(arrive("2001:db8::ffff:2").refusal, "source-limit");
  assertEquals(arrive("2001:db8:0:1::1").refusal, undefined);
  assertEquals(arrive("192.0.2.1").refusal, undefined);
  assertEquals(arrive("192.0.2.2").refusal, undefined);
});

Deno.test("a source's rate allows a burst of its count, then refills over the period", async () => {
  const { clock, arrive } = setUp({ ratePerSource: { count: 3, periodMs: 6000 } });
  const refusals = (times: number, address?: string) =>
    Array.from({ length: times }, () => arrive(address).refusal === "source-rate");
  assertEquals(refusals(5), [false, false, false, true, true]);
  assertEquals(refusals(1, "192.0.2.2"), [false]);
  await clock.advance(1999);
  assertEquals(refusals(1), [true]);
  await clock.advance(1);
  assertEquals(refusals(2), [false, true]);
  await clock.advance(600_000);
  assertEquals(refusals(4), [false, false, false, true]);
});

Deno.test("a source-limit refusal does not count toward the rate", () => {
  const { admission, arrive } = setUp({
    maxPerSource: 1,
    ratePerSource: { count: 2, periodMs: 1000 },
  });
  const { ticket } = arrive();
  for (let i = 0; i < 5; i++) assertEquals(arrive().refusal, "source-limit");
  admission.release(ticket);
  assertEquals([arrive().refusal, arrive().refusal], [undefined, "source-limit"]);
});

Deno.test("a source without connections is forgotten once its rate has refilled", async () => {
  const { admission, clock, arrive } = setUp({ ratePerSource: { count: 5, periodMs: 1000 } });
  const connected = arrive("192.0.2.1");
  for (let i = 2; i < 200; i++) admission.release(arrive(`192.0.2.${i}`).ticket);
  assertEquals(admission.sources, 199);
  await clock.advance(1000);
  admission.release(arrive("192.0.2.2").ticket);
  assertEquals(admission.sources, 2);
  admission.release(connected.ticket);
  await clock.advance(1000);
  arrive("192.0.2.3");
  assertEquals(admission.sources, 1);
});

Deno.test("with a limit but no rate, a source is forgotten at its last release", () => {
  const { admission, arrive } = setUp({ maxPerSource: 3 });
  for (let i = 0; i < 200; i++) admission.release(arrive(`192.0.2.${i}`).ticket);
  arrive("198.51.100.1");
  assert(admission.sources <= 2, `${admission.sources} are remembered`);
});

Deno.test("all connected sources are remembered, but at most MAX_SOURCES idle ones", () => {
  const { admission, arrive } = setUp({
    maxPerSource: 1,
    ratePerSource: { count: 5, periodMs: 3_600_000 },
  });
  arrive("192.0.2.1");
  for (let i = 0; i < 3 * MAX_SOURCES; i++) {
    const octets = [10, i >> 16, i >> 8 & 255, i & 255];
    admission.release(arrive(octets.join(".")).ticket);
  }
  assert(admission.sources <= MAX_SOURCES + 1, `${admission.sources} are remembered`);
  assertEquals(arrive("192.0.2.1").refusal, "source-limit");
});

Deno.test("clients beyond the rate wait, and get slots in order as the rate allows", async () => {
  const { admission, clock, arrive } = setUp({
    queue: 10,
    queueTimeoutMs: 60_000,
    rate: { count: 2, periodMs: 10_000 },
  });
  const clients = Array.from({ length: 5 }, () => arrive());
  const served: number[] = [];
  clients.forEach(({ slot }, i) => Promise.resolve(slot).then((has) => has && served.push(i)));
  assertEquals([admission.active, admission.waiting], [2, 3]);
  await clock.advance(4_999);
  assertEquals(served, [0, 1]);
  await clock.advance(1);
  assertEquals(served, [0, 1, 2]);
  admission.release(clients[0]!.ticket); // a free slot is not a token
  await clock.advance(4_000);
  assertEquals([served, admission.waiting], [[0, 1, 2], 2]);
  await clock.advance(6_000);
  assertEquals([served, admission.waiting], [[0, 1, 2, 3, 4], 0]);
});

Deno.test("a client that waits for the rate and leaves takes no token", async () => {
  const { admission, clock, arrive } = setUp({ queue: 10, rate: { count: 1, periodMs: 500 } });
  const [, leaving, staying] = [arrive(), arrive(), arrive()];
  admission.release(leaving.ticket);
  await clock.advance(500);
  assertEquals([await leaving.slot, await staying.slot], [false, true]);
});

Deno.test("while the queue is full of clients that wait for the rate, nothing is accepted", async () => {
  const { admission, clock, arrive } = setUp({ queue: 2, rate: { count: 1, periodMs: 500 } });
  arrive();
  assertEquals(admission.isFull, false);
  arrive();
  arrive();
  assertEquals([admission.isFull, admission.hasCapacity], [true, true]);
  let hasCapacity = false;
  admission.capacity().then(() => hasCapacity = true);
  await clock.advance(499);
  assertEquals(hasCapacity, false);
  await clock.advance(1);
  assertEquals([hasCapacity, admission.isFull], [true, false]);
});

Deno.test("the limits of a source do not apply to exempt networks, the address rules do", async () => {
  const exempt = await Networks.of(["192.0.2.0/24"]);
  const deny = await Networks.of(["192.0.2.9"]);
  const { arrive } = setUp({
    maxPerSource: 1,
    ratePerSource: { count: 1, periodMs: 1000 },
    exempt,
    deny,
  });
  const refusals = (address: string) => [arrive(address).refusal, arrive(address).refusal];
  assertEquals(refusals("192.0.2.1"), [undefined, undefined]);
  assertEquals(refusals("192.0.2.9"), ["denied", "denied"]);
  assertEquals(refusals("198.51.100.1"), [undefined, "source-limit"]);
});

Deno.test("changed limits hold for the next client, and those that wait get new slots", async () => {
  const { admission, options, arrive } = setUp({ maxConnections: 1, queue: 2 });
  const [, second, third] = [arrive(), arrive(), arrive()];
  const capacity = admission.capacity();
  admission.update({ ...options, maxConnections: 3, queue: 0 });
  await capacity;
  assertEquals([await second.slot, await third.slot, arrive().slot], [true, true, false]);
  admission.update({ ...options, maxConnections: 1, queue: 0 });
  admission.release(second.ticket);
  assertEquals([admission.active, arrive().slot], [2, false]); // those that have one keep it
});

Deno.test("the change of a rate holds for the clients that wait", async () => {
  const { admission, options, clock, arrive } = setUp({
    queue: 5,
    rate: { count: 1, periodMs: 900 },
  });
  const [, second] = [arrive(), arrive()];
  admission.update({ ...options, rate: { count: 0, periodMs: 1000 } });
  assertEquals(await second.slot, true);
  await clock.advance(10_000); // no timer of the old rate is left
  assertEquals([admission.active, admission.waiting], [2, 0]);
});
