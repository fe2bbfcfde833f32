import { assert, assertEquals } from "@std/assert";
import { isAlive } from "./_processes.ts";
import { ask, receive, receiveAll, receiveEach, send, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { until } from "./_waiting.ts";

const MB = 1_000_000;

/** Waits for the record of the only connection, and asserts that its child has gone. */
async function end(spawnd: Spawnd) {
  const record = await spawnd.record({ message: "end" });
  assert(!isAlive(Number(record.pid)));
  return record;
}

Deno.test("a connection without a byte for the idle timeout is closed", async () => {
  await using spawnd = await Spawnd.start("--idle-timeout", "0.4", "--", "cat");
  using conn = await spawnd.connect();
  await send(conn, "hello");
  await receive(conn, 5);
  assertEquals(text(await receiveAll(conn)), "");
  conn.close();
  const { exit, reason, seconds } = await end(spawnd);
  assertEquals([exit, reason], [0, "idle-timeout"]);
  assert(Number(seconds) >= 0.4 && Number(seconds) < 3, `after ${seconds} s`);
});

Deno.test("occasional bytes in either direction keep a connection open", async () => {
  const cases = [
    ["cat >/dev/null", 5], // only the client sends
    ["for i in 1 2 3 4 5 6; do sleep 0.15; echo $i; done; cat >/dev/null", 0], // only the child sends
  ] as const;
  for (const [script, messages] of cases) {
    await using spawnd = await Spawnd.start("--idle-timeout", "0.5", "--", "sh", "-c", script);
    using conn = await spawnd.connect();
    const began = performance.now();
    for (let i = 0; i < messages; i++) {
      await new Promise((resolve) => setTimeout(resolve, 200)); // a slow client
      await send(conn, "x");
    }
    await receiveAll(conn);
    conn.close();
    assert(performance.now() - began > 1000, "closed while it was not idle");
    assertEquals((await end(spawnd)).reason, "idle-timeout");
  }
});

Deno.test("a client that reads slowly is not idle, though the kernel reports it seldom", async () => {
  await using spawnd = await Spawnd.start(
    ...["--idle-timeout", "0.5", "--", "head", "-c", `${20 * MB}`, "/dev/zero"],
  );
  using conn = await spawnd.connect();
  const buffer = new Uint8Array(20_000);
  let length = 0;
  const startedAt = performance.now();
  while (performance.now() - startedAt < 4_000) { // 100 kB/s: the server sees it after 15 s
    length += await conn.read(buffer) ?? 0;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assertEquals(spawnd.records({ message: "end" }), []);
  await receiveEach(conn, (chunk) => length += chunk.length);
  assertEquals(length, 20 * MB);
  assertEquals((await end(spawnd)).reason, "child-closed");
});

Deno.test("a connection is closed after the session timeout, however busy", async () => {
  await using spawnd = await Spawnd.start(
    ...["--session-timeout", "0.6", "--kill-timeout", "0.2"],
    ...["--", "sh", "-c", "while echo tick; do sleep 0.05; done"],
  );
  using conn = await spawnd.connect();
  const ticks = text(await receiveAll(conn)).split("\n").length;
  conn.close();
  assert(ticks > 5, `${ticks} ticks`);
  const { exit, reason, seconds } = await end(spawnd);
  assertEquals([exit, reason], ["SIGTERM", "session-timeout"]);
  assert(Number(seconds) >= 0.8 && Number(seconds) < 4, `after ${seconds} s`);
});

Deno.test("the first timeout to expire counts, and the others change nothing", async () => {
  await using spawnd = await Spawnd.start(
    ...["--session-timeout", "60", "--idle-timeout", "60", "--eof-timeout", "0.3"],
    ...["--", "sh", "-c", "cat; exec sleep 30"],
  );
  assertEquals(text(await ask(spawnd.port, "hello")), "hello");
  assertEquals((await end(spawnd)).reason, "eof-timeout");
});

Deno.test("without timeouts an idle connection stays open", async () => {
  await using spawnd = await Spawnd.start("--", "cat");
  using conn = await spawnd.connect();
  const { pid } = await spawnd.record({ message: "open" });
  let polls = 0;
  await until("a second of silence", () => ++polls > 200); // 5 ms each
  assert(isAlive(Number(pid)));
  await send(conn, "still");
  assertEquals(text(await receive(conn, 5)), "still");
});
