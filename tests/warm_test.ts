import { assert, assertEquals } from "@std/assert";
import { childrenOf, isAlive, waitsForInput } from "./_processes.ts";
import { ask, receive, receiveAll, send, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { until } from "./_waiting.ts";

Deno.test("--warm hands out a warm child and starts another", async () => {
  await using spawnd = await Spawnd.start("--warm", "2", "--", "sh", "-c", "echo $$; exec cat");
  await until("two warm children", () => childrenOf(spawnd.pid).length === 2);
  const warm = childrenOf(spawnd.pid);
  const served = Number((await ask(spawnd.port, "").then(text)).trim());
  assert(warm.includes(served), `${served} is not one of ${warm}`);
  assertEquals((await spawnd.record({ message: "open" })).start, "warm");
  await until(
    "a replacement",
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
  await until("a replacement", () => {
    const children = childrenOf(spawnd.pid);
    return children.length === 1 && children[0] !== pid;
  });
  assertEquals(text(await ask(spawnd.port, "hello")), "hello");
});

Deno.test("with --warm 4 a child that fails at once is restarted slowly, with one warning", async () => {
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
  await until("five starts", () => Deno.readTextFileSync(counter).length >= 5);
  const seconds = (performance.now() - begun) / 1000;
  assert(seconds > 0.25, `five starts within ${seconds} s`);
  assertEquals(spawnd.records({ level: "WARN" }).length, 1);
  await Deno.remove(counter);
});

Deno.test("a program that answers without waiting runs anew for every client", async () => {
  await using spawnd = await Spawnd.start("--warm", "2", "--", "date", "+%s%N");
  await spawnd.record({ level: "WARN", message: /does not wait for its client/ });
  for (let client = 0; client < 5; client++) {
    const before = Date.now();
    const printedAt = Number(text(await ask(spawnd.port, ""))) / 1e6;
    assert(printedAt >= before - 1, `${before - printedAt} ms old`);
  }
  await until("five runs", () => spawnd.records({ message: "end" }).length === 5);
  assertEquals(new Set(spawnd.records({ message: "open" }).map(({ pid }) => pid)).size, 5);
  assertEquals(spawnd.records({ level: "WARN" }).length, 1);
});

Deno.test("a greeting sent before any input reaches the client of a warm child", async () => {
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

Deno.test("after SIGHUP new clients get new code, and old ones keep theirs", async () => {
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

Deno.test("the first reply of a warm Deno child is ten times faster than a cold one's", async () => {
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

Deno.test("when all warm children are killed, no client gets an empty answer", async () => {
  await using spawnd = await Spawnd.start("--warm", "32", "--max-connections", "64", "--", "cat");
  await until("32 warm children", () => childrenOf(spawnd.pid).length === 32);
  for (const child of childrenOf(spawnd.pid)) Deno.kill(child, "SIGKILL");
  // The server gets the clients in the same turn as the ends of the children, or before.
  const answers = await Promise.all(Array.from({ length: 32 }, () => ask(spawnd.port, "hello")));
  assertEquals(answers.map(text), Array.from({ length: 32 }, () => "hello"));
});

Deno.test("a warm child that ends by itself, or after end of input, is not replaced", async () => {
  for (const [script, question] of [["read x; exit 3", "bye\n"], ["cat >/dev/null", ""]] as const) {
    await using spawnd = await Spawnd.start("--warm", "1", "--", "sh", "-c", script);
    assertEquals(text(await ask(spawnd.port, question)), "");
    await spawnd.record({ message: "end" });
    assertEquals(spawnd.records({ message: /replaced/ }), []);
  }
});

Deno.test("by default no more children are kept warm than clients can be served", async () => {
  await using spawnd = await Spawnd.start("--max-connections", "3");
  const { warm } = await spawnd.record({ message: "listening" });
  assertEquals(warm, 3);
});
