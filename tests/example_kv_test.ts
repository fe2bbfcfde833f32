/**
 * The key-value store, examples/kv.ts, and its file under several processes at once.
 */

import { assertEquals } from "@std/assert";
import { README, start } from "./_examples.ts";
import { ask, text } from "./_sockets.ts";
import type { Spawnd } from "./_spawnd.ts";

/** Runs `fn` with a store in a new file. */
async function withStore(fn: (spawnd: Spawnd) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await using spawnd = await start("examples/kv.ts", { "kv.db": `${folder}/kv.db` });
    await fn(spawnd);
    await using again = await start("examples/kv.ts", { "kv.db": `${folder}/kv.db` });
    assertEquals(text(await ask(again.port, "GET kept\n")), "VALUE until now\n");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("kv.ts shares entries among clients, and keeps them over a restart", async () => {
  await withStore(async ({ port }) => {
    const answers = async (...lines: string[]) =>
      text(await ask(port, lines.map((line) => `${line}\r\n`).join(""))).split("\n").slice(0, -1);
    for (const question of README.matchAll(/echo '((?:SET|GET) [^']*)' \| nc.*\n {4}(.*)\n/g)) {
      assertEquals(await answers(question[1]!), [question[2]!]);
    }
    assertEquals(await answers("SET a 1", "SET kept until now", "GET a"), ["OK", "OK", "VALUE 1"]);
    assertEquals(await answers("SET a 2 ", "GET a", "DEL a", "DEL a", "GET a"), [
      ...["OK", "VALUE 2 ", "OK", "NONE", "NONE"],
    ]);
    assertEquals(await answers("SET é '; DROP TABLE entries; --", "GET é"), [
      ...["OK", "VALUE '; DROP TABLE entries; --"],
    ]);
    const error = "ERROR say GET key, SET key value, or DEL key";
    const wrong = ["", "GET", "SET a", "GET a b", "DEL a b", "get a", "XYZ a"];
    assertEquals(await answers(...wrong), wrong.map(() => error));
  });
});

Deno.test("kv.ts loses nothing when many clients write at once", async () => {
  await withStore(async ({ port }) => {
    const clients = Array.from({ length: 12 }, (_, client) => client);
    const each = 40;
    await ask(port, "SET kept until now\n");
    const answers = await Promise.all(clients.map((client) => {
      const lines = Array.from({ length: each }, (_, i) => `SET ${client}.${i} ${client * i}\n`);
      return ask(port, lines.join("")).then(text);
    }));
    assertEquals(answers, clients.map(() => "OK\n".repeat(each)));
    const questions = clients.map((client) => `GET ${client}.${each - 1}\n`).join("");
    assertEquals(
      text(await ask(port, questions)),
      clients.map((client) => `VALUE ${client * (each - 1)}\n`).join(""),
    );
  });
});
