/**
 * Admission seen from outside: the queue, the limits of a source, the address rules, and what a
 * refused client gets.
 */

import { assert, assertEquals } from "@std/assert";
import { childrenOf, descriptorsOf } from "./_processes.ts";
import { ask, connectFrom, connectToReset, receive, receiveAll, send, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { until, untilSteady, within } from "./_waiting.ts";

/** Connects, and checks that the connection is served. */
async function connectServed(spawnd: Spawnd): Promise<Deno.TcpConn> {
  const conn = await spawnd.connect();
  await send(conn, "x");
  assertEquals(text(await receive(conn, 1)), "x");
  return conn;
}

/** Connects, and returns what a refused client is sent. */
async function connectRefused(spawnd: Spawnd): Promise<string> {
  using conn = await spawnd.connect();
  return text(await receiveAll(conn));
}

Deno.test("at the limit a client waits, and is served when another leaves", async () => {
  await using spawnd = await Spawnd.start("--max-connections", "2", "--", "cat");
  using first = await connectServed(spawnd);
  using second = await connectServed(spawnd);
  using third = await spawnd.connect();
  await send(third, "hello");
  await spawnd.record({ message: "waiting", id: 3 });
  const { active, waiting } = await spawnd.status();
  assertEquals([active, waiting, childrenOf(spawnd.pid).length], [2, 1, 2]);
  await send(second, "y"); // served clients are not affected
  await receive(second, 1);
  first.close();
  assertEquals(text(await receive(third, 5)), "hello");
});

Deno.test("waiting clients are served in order of arrival", async () => {
  await using spawnd = await Spawnd.start("--max-connections", "1", "--", "cat");
  const first = await connectServed(spawnd);
  const asking: Promise<unknown>[] = [];
  for (let id = 2; id < 8; id++) {
    asking.push(ask(spawnd.port, `${id}`));
    await spawnd.record({ message: "waiting", id });
  }
  first.close();
  await Promise.all(asking);
  await spawnd.record({ message: "end", id: 7 });
  const order = spawnd.records({ message: "open" }).map(({ id }) => id);
  assertEquals(order, [1, 2, 3, 4, 5, 6, 7]);
});

Deno.test("after the queue timeout a client gets the refusal text and a clean close", async () => {
  await using spawnd = await Spawnd.start(
    ...["--max-connections", "1", "--queue-timeout", "1", "--refusal", "try later\n", "--", "cat"],
  );
  using _first = await connectServed(spawnd);
  using second = await spawnd.connect();
  await send(second, new Uint8Array(10_000)); // stays unread, and must not cause a reset
  const began = performance.now();
  assertEquals(text(await receiveAll(second)), "try later\n");
  const seconds = (performance.now() - began) / 1000;
  assert(seconds > 0.9 && seconds < 3, `refused after ${seconds} s`);
  await spawnd.record({ message: "refused", id: 2, reason: "busy" });
  assertEquals(childrenOf(spawnd.pid).length, 1);
});

Deno.test("a waiting client that leaves frees its place at once", async () => {
  await using spawnd = await Spawnd.start(
    ...["--max-connections", "1", "--queue", "2", "--queue-timeout", "60"],
    ...["--log-level", "debug", "--", "cat"],
  );
  using first = await connectServed(spawnd);
  const silent = await spawnd.connect();
  await spawnd.record({ message: "waiting", id: 2 });
  const reset = await connectToReset(spawnd.port);
  await spawnd.record({ message: "waiting", id: 3 });
  silent.close();
  await spawnd.record({ message: "left", id: 2 });
  await reset();
  await spawnd.record({ message: "left", id: 3 });
  using last = await spawnd.connect();
  await send(last, "hello");
  await spawnd.record({ message: "waiting", id: 4 });
  first.close();
  assertEquals(text(await receive(last, 5)), "hello");
  const { left, waiting } = await spawnd.status();
  assertEquals([left, waiting], [2, 0]);
  assertEquals(spawnd.records({ message: "open" }).map(({ id }) => id), [1, 4]);
});

Deno.test("a waiting client that resets frees its place, even after it has sent something", async () => {
  await using spawnd = await Spawnd.start(
    ...["--max-connections", "1", "--queue-timeout", "60", "--log-level", "debug", "--", "cat"],
  );
  using _first = await connectServed(spawnd);
  const reset = await connectToReset(spawnd.port, "hello");
  await spawnd.record({ message: "waiting", id: 2 });
  await reset();
  await spawnd.record({ message: "left", id: 2 });
});

Deno.test("a waiting client that has half-closed still gets its answer", async () => {
  await using spawnd = await Spawnd.start("--max-connections", "1", "--", "cat");
  using first = await connectServed(spawnd);
  const question = "a question that is longer than one buffer ".repeat(1000);
  const answer = ask(spawnd.port, question);
  await spawnd.record({ message: "waiting", id: 2 });
  first.close();
  assertEquals(text(await answer), question);
});

Deno.test("a served client that leaves frees its slot when its child ends", async () => {
  await using spawnd = await Spawnd.start(
    ...["--max-connections", "1", "--kill-timeout", "1", "--", "sh", "-c", "cat; sleep 0.3"],
  );
  const first = await spawnd.connect();
  await spawnd.record({ message: "open", id: 1 });
  const second = await spawnd.connect();
  await spawnd.record({ message: "waiting", id: 2 });
  first.close();
  await spawnd.record({ message: "open", id: 2 });
  using third = await spawnd.connect();
  await spawnd.record({ message: "waiting", id: 3 });
  second.close(); // its child runs on for a while and keeps the slot
  await spawnd.record({ message: "open", id: 3 });
  const order = spawnd.log.map(({ message, id }) => `${message} ${id}`);
  assert(order.indexOf("end 2") < order.indexOf("open 3"), `${order}`);
  await third.closeWrite();
  await receiveAll(third);
  assertEquals((await spawnd.status()).left, undefined);
});

Deno.test("when the queue is full, the backlog holds the rest", async () => {
  await using spawnd = await Spawnd.start(
    ...["--max-connections", "1", "--queue", "1", "--", "cat"],
  );
  using first = await connectServed(spawnd);
  const asking = Array.from({ length: 20 }, (_, i) => ask(spawnd.port, `question ${i}`));
  await spawnd.record({ level: "WARN", message: /^full/ });
  const { accepted, waiting } = await spawnd.status();
  assertEquals([accepted, waiting], [2, 1]);
  first.close();
  const answers = await within("all answers", Promise.all(asking));
  assertEquals(answers.map((answer) => text(answer)), answers.map((_, i) => `question ${i}`));
});

Deno.test("without a queue a client is refused at once", async () => {
  await using spawnd = await Spawnd.start(
    ...["--max-connections", "1", "--queue", "0", "--refusal", "full", "--", "cat"],
  );
  const first = await connectServed(spawnd);
  assertEquals(await connectRefused(spawnd), "full");
  assertEquals(await connectRefused(spawnd), "full");
  first.close();
  await spawnd.record({ message: "end" });
  (await connectServed(spawnd)).close();
  assertEquals((await spawnd.status()).busy, 2);
});

Deno.test("the limit holds exactly under a burst, and every client is served", async () => {
  await using spawnd = await Spawnd.start(
    ...["--max-connections", "5", "--queue", "200", "--queue-timeout", "60"],
    ...["--", "sh", "-c", "echo ready; cat"],
  );
  let most = 0;
  const watching = setInterval(() => most = Math.max(most, childrenOf(spawnd.pid).length), 2);
  const client = async () => {
    using conn = await spawnd.connect();
    await receive(conn, 6);
    await conn.closeWrite();
    await receiveAll(conn);
  };
  await within("all clients", Promise.all(Array.from({ length: 100 }, client)), 60_000);
  clearInterval(watching);
  assertEquals(most, 5);
  await until("all records", () => spawnd.records({ message: "end" }).length === 100);
  let active = 0;
  for (const { message } of spawnd.log) {
    if (message === "open") active++;
    if (message === "end") active--;
    assert(active <= 5, `${active} were open at once`);
  }
});

Deno.test("a source's third connection is refused without a child, others are served", async () => {
  await using spawnd = await Spawnd.start(
    ...["--max-per-source", "2", "--refusal", "too many", "--", "cat"],
  );
  using first = await connectServed(spawnd);
  using _second = await connectServed(spawnd);
  assertEquals(await connectRefused(spawnd), "too many");
  await spawnd.record({ message: "refused", id: 3, reason: "source-limit" });
  assertEquals(childrenOf(spawnd.pid).length, 2);
  const other = await connectFrom("127.0.0.2", spawnd.port);
  const answer = new Promise<string>((resolve) => other.once("data", (data) => resolve(`${data}`)));
  other.write("hello");
  assertEquals(await within("the other's answer", answer), "hello");
  const closed = new Promise((resolve) => other.once("close", resolve));
  other.destroy();
  await closed;
  await spawnd.record({ message: "open", id: 4 });
  assertEquals(spawnd.records({ message: "open" }).length, 3);
  first.close();
  const isAdmitted = async () => text(await ask(spawnd.port, "x")) === "x";
  await until("the place to be free", isAdmitted, 1000);
});

Deno.test("a source over its rate is refused, and admitted again later", async () => {
  await using spawnd = await Spawnd.start(
    ...["--rate-per-source", "3/0.6", "--refusal", "slowly", "--", "cat"],
  );
  const answers = [];
  for (let i = 0; i < 5; i++) answers.push(text(await ask(spawnd.port, "hello")));
  assertEquals(answers.slice(0, 3), ["hello", "hello", "hello"]);
  assert(answers.slice(3).includes("slowly"), `${answers}`);
  await spawnd.record({ message: "refused", reason: "source-rate" });
  const isServed = async () => text(await ask(spawnd.port, "hello")) === "hello";
  await until("it to be admitted", isServed, 1000);
});

Deno.test("deny wins over allow, and an allow list denies all others", async () => {
  const cases: [options: string[], isServed: boolean][] = [
    [["--deny", "127.0.0.0/8"], false],
    [["--deny", "10.0.0.0/8", "--deny", "::/0"], true],
    [["--allow", "10.0.0.0/8"], false],
    [["--allow", "10.0.0.0/8", "--allow", "127.0.0.1"], true],
    [["--allow", "127.0.0.0/8", "--deny", "127.0.0.1"], false],
  ];
  for (const [options, isServed] of cases) {
    await using spawnd = await Spawnd.start(...options, "--refusal", "no", "--", "cat");
    assertEquals(text(await ask(spawnd.port, "yes")), isServed ? "yes" : "no", `${options}`);
    assertEquals((await spawnd.status()).denied, isServed ? undefined : 1);
  }
});

Deno.test("an IPv4 client of an IPv6 socket is matched as IPv4", async () => {
  await using spawnd = await Spawnd.start("--host", "::", "--deny", "127.0.0.1", "--", "cat");
  assertEquals(text(await ask(spawnd.port, "hello")), "");
  const { client } = await spawnd.record({ message: "refused", reason: "denied" });
  assert(/^127\.0\.0\.1:\d+$/.test(String(client)), String(client));
});

Deno.test("a flood of refusals harms no session, and leaves nothing behind", async () => {
  await using spawnd = await Spawnd.start(
    ...["--max-per-source", "1", "--refusal", "no", "--", "cat"],
  );
  const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
  using served = await connectServed(spawnd);
  const before = await descriptors();
  let next = 0;
  let refused = 0;
  const flood = async () => {
    while (next++ < 2000) {
      const conn = await spawnd.connect();
      if (next % 2 === 0 && text(await receiveAll(conn).catch(() => new Uint8Array())) === "no") {
        refused++;
      }
      conn.close();
    }
  };
  const flooding = Promise.all(Array.from({ length: 20 }, flood));
  for (let i = 0; i < 20; i++) {
    await send(served, `message ${i}`);
    await within("an answer", receive(served, `message ${i}`.length), 2000);
  }
  await within("the flood", flooding, 60_000);
  assert(refused > 900, `${refused} of 1000 saw the text`);
  // The last ones did not wait for their refusal, and may still be in the backlog.
  await until("all to be accepted", async () => (await spawnd.status()).accepted === 2001);
  const status = await spawnd.status();
  assertEquals([status["source-limit"], status.active], [2000, 1]);
  assertEquals(spawnd.records({ message: "refused" }).length, 5);
  assertEquals(await descriptors(), before);
  served.close();
  await spawnd.record({ message: "end" });
  assertEquals(text(await within("an answer", ask(spawnd.port, "hello"), 1000)), "hello");
});
