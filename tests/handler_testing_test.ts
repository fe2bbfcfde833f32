/** Tests of a handler without a server. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Client } from "../lib/handler/serve.ts";
import { connect, run } from "../lib/handler/testing.ts";

async function shout(client: Client): Promise<void> {
  await client.write(`Hello ${client.remote?.hostname ?? "stranger"}\n`);
  for await (const line of client.lines()) await client.write(`${line.toUpperCase()}\n`);
}

Deno.test("run gives the whole output for an input, and knows the client it is told", async () => {
  assertEquals(await run(shout, "a\nb"), "Hello stranger\nA\nB\n");
  const remote = { hostname: "192.0.2.1", port: 1 };
  assertEquals(await run(shout, "", { remote }), "Hello 192.0.2.1\n");
  const tls = { protocol: "TLSv1.3", commonName: "Ada" };
  assertEquals(await run((client) => client.write(client.tls!.commonName!), "", { tls }), "Ada");
  assertEquals(await run(async (client) => await client.write((await client.read())!), "ü"), "ü");
});

Deno.test("run throws what the handler throws", async () => {
  const error = new Error("mine");
  assertEquals(await run(() => Promise.reject(error)).catch((error) => error), error);
  await assertRejects(
    () =>
      run(() => {
        throw error;
      }),
    Error,
    "mine",
  );
});

Deno.test("a dialogue goes on from match to match", async () => {
  await using client = connect(shout);
  await client.expect("Hello ");
  assertEquals(await client.expect(/(\w+)\n/), ["stranger\n", "stranger"]);
  await client.send("on");
  await client.send("e\ntwo\n");
  await client.expect("ONE\n");
  assertEquals(await client.end(), "TWO\n");
});

Deno.test("an expectation that never comes is an error with the output so far", async () => {
  await using client = connect(shout, { timeoutMs: 30 });
  const error = await assertRejects(() => client.expect(/Goodbye/));
  assertEquals(
    (error as Error).message,
    'Expected /Goodbye/, but after 30 ms there was "Hello stranger\\n"',
  );
});

Deno.test("an expectation after the handler has returned does not wait", async () => {
  await using client = connect((client) => client.write("bye"), { timeoutMs: 60_000 });
  await client.expect("by");
  await assertRejects(() => client.expect("x"), Error, 'when the handler returned there was "e"');
});

Deno.test("a handler that does not return is an error", async () => {
  const never = Promise.withResolvers<void>();
  const error = await run(() => never.promise, "", { timeoutMs: 30 }).catch((error) => error);
  assert(error instanceof Error, `${error}`);
});

Deno.test("an expectation throws what the handler throws, once", async () => {
  await using client = connect(() => Promise.reject(new TypeError("mine")));
  await assertRejects(() => client.expect("x"), TypeError, "mine");
});

Deno.test("a client that leaves ends writes and reads, and aborts closed", async () => {
  const seen: unknown[] = [];
  {
    await using client = connect(async (client) => {
      const left = new Promise((resolve) => client.closed.addEventListener("abort", resolve));
      await client.write("x");
      await left;
      seen.push(await client.read(), await client.write("y").catch((error) => error.name));
      await client.write("z");
    });
    await client.send("unread");
    await client.expect("x");
    client.leave();
  }
  assertEquals(seen, [null, "BrokenPipe"]);
});
