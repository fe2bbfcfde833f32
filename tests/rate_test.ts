/** `--rate` and `--exempt`, as clients notice them. */

import { assert, assertEquals } from "@std/assert";
import { ask, connectFrom, text } from "./_sockets.ts";
import { assertAddsUp, serveScript } from "./_spawnd.ts";
import { until } from "./_waiting.ts";

Deno.test("clients beyond --rate wait for their turn, and none is refused", async () => {
  await using spawnd = await serveScript("cat", "--rate", "2/0.5", "--warm", "0");
  const begin = performance.now();
  const answers = await Promise.all(Array.from({ length: 6 }, () => ask(spawnd.port, "hello")));
  const seconds = (performance.now() - begin) / 1000;
  assertEquals(new Set(answers.map(text)), new Set(["hello"]));
  assert(seconds > 0.9, `four have to wait a quarter of a second after each other, not ${seconds}`);
  assertEquals(spawnd.records({ message: "waiting" }).length, 4);
  await until("the records", () => spawnd.records({ message: "end" }).length === 6);
  assertAddsUp(await spawnd.status());
});

Deno.test("more clients than wait stay in the kernel's backlog, and are served in time", async () => {
  await using spawnd = await serveScript("cat", "--rate", "2/0.2", "--queue", "1");
  const answers = await Promise.all(Array.from({ length: 8 }, () => ask(spawnd.port, "hello")));
  assertEquals(new Set(answers.map(text)), new Set(["hello"]));
});

Deno.test("a client that waits for the rate longer than --queue-timeout is refused", async () => {
  await using spawnd = await serveScript(
    "cat",
    ...["--rate", "1/600", "--queue-timeout", "0.2", "--refusal", "busy\n"],
  );
  assertEquals(text(await ask(spawnd.port, "hello")), "hello");
  assertEquals(text(await ask(spawnd.port, "hello")), "busy\n");
  assertEquals((await spawnd.status()).busy, 1);
});

Deno.test("SIGTERM ends the wait for a rate after the drain timeout", async () => {
  await using spawnd = await serveScript("cat", "--rate", "1/600", "--drain-timeout", "0.2");
  await ask(spawnd.port, "first");
  const waiting = ask(spawnd.port, "second");
  await spawnd.record({ message: "waiting" });
  assertEquals((await spawnd.stop()).code, 1);
  assertEquals(text(await waiting), "");
});

Deno.test("a source that is exempt has no limit, and others have theirs", async () => {
  await using spawnd = await serveScript(
    "cat",
    ...["--rate-per-source", "1/600", "--exempt", "127.0.0.1", "--refusal", "no"],
  );
  for (let i = 0; i < 3; i++) assertEquals(text(await ask(spawnd.port, "hello")), "hello");
  const answers: string[] = [];
  for (let i = 0; i < 2; i++) {
    const socket = await connectFrom("127.0.0.2", spawnd.port);
    let answer = "";
    socket.on("data", (data) => answer += data).on("error", () => {});
    socket.end("hello");
    await new Promise((resolve) => socket.once("close", resolve));
    answers.push(answer);
  }
  assertEquals(answers, ["hello", "no"]);
});
