/** The status listener over several services, which come and go. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../deno.json" with { type: "json" };
import { commandHandler } from "../lib/child/handler.ts";
import type { Status } from "../lib/status/listener.ts";
import { freePort } from "./_service.ts";
import { ConfiguredSpawnd } from "./_services.ts";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { assertPromtoolAgrees, Shown, wanted } from "./_status.ts";
import { testWith } from "./_test_with.ts";
import { until, within } from "./_waiting.ts";

const CAT = { handler: commandHandler("cat") };

Deno.test("status.json has each of several services apart, and what the process has once", async () => {
  await using shown = await Shown.start(
    wanted({ cat: CAT, other: { ...CAT, warm: 2, maxConnections: 3, queue: 0 } }, 10),
  );
  assertEquals(text(await ask(shown.port("cat"), "hello")), "hello");
  using _conn = await shown.hold("other");
  const status = await until("a sample of each", async () => {
    const status = await shown.data();
    const { cat, other } = status.services;
    return cat!.ended === 1 && cat!.history.firstByteMs.some(Boolean) &&
      other!.history.active.at(-1) === 1 && status;
  });
  const {
    services: { cat, other, ...more },
    uptimeSeconds,
    memoryBytes,
    childrenMemoryBytes,
    ...facts
  } = status;
  assertEquals(more, {});
  assert(uptimeSeconds > 0 && memoryBytes > 1e7 && childrenMemoryBytes! > 0);
  assertEquals(facts, {
    ...{
      pid: Deno.pid,
      version: config.version,
      draining: false,
      ready: true,
      limits: { children: 10 },
    },
    names: ["cat", "other"],
  });
  assertEquals([cat!.addresses, cat!.handler], [[`127.0.0.1:${shown.port("cat")}`], "cat"]);
  assertEquals([cat!.accepted, cat!.active, cat!.connections.length], [1, 0, 0]);
  assertEquals([other!.accepted, other!.active, other!.connections.length], [1, 1, 1]);
  assertEquals(other!.limits, { connections: 3, queue: 0, warm: 2 });
  const sum = ({ history }: typeof cat & object) => history.accepted.reduce((a, b) => a + b);
  assertEquals([sum(cat!), sum(other!)], [1, 1]);
  assert(!("memoryBytes" in cat!) && !("uptimeSeconds" in cat!));
});

Deno.test("one service has the same status.json and metrics whether or not it has a name", async () => {
  const shapes = [];
  for (const name of ["", "cat"]) {
    await using shown = await Shown.start(wanted({ [name]: CAT }));
    await ask(shown.port(name), "hello");
    const ended = await until("its end", async () => {
      const status = await shown.data<Status>();
      return status.ended === 1 && status.exits["0"] === 1 && status;
    });
    assertEquals(ended.limits, { connections: 256, queue: 64, warm: 0 });
    const metrics = (await shown.get("metrics")).replaceAll(/ \S+$/gm, "");
    assert(!metrics.includes("service="));
    // The memory of a child that is ending may or may not be known.
    const { childrenMemoryBytes: _, ...others } = ended;
    const known = metrics.replaceAll(/^(# \w+ )?spawnd_children_memory_bytes.*\n+/gm, "");
    shapes.push([Object.keys(others), known, await shown.get("readyz")]);
  }
  assertEquals(shapes[0], shapes[1]);
});

Deno.test("metrics of several services have their names as labels, those of the process have none", async () => {
  await using shown = await Shown.start(wanted({ cat: CAT, other: { ...CAT, queue: 3 } }, 10));
  const [cat, other] = ['service="cat"', 'service="other"'] as const;
  for (let i = 0; i < 2; i++) await ask(shown.port("cat"), "hello");
  using _conn = await shown.hold("other");
  const sessions = "spawnd_session_duration_seconds_count";
  await until("their end", async () => (await shown.metric(sessions))[cat] === 2);
  const expected: Record<string, Record<string, number>> = {
    spawnd_connections_accepted_total: { [cat]: 2, [other]: 1 },
    spawnd_connections_active: { [cat]: 0, [other]: 1 },
    spawnd_queue_limit: { [cat]: 64, [other]: 3 },
    spawnd_spawn_duration_seconds_count: { [cat]: 2, [other]: 1 },
    spawnd_first_byte_duration_seconds_count: { [cat]: 2, [other]: 1 },
    [sessions]: { [cat]: 2, [other]: 0 },
    spawnd_children_limit: { "": 10 },
  };
  for (const [name, values] of Object.entries(expected)) {
    assertEquals(await shown.metric(name), values, name);
  }
  const ended = await shown.metric("spawnd_connections_ended_total");
  assertEquals(ended['service="cat",reason="client-closed"'], 2);
  assertEquals(ended['service="other",reason="client-closed"'], 0);
  assertEquals(Object.keys(await shown.metric("process_resident_memory_bytes")), [""]);
  const { "": startedAt, ...more } = await shown.metric("process_start_time_seconds");
  assertEquals(more, {});
  assert(startedAt! * 1000 > Date.now() - 3_600_000 && startedAt! * 1000 <= Date.now());
});

testWith(
  "promtool",
  "prometheus",
  "promtool finds nothing wrong with the metrics of several services",
  async () => {
    await using shown = await Shown.start(wanted({ cat: CAT, "a.b-c": CAT }, 10));
    await ask(shown.port("cat"), "hello");
    const metrics = (await shown.get("metrics")).slice("200 ".length);
    await assertPromtoolAgrees(metrics);
  },
);

Deno.test("from one service to several and back, its numbers go on and only the label changes", async () => {
  await using shown = await Shown.start(wanted({ cat: CAT }));
  const sessions = "spawnd_session_duration_seconds_count";
  const answered = "spawnd_first_byte_duration_seconds_count";
  const limit = "spawnd_children_limit";
  await ask(shown.port("cat"), "hello");
  await until("its end", async () => (await shown.metric(sessions))[""] === 1);
  assertEquals([await shown.metric(answered), await shown.metric(limit)], [{ "": 1 }, {}]);

  await shown.reload(wanted({ cat: CAT, other: CAT }, 10));
  assertEquals(await shown.names(), ["cat", "other"]);
  await ask(shown.port("cat"), "hello");
  await ask(shown.port("other"), "hello");
  const both = { 'service="cat"': 2, 'service="other"': 1 };
  await until(
    "their end",
    async () => Object.values(await shown.metric(sessions)).join() === "2,1",
  );
  assertEquals([await shown.metric(sessions), await shown.metric(answered)], [both, both]);
  assertEquals(await shown.metric(limit), { "": 10 });

  await shown.reload(wanted({ cat: CAT }));
  await until("the other one to be gone", async () => (await shown.names()).length === 0);
  assertEquals([await shown.metric(sessions), await shown.metric(answered)], [{ "": 2 }, {
    "": 2,
  }]);
  assertEquals(await shown.metric(limit), {});
  assertEquals((await shown.data<Status>()).ended, 2);
});

Deno.test("a service that left the configuration is shown until it has drained, and keeps nothing from being ready", async () => {
  await using shown = await Shown.start(wanted({ cat: CAT, other: CAT }));
  using conn = await shown.hold("other");
  await shown.reload(wanted({ cat: CAT }));
  const { services, ...facts } = await shown.data();
  assertEquals(Object.keys(services), ["cat", "other"]);
  assertEquals([services["cat"]!.draining, services["other"]!.draining], [false, true]);
  assertEquals(services["other"]!.connections.length, 1);
  assertEquals([facts.draining, facts.ready], [false, true]);
  assertEquals(await shown.get("readyz"), "200 ready\n");
  assertEquals((await shown.metric("spawnd_connections_active"))['service="other"'], 1);
  conn.close();
  await until("the other one to be gone", async () => (await shown.names()).length === 0);
  assertEquals(await shown.metric("spawnd_connections_active"), { "": 0 });
});

Deno.test("a service that returns while its namesake drains is shown apart from it", async () => {
  await using shown = await Shown.start(wanted({ cat: CAT, other: CAT }));
  using old = await shown.hold("other");
  await shown.reload(wanted({ cat: CAT }));
  await shown.reload(wanted({ cat: CAT, other: CAT }));
  for (let i = 0; i < 3; i++) await ask(shown.port("other"), "hello");
  await until("their end", async () => (await shown.data()).services["other"]!.ended === 3);
  assertEquals(await shown.names(), ["cat", "other", "other (2)"]);
  assertEquals((await shown.data()).services["other (2)"]!.draining, true);
  const count = "spawnd_first_byte_duration_seconds_count";
  const labels = ['service="cat"', 'service="other"', 'service="other (2)"'];
  assertEquals(await shown.metric(count), { [labels[0]!]: 0, [labels[1]!]: 3, [labels[2]!]: 1 });
  old.close();
  await until("the old one to be gone", async () => (await shown.names()).length === 2);
  assertEquals(await shown.metric(count), { [labels[0]!]: 0, [labels[1]!]: 3 });
});

Deno.test("readyz says which of several services is full, or that all are draining", async () => {
  const small = { ...CAT, maxConnections: 1, queue: 0 };
  await using shown = await Shown.start(wanted({ git: small, cat: CAT, web: small }));
  assertEquals(await shown.get("readyz"), "200 ready\n");
  using _git = await shown.hold("git");
  assertEquals(await shown.get("readyz"), "503 full: git\n");
  assertEquals([(await shown.data()).ready, await shown.get("healthz")], [false, "200 alive\n"]);
  using _web = await shown.hold("web");
  assertEquals(await shown.get("readyz"), "503 full: git, web\n");
  shown.shutdown();
  assertEquals(await shown.get("readyz"), "503 draining\n");
  assertEquals((await shown.data()).draining, true);
});

Deno.test("the status page of the command follows its configuration file", async () => {
  const [cat, count] = [{ listen: ["127.0.0.1:0"], command: ["cat"] }, { listen: ["127.0.0.1:0"] }];
  await using server = await ConfiguredSpawnd.start({ cat, count }, {}, "--status", "0");
  const url = await server.spawnd.statusUrl();
  const get = async (path: string) => (await within(path, fetch(new URL(path, url)))).text();
  const names = async () => Object.keys(JSON.parse(await get("status.json")).services ?? {});
  assertEquals(await names(), ["cat", "count"]);
  assertEquals(await server.ask("cat", "hello"), "hello");
  const answered = "spawnd_first_byte_duration_seconds_count";
  assertMatch(await get("metrics"), new RegExp(`^${answered}{service="cat"} 1$`, "m"));

  assertEquals((await server.reload({ cat, other: cat })).message, "reloaded");
  await until("the other one in its place", async () => (await names()).join() === "cat,other");
  assertEquals(await server.ask("other", "hello"), "hello");
  assertMatch(await get("metrics"), new RegExp(`^${answered}{service="other"} 1$`, "m"));
  await server.reload({ cat });
  await until("one to be left", async () => (await names()).length === 0);
  assertMatch(await get("metrics"), new RegExp(`^${answered} 1$`, "m"));
});

Deno.test("a service on the port of the status page is told what has it", async () => {
  const port = `${freePort()}`;
  await using spawnd = Spawnd.run(
    ...["--host", "127.0.0.1", "--port", port, "--status", port, "--", "cat"],
  );
  assertEquals((await spawnd.ended()).code, 2);
  assertMatch(
    spawnd.lines.join("\n"),
    /^spawnd: --port: the status page listens on 127\.0\.0\.1:\d+ too/,
  );
});
