/** What the log says when something that it warned of is over. */

import { assertEquals } from "@std/assert";
import { log, RECOVERIES } from "../lib/base/log.ts";
import { Failures } from "../lib/server/failures.ts";
import { makeFolder } from "./_service.ts";
import { ask, text } from "./_sockets.ts";
import { serveScript, Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";
import { until } from "./_waiting.ts";

/** Says once that something is over, and has warned of it before. */
async function recorded(spawnd: Spawnd, warning: string, recovery: string): Promise<void> {
  await spawnd.record({ level: "INFO", message: recovery });
  const messages = spawnd.log.map(({ message }) => message)
    .filter((message) => message === warning || message === recovery);
  assertEquals(messages.at(-1), recovery);
  assertEquals(messages.includes(warning), true);
  assertEquals(spawnd.records({ message: recovery }).length, 1);
}

Deno.test("a child that succeeds after a warning is logged once", async () => {
  await using spawnd = await serveScript("read -r line; exit $line");
  for (const code of [0, 3, 0, 3, 3, 3, 0, 0]) await ask(spawnd.port, `${code}\n`);
  await until("the records", () => spawnd.records({ message: "end" }).length === 8);
  await recorded(spawnd, "every client's child fails", RECOVERIES.success);
  assertEquals((await spawnd.record({ message: RECOVERIES.success })).failures, 3);
});

Deno.test("failures after a success are warned of anew", () => {
  let now = 0;
  const failures = new Failures(log, { now: () => now });
  assertEquals([1, 1, 1, 0, 1, 1].map((exit) => failures.add(exit)).filter(Boolean).length, 1);
  now = 20_000;
  assertEquals(failures.add(1), true);
});

Deno.test("warm children that start again are logged, without a client", async () => {
  await using folder = await makeFolder();
  const broken = `${folder.path}/broken`;
  await using spawnd = await Spawnd.start(
    ...["--warm", "1", "--", "sh", "-c", '[ -e "$1" ] && exit 1; cat', "sh", broken],
  );
  await Deno.writeTextFile(broken, "");
  assertEquals(text(await ask(spawnd.port, "hello")), "hello");
  const warning = /^warm children fail at start/;
  const { message } = await spawnd.record({ level: "WARN", message: warning });
  await Deno.remove(broken);
  await recorded(spawnd, message, RECOVERIES.warm);
});

Deno.test("a program that is there again is logged", async () => {
  await using folder = await makeFolder();
  const program = `${folder.path}/program`;
  const install = async () => {
    await Deno.writeTextFile(program, "#!/bin/sh\nexec cat\n");
    await Deno.chmod(program, 0o755);
  };
  await install();
  for (const options of [[], ["--no-group"]]) {
    await using spawnd = await Spawnd.start("--stderr", "null", ...options, "--", program);
    await Deno.remove(program);
    await ask(spawnd.port, "").catch(() => {});
    const warning = options.length === 0
      ? "children cannot be started"
      : "cannot start a child: the client is refused";
    await spawnd.record({ level: "WARN", message: warning });
    await install();
    for (let client = 0; client < 3; client++) {
      assertEquals(text(await ask(spawnd.port, "hello")), "hello");
    }
    await recorded(spawnd, warning, RECOVERIES.start);
  }
});

Deno.test("a program is not there again because a child of before has ended", async () => {
  await using folder = await makeFolder();
  const program = `${folder.path}/program`;
  await Deno.writeTextFile(program, "#!/bin/sh\nexec cat\n");
  await Deno.chmod(program, 0o755);
  await using spawnd = await Spawnd.start("--stderr", "null", "--", program);
  const conn = await spawnd.connect();
  await spawnd.record({ message: "open", id: 1 });
  await Deno.remove(program);
  await ask(spawnd.port, "");
  await spawnd.record({ level: "WARN", message: "children cannot be started" });
  conn.close();
  await spawnd.record({ message: "end", id: 1 });
  await spawnd.stop();
  assertEquals(spawnd.records({ message: RECOVERIES.start }), []);
});

testWith(
  "prlimit",
  "util-linux",
  "accepting again is logged when descriptors are free",
  async () => {
    await using spawnd = await Spawnd.start(
      "--max-connections",
      "1",
      "--queue",
      "100",
      "--",
      "cat",
    );
    const args = ["--pid", `${spawnd.pid}`, "--nofile=40:40"];
    await new Deno.Command("prlimit", { args }).output();
    const conns = await Promise.all(Array.from({ length: 60 }, () => spawnd.connect()));
    await spawnd.record({ level: "WARN", message: "cannot accept" });
    for (const conn of conns) conn.close();
    await spawnd.record({ level: "INFO", message: RECOVERIES.accept });
  },
);

Deno.test("accepting again is logged when slots and queue are free", async () => {
  await using spawnd = await Spawnd.start("--max-connections", "1", "--queue", "2", "--", "cat");
  const conns = await Promise.all(Array.from({ length: 3 }, () => spawnd.connect()));
  const warning = "full: accepting again when there is room";
  await spawnd.record({ level: "WARN", message: warning });
  for (const conn of conns) conn.close();
  await recorded(spawnd, warning, RECOVERIES.accept);
});
