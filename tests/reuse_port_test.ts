import { assert, assertEquals, assertMatch } from "@std/assert";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { until } from "./_waiting.ts";

const served = async (spawnd: Spawnd) => Number((await spawnd.status()).ended);

Deno.test("two servers with --reuse-port share the clients, and each can go on alone", async () => {
  await using first = await Spawnd.start("--reuse-port", "--", "cat");
  await using second = await Spawnd.start("--reuse-port", "--port", `${first.port}`, "--", "cat");
  const count = async () => {
    assertEquals(text(await ask(first.port, "hello")), "hello");
    return await Promise.all([served(first), served(second)]);
  };
  await until("both to have served", async () => (await count()).every((count) => count > 0));
  first.kill("SIGTERM");
  assertEquals((await first.ended()).code, 0);
  const before = await served(second);
  for (let i = 0; i < 20; i++) assertEquals(text(await ask(second.port, "hello")), "hello");
  await until("twenty more", async () => await served(second) === before + 20);
});

Deno.test("both servers need --reuse-port to share a port", async () => {
  await using first = await Spawnd.start("--", "cat");
  await using second = Spawnd.run(
    ...["--host", "127.0.0.1", "--port", `${first.port}`, "--reuse-port", "--", "cat"],
  );
  assertEquals((await second.ended()).code, 1);
  assert(second.lines.length === 1, second.lines.join("\n"));
  assertMatch(
    second.lines[0]!,
    /Cannot listen on 127\.0\.0\.1:\d+: the port is in use by a program that does not share it/,
  );
});

Deno.test("--reuse-port without Deno's --unstable-net is refused, and where flags go is told", async () => {
  await using spawnd = Spawnd.runWith(
    ["--no-config", "--allow-net", "--allow-run"],
    ...["--reuse-port", "--", "cat"],
  );
  assertEquals((await spawnd.ended()).code, 1);
  assertEquals(spawnd.lines, [
    "spawnd: Deno does not allow --reuse-port: add --unstable-net",
    "spawnd: Deno's flags go before main.ts, or into deno install --force",
  ]);
});
