/** Children that fail: what the log, the metrics and the status say of them. */

import { assertEquals, assertMatch } from "@std/assert";
import { log } from "../lib/base/log.ts";
import { Failures } from "../lib/server/failures.ts";
import { ask, connectToReset } from "./_sockets.ts";
import { serveScript, Spawnd } from "./_spawnd.ts";
import { until } from "./_waiting.ts";

const WARNING = "every client's child fails";

Deno.test("three failures in a row are a warning, and then one in ten seconds", async () => {
  await using spawnd = await serveScript("read -r line; exit $line");
  for (const code of ["3", "3", "0", "3", "3"]) await ask(spawnd.port, `${code}\n`);
  await until("the records", () => spawnd.records({ message: "end" }).length === 5);
  assertEquals(spawnd.records({ message: WARNING }), []);
  await ask(spawnd.port, "4\n");
  const warning = await spawnd.record({ message: WARNING });
  assertEquals([warning.count, warning.exits], [3, "3:2,4:1"]);
  for (let i = 0; i < 5; i++) await ask(spawnd.port, "3\n");
  await until("the records", () => spawnd.records({ message: "end" }).length === 11);
  assertEquals(spawnd.records({ message: WARNING }).length, 1);
});

Deno.test("a child that fails and leaves something behind has failed, and was not killed", async () => {
  await using spawnd = await serveScript("sleep 300 & exit 3", "--kill-timeout", "0.1");
  for (let i = 0; i < 3; i++) await ask(spawnd.port, "x");
  assertEquals((await spawnd.record({ message: WARNING })).exits, "3:3");
  const { SIGTERM, SIGKILL } = await spawnd.status();
  assertEquals([SIGTERM, SIGKILL], [undefined, undefined]);
});

Deno.test("the warning comes again after ten seconds, with what came meanwhile", () => {
  let now = 0;
  const failures = new Failures(log, { now: () => now });
  const warned: number[] = [];
  for (; now < 30_000; now += 1_000) if (failures.add("SIGSEGV")) warned.push(now);
  assertEquals(warned, [2_000, 12_000, 22_000]);
});

Deno.test("a child that was stopped, or whose client left, has not failed", async () => {
  await using spawnd = await serveScript(
    "trap '' PIPE; while echo x; do sleep 0.02; done 2>/dev/null; exit 3",
    ...["--session-timeout", "0.5", "--kill-timeout", "0.1"],
  );
  for (let i = 0; i < 4; i++) await (await connectToReset(spawnd.port, "", "x\n"))();
  await Promise.all(Array.from({ length: 4 }, () => ask(spawnd.port, "").catch(() => {})));
  await until("the records", () => spawnd.records({ message: "end" }).length === 8);
  assertEquals(spawnd.records({ message: WARNING }), []);
});

Deno.test("metrics and status count connections by reason and children by exit", async () => {
  await using spawnd = await serveScript(
    "read -r how; case $how in kill) kill -SEGV $$;; *) exit $how;; esac",
    ...["--status", "0", "--max-connections", "7", "--queue", "5"],
  );
  for (const how of ["0", "3", "3", "kill"]) await ask(spawnd.port, `${how}\n`);
  await until("the records", () => spawnd.records({ message: "end" }).length === 4);
  const url = await spawnd.statusUrl();
  const metrics = await (await fetch(new URL("metrics", url))).text();
  for (
    const line of [
      'spawnd_children_exited_total{code="0"} 1',
      'spawnd_children_exited_total{code="3"} 2',
      'spawnd_children_exited_total{signal="SIGSEGV"} 1',
      'spawnd_connections_ended_total{reason="killed"} 0',
      "spawnd_connections_limit 7",
      "spawnd_queue_limit 5",
    ]
  ) {
    assertMatch(metrics, new RegExp(`^${line.replace(/[{}]/g, "\\$&")}$`, "m"));
  }
  const status = await (await fetch(new URL("status.json", url))).json();
  assertEquals(status.exits, { 0: 1, 3: 2, SIGSEGV: 1 });
  assertEquals(status.limits, { connections: 7, queue: 5, warm: 0 });
  const ended: number[] = Object.values(status.endReasons);
  assertEquals(ended.reduce((sum, count) => sum + count), 4);
});

Deno.test("a program that is removed is named, and its clients are only closed", async () => {
  const program = await Deno.makeTempFile();
  await Deno.writeTextFile(program, "#!/bin/sh\nexec cat\n");
  await Deno.chmod(program, 0o755);
  await using spawnd = await Spawnd.start("--stderr", "null", "--", program);
  await Deno.remove(program);
  assertEquals((await ask(spawnd.port, "")).length, 0);
  const warning = await spawnd.record({ message: "children cannot be started" });
  assertMatch(String(warning.error), /: there is no such file$/);
  assertEquals((await spawnd.record({ message: "end" })).exit, 127);
});
