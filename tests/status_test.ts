import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../deno.json" with { type: "json" };
import { END_REASONS } from "../lib/server/end_reason.ts";
import type { Status } from "../lib/status/listener.ts";
import { ask, connectFrom, connectToReset, receive, receiveAll, send, text } from "./_sockets.ts";
import { assertAddsUp, serveScript, Spawnd } from "./_spawnd.ts";
import { assertPromtoolAgrees } from "./_status.ts";
import { testWith } from "./_test_with.ts";
import { until, within } from "./_waiting.ts";

async function get(url: URL, path: string, init: RequestInit = {}) {
  const response = await within(path, fetch(new URL(path, url), init));
  return { code: response.status, headers: response.headers, body: await response.text() };
}

async function dataOf(url: URL): Promise<Status> {
  return JSON.parse((await get(url, "/status.json")).body);
}

/** The metrics, by name with labels. */
async function metricsOf(url: URL): Promise<Record<string, number>> {
  const { body } = await get(url, "/metrics");
  const lines = body.split("\n").filter((line) => line && !line.startsWith("#"));
  return Object.fromEntries(lines.map((line) => {
    const [, name, value] = /^(.+) (\S+)$/.exec(line)!;
    return [name!, Number(value)];
  }));
}

Deno.test("the status listener serves its paths and rejects the rest", async () => {
  await using spawnd = await Spawnd.start("--status", "0", "--", "cat");
  const url = await spawnd.statusUrl();
  assertEquals(url.hostname, "127.0.0.1");
  const page = await get(url, "/");
  assertEquals([page.code, page.headers.get("content-type")], [200, "text/html; charset=utf-8"]);
  assertMatch(page.headers.get("content-security-policy")!, /^default-src 'none'; .*sha256-/);
  assert(
    !/https?:\/\/\w|src=|url\(/.test(page.body.replace(/data:,/, "")),
    "it loads nothing from outside",
  );
  assertEquals((await get(url, "/healthz")).body, "alive\n");
  assertEquals((await get(url, "/readyz")).body, "ready\n");
  assertEquals((await get(url, "/status.json")).headers.get("cache-control"), "no-store");
  assertMatch((await get(url, "/metrics")).headers.get("content-type")!, /^text\/plain; version=0/);
  assertEquals((await get(url, "/nothing")).code, 404);
  assertEquals((await get(url, "/", { method: "HEAD" })).code, 200);
  const posted = await get(url, "/", { method: "POST", body: "x" });
  assertEquals([posted.code, posted.headers.get("allow")], [405, "GET, HEAD"]);
});

Deno.test("status.json has every connection with its byte counts", async () => {
  await using spawnd = await Spawnd.start("--status", "0", "--warm", "2", "--", "cat");
  const url = await spawnd.statusUrl();
  using conn = await spawnd.connect();
  await send(conn, "hello");
  await receive(conn, 5);
  const { pid } = await spawnd.record({ message: "open", id: 1 });
  const status = await until("a sample", async () => {
    const status = await dataOf(url);
    return status.history.firstByteMs.some(Boolean) && status;
  });
  const { connections: [connection], history, uptimeSeconds, memoryBytes, ...others } = status;
  const { childrenMemoryBytes, pid: serverPid, version, ...numbers } = others;
  assertEquals([serverPid, version], [spawnd.pid, config.version]);
  const { port } = conn.localAddr as Deno.NetAddr;
  const { seconds, idleSeconds, ...facts } = connection!;
  assertEquals(facts, {
    id: 1,
    client: `127.0.0.1:${port}`,
    pid: pid as number,
    start: "warm",
    bytesIn: 5,
    bytesOut: 5,
  });
  assert(seconds > 0 && seconds < 60 && idleSeconds <= seconds);
  assert(uptimeSeconds >= seconds && memoryBytes > 1e7);
  assert(childrenMemoryBytes! >= 0);
  assertEquals<unknown>({ ...numbers, warm: 2, spawned: 3 }, {
    addresses: [`127.0.0.1:${spawnd.port}`],
    handler: "cat",
    draining: false,
    ready: true,
    limits: { connections: 256, queue: 64, warm: 2 },
    accepted: 1,
    active: 1,
    waiting: 0,
    ended: 0,
    endReasons: Object.fromEntries(END_REASONS.map((reason) => [reason, 0])),
    exits: {},
    failing: false,
    failed: 0,
    refused: {
      "denied": 0,
      "source-limit": 0,
      "source-rate": 0,
      "busy": 0,
      "handshake": 0,
      "page": 0,
      "left": 0,
    },
    warm: 2,
    spawned: 3,
    spawnFailures: 0,
    killed: { SIGTERM: 0, SIGKILL: 0 },
    latestRefusals: [],
    bytesIn: 5,
    bytesOut: 5,
  });
  const { active, accepted, firstByteMs } = history;
  assertEquals([accepted.length, firstByteMs.length], [active.length, active.length]);
  assertEquals([active.at(-1), accepted.reduce((a, b) => a + b)], [1, 1]);
});

Deno.test("metrics, status.json and the log agree after clients of every kind", async () => {
  // Echoes the first five bytes, which say how it ends: by itself, by SIGTERM or by SIGKILL.
  const program =
    `how=$(head -c 5); printf %s "$how"; case $how in hello) exec cat;; stuck) trap "" TERM;; esac; exec sleep 60`;
  await using spawnd = await Spawnd.start(
    ...["--status", "0", "--warm", "2", "--kill-timeout", "0.2", "--eof-timeout", "0.2"],
    ...["--max-per-source", "6", "--deny", "127.0.0.9/32", "--", "sh", "-c", program],
  );
  const url = await spawnd.statusUrl();
  for (let round = 0; round < 3; round++) {
    await Promise.all([
      ...["hello", "hello", "sleep", "stuck"].map((how) => ask(spawnd.port, `${how}, server`)),
      connectToReset(spawnd.port).then((reset) => reset()),
      connectFrom("127.0.0.9", spawnd.port).then((socket) =>
        new Promise((resolve) => socket.once("close", resolve).resume())
      ),
    ]);
  }
  await until("the slots to be free", async () => (await dataOf(url)).active === 0);
  await metricsOf(url); // reading them twice must not count twice
  const held = await Promise.all(Array.from({ length: 6 }, () => spawnd.connect()));
  for (const conn of held) await send(conn, "stay");
  for (const conn of held) await send(conn, "s");
  for (const conn of held) assertEquals(text(await receive(conn, 5)), "stays");
  using seventh = await spawnd.connect();
  await receiveAll(seventh);
  for (const conn of held) conn.close();

  // 18 sessions, and up to three more: a client that resets before accept is never seen.
  await until("all of them to be over", async () => {
    const { active, accepted, ended } = await dataOf(url);
    const recorded = spawnd.records({ message: "end" }).length;
    return active === 0 && ended >= 18 && accepted === ended + 4 && recorded === ended;
  });
  const [status, metrics] = [await dataOf(url), await metricsOf(url)];
  const ends = spawnd.records({ message: "end" });
  const sum = (key: string) => ends.reduce((sum, record) => sum + Number(record[key]), 0);
  const refusals = (reason: string) => spawnd.records({ message: "refused", reason }).length;

  assertEquals([status.bytesIn, status.bytesOut], [sum("in"), sum("out")]);
  assertEquals(status.refused["denied"], 3);
  assertEquals(refusals("denied"), 3);
  assertEquals(status.refused["source-limit"], 1);
  assertEquals(refusals("source-limit"), 1);
  assert(status.killed.SIGTERM! >= 3 + 6 && status.killed.SIGKILL === 3);
  for (const [signal, count] of Object.entries(status.killed)) {
    assertEquals(count, ends.filter(({ exit }) => exit === signal).length, signal);
  }
  assertEquals(metrics, {
    ...metrics,
    spawnd_connections_accepted_total: status.accepted,
    spawnd_connections_failed_total: 0,
    'spawnd_connections_refused_total{reason="denied"}': 3,
    'spawnd_connections_refused_total{reason="source-limit"}': 1,
    'spawnd_connections_refused_total{reason="busy"}': 0,
    spawnd_connections_active: 0,
    spawnd_connections_waiting: 0,
    spawnd_received_bytes_total: status.bytesIn,
    spawnd_sent_bytes_total: status.bytesOut,
    spawnd_children_spawn_failures_total: 0,
    'spawnd_children_killed_total{signal="SIGTERM"}': status.killed.SIGTERM,
    'spawnd_children_killed_total{signal="SIGKILL"}': status.killed.SIGKILL,
    spawnd_session_duration_seconds_count: ends.length,
    spawnd_first_byte_duration_seconds_count: ends.filter(({ out }) => Number(out) > 0).length,
    spawnd_spawn_duration_seconds_count: metrics["spawnd_children_spawned_total"],
  });
  const seconds = metrics["spawnd_session_duration_seconds_sum"]!;
  assert(Math.abs(seconds - sum("seconds")) < 0.05, `${seconds} s, and ${sum("seconds")} s`);
  assertAddsUp(await spawnd.status());
  await spawnd.stop(); // takes the ladder: this program's idle children do not exit by themselves
});

Deno.test("status.json tells idle time from connection time", async () => {
  await using spawnd = await Spawnd.start("--status", "0", "--", "cat");
  const url = await spawnd.statusUrl();
  using conn = await spawnd.connect();
  await send(conn, "a");
  await receive(conn, 1);
  const connection = async () => (await dataOf(url)).connections[0]!;
  const before = await until("half a second of silence", async () => {
    const before = await connection();
    return before.idleSeconds > 0.5 && before;
  });
  assertEquals(before.start, "cold");
  await send(conn, "b");
  await receive(conn, 1);
  const after = await connection();
  assert(after.seconds >= before.seconds && after.idleSeconds < before.idleSeconds);
});

Deno.test("status.json says that every client's child fails, until one succeeds", async () => {
  await using spawnd = await serveScript("read -r code; exit $code", "--status", "0");
  const url = await spawnd.statusUrl();
  for (
    const [codes, expected] of [["33", false], ["3", true], ["3", true], ["0", false]] as const
  ) {
    const { ended } = await dataOf(url);
    for (const code of codes) await ask(spawnd.port, `${code}\n`);
    const status = await until("their end", async () => {
      const status = await dataOf(url);
      return status.ended === ended + codes.length && status;
    });
    assertEquals([status.failing, (await get(url, "/readyz")).code], [expected, 200], codes);
  }
});

testWith("promtool", "prometheus", "promtool finds nothing wrong with the metrics", async () => {
  await using spawnd = await Spawnd.start("--status", "0", "--", "cat");
  await ask(spawnd.port, "hello");
  const { body } = await get(await spawnd.statusUrl(), "/metrics");
  await assertPromtoolAgrees(body);
});

Deno.test("a full or draining server is not ready, but alive", async () => {
  await using spawnd = await Spawnd.start(
    ...["--status", "0", "--max-connections", "1", "--queue", "1", "--", "cat"],
  );
  const url = await spawnd.statusUrl();
  const readiness = async () => {
    const { code, body } = await get(url, "/readyz");
    assertEquals((await get(url, "/healthz")).code, 200);
    return `${code} ${body}`;
  };
  using first = await spawnd.connect();
  await spawnd.record({ message: "open", id: 1 });
  assertEquals(await readiness(), "200 ready\n");
  using second = await spawnd.connect();
  await spawnd.record({ message: "waiting", id: 2 });
  assertEquals(await readiness(), "503 full\n");
  second.close();
  await until("room", async () => await readiness() === "200 ready\n");
  spawnd.kill("SIGTERM");
  await spawnd.record({ message: "draining" });
  assertEquals(await readiness(), "503 draining\n");
  assertEquals((await dataOf(url)).draining, true);
  first.close();
  assertEquals((await spawnd.ended()).code, 0);
});

Deno.test("with --queue 0, a server is not ready when its last slot is taken", async () => {
  await using spawnd = await Spawnd.start(
    ...["--status", "0", "--max-connections", "1", "--queue", "0", "--", "cat"],
  );
  using _first = await spawnd.connect();
  await spawnd.record({ message: "open", id: 1 });
  assertEquals((await get(await spawnd.statusUrl(), "/readyz")).code, 503);
});

Deno.test("the status listener is safe from DNS rebinding", async () => {
  await using spawnd = await Spawnd.start("--status", "0", "--", "cat");
  const { port } = await spawnd.statusUrl();
  const request = async (host: string) => {
    using conn = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
    await send(conn, `GET /status.json HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    return text(await receiveAll(conn)).split("\r\n")[0];
  };
  for (const host of ["evil.example", "notlocalhost", "localhost.example", "127.0.0.1.example"]) {
    assertEquals(await request(`${host}:${port}`), "HTTP/1.1 403 Forbidden");
  }
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`]) {
    assertEquals(await request(host), "HTTP/1.1 200 OK");
  }
});

Deno.test("an unusable status address is reported in a line", async () => {
  await using first = await Spawnd.start("--status", "0", "--", "cat");
  const { port } = await first.statusUrl();
  const cases: [string[], string[], RegExp][] = [
    [["--allow-net", "--allow-run"], ["--status", port], /Cannot listen on .*: the port is in use/],
    [["--allow-net", "--allow-run"], ["--status", "x:y"], /--status takes a port, or an address/],
    [["--allow-net", "--allow-run"], ["--status", "65536"], /--status takes a port, or an address/],
    [
      ["--allow-net=127.0.0.1:0", "--allow-run"],
      ["--status", "127.0.0.1:9"],
      /does not allow serving its status on 127\.0\.0\.1:9: add 127\.0\.0\.1:9 to the list of --allow-net/,
    ],
  ];
  for (const [permissions, args, message] of cases) {
    await using spawnd = Spawnd.runWith(
      permissions,
      ...["--host", "127.0.0.1", "--port", "0", ...args, "--", "cat"],
    );
    assert((await spawnd.ended()).code > 0);
    assertMatch(spawnd.lines[0]!, message);
  }
});
