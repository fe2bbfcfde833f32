/**
 * Who may open a WebSocket: the address rules, the limits of a source, the queue, and what a client
 * that is refused is told.
 */

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Certificates, testTls } from "./_certificates.ts";
import { childrenOf } from "./_processes.ts";
import { assertAddsUp, type Spawnd } from "./_spawnd.ts";
import { until, within } from "./_waiting.ts";
import { closeFrame, frame } from "./_web_frames.ts";
import {
  endOf,
  fetchRaw,
  serveWeb,
  serveWebAt,
  serveWebScript,
  stoppedOf,
  WebClient,
} from "./_web_socket.ts";
import { NodeWire } from "./_wire.ts";

/** Opens a WebSocket, and checks that it is served. */
async function connectServed(spawnd: Spawnd, headers = {}): Promise<WebClient> {
  const client = await WebClient.connect(spawnd, { headers });
  await client.send(frame("text", "x"));
  assertEquals(await client.message(), "x");
  return client;
}

/** Opens a WebSocket, and returns how it is closed. */
async function connectRefused(spawnd: Spawnd, headers = {}): Promise<[unknown, string]> {
  using client = await WebClient.connect(spawnd, { headers });
  return await client.closed();
}

Deno.test("clients are refused with a close code and the reason, or the text for it", async () => {
  const refusals: [options: string[], closes: [number, string]][] = [
    [["--deny", "127.0.0.0/8"], [1008, "denied"]],
    [["--allow", "192.0.2.0/24"], [1008, "denied"]],
    [["--deny", "127.0.0.0/8", "--refusal", "no entry"], [1008, "no entry"]],
    [["--deny", "::/0", "--deny", "0.0.0.0/0", "--refusal", "é".repeat(100)], [
      1008,
      "é".repeat(61),
    ]],
  ];
  for (const [options, closes] of refusals) {
    await using spawnd = await serveWeb(...options, "--", "cat");
    assertEquals(await connectRefused(spawnd), closes);
    await spawnd.record({ message: "refused", reason: "denied" });
    const status = await spawnd.status();
    assertEquals([status.denied, status.spawned], [1, 0]);
    assertAddsUp(status);
  }
});

Deno.test("a refused client that speaks HTTP is told with a status", async () => {
  await using denying = await serveWeb("--deny", "127.0.0.1", "--refusal", "no", "--", "cat");
  using conn = await denying.connect();
  assertMatch(
    await fetchRaw(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    /^HTTP\/1\.1 403 Forbidden\n(.*\n)+\nno\n$/,
  );
});

Deno.test("a source's second WebSocket is refused, others are served", async () => {
  await using spawnd = await serveWeb("--max-per-source", "1", "--", "cat");
  using first = await connectServed(spawnd);
  assertEquals(await connectRefused(spawnd), [1008, "source-limit"]);
  using other = await WebClient.open(
    await NodeWire.connect(spawnd.port, "127.0.0.2"),
    {},
    frame("text", "y"),
  );
  assertEquals(await other.message(), "y");
  await first.leave(1000);
  await endOf(spawnd);
  await (await connectServed(spawnd)).leave();
  await other.leave();
});

Deno.test("a source over its rate is refused", async () => {
  await using spawnd = await serveWeb("--rate-per-source", "2/60", "--", "cat");
  for (let count = 0; count < 2; count++) await (await connectServed(spawnd)).leave();
  assertEquals(await connectRefused(spawnd), [1008, "source-rate"]);
});

Deno.test("a client waits for a slot with its WebSocket open, and what it sends waits, too", async () => {
  await using spawnd = await serveWeb("--max-connections", "1", "--ws-ping", "0.1", "--", "cat");
  using first = await connectServed(spawnd);
  using second = await WebClient.connect(spawnd);
  assertEquals((await second.receive())?.kind, "ping");
  await second.send(frame("pong"), frame("text", "early"), frame("text", "bird"));
  await spawnd.record({ message: "waiting", id: 2 });
  assertEquals(childrenOf(spawnd.pid).length, 1);
  first[Symbol.dispose]();
  for (const expected of ["early", "bird"]) {
    let next = await second.receive();
    while (next?.kind === "ping") next = await second.receive();
    assertEquals(new TextDecoder().decode(next!.bytes), expected);
  }
});

Deno.test("a client that gets no slot in time, or no place in the queue, is told to try later", async () => {
  await using spawnd = await serveWeb(
    ...[
      "--max-connections",
      "1",
      "--queue",
      "1",
      "--queue-timeout",
      "0.3",
      "--refusal",
      "full",
      "--",
      "cat",
    ],
  );
  using _first = await connectServed(spawnd);
  assertEquals(await connectRefused(spawnd), [1013, "full"]);
  await spawnd.record({ message: "refused", id: 2, reason: "busy" });

  await using strict = await serveWeb("--max-connections", "1", "--queue", "0", "--", "cat");
  using _served = await connectServed(strict);
  assertEquals(await connectRefused(strict), [1013, "busy"]);
});

Deno.test("a client that closes while it waits leaves the queue at once", async () => {
  await using spawnd = await serveWeb(
    ...["--max-connections", "1", "--queue-timeout", "60", "--log-level", "debug", "--", "cat"],
  );
  using first = await connectServed(spawnd);
  using closing = await WebClient.connect(spawnd);
  await spawnd.record({ message: "waiting", id: 2 });
  await closing.leave(4000);
  await spawnd.record({ message: "left", id: 2 });
  const wire = await NodeWire.connect(spawnd.port);
  await WebClient.open(wire);
  await spawnd.record({ message: "waiting", id: 3 });
  await wire.reset();
  await spawnd.record({ message: "left", id: 3 });
  await first.leave();
  await endOf(spawnd);
  const status = await spawnd.status();
  assertEquals([status.left, status.ended, status.waiting], [2, 1, 0]);
  assertAddsUp(status);
});

Deno.test("a client that says something and closes while it waits is served when its turn comes", async () => {
  await using spawnd = await serveWebScript(
    "read -r line",
    // Longer than it takes until a client that waits is probed.
    ...["--max-connections", "1", "--queue-timeout", "60", "--session-timeout", "1.5"],
  );
  using first = await WebClient.connect(spawnd);
  await spawnd.record({ message: "open", id: 1 });
  using second = await WebClient.connect(spawnd);
  await second.send(frame("text", "last words"), closeFrame(1000));
  assertEquals(await second.closing(), [1000, ""]);
  await spawnd.record({ message: "waiting", id: 2 });
  assertEquals(await first.closed(), [1008, "session-timeout"]);
  assertEquals(await endOf(spawnd, 2), ["client-closed", 0]);
  assertEquals((await spawnd.record({ message: "end", id: 2 })).in, "last words\n".length);
  assertEquals(await stoppedOf(spawnd), { accepted: 2, ended: 2, cut: 0 });
});

Deno.test("clients that close or reset while their child may not start yet get none", async () => {
  await using spawnd = await serveWebScript(
    "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; echo started; exec cat",
    ...["--log-level", "debug"],
  );
  const served = Array.from({ length: 60 }, async () => {
    using client = await WebClient.connect(spawnd);
    assertEquals(await client.message(), "started");
    await client.leave();
  });
  await until("clients without a child", async () => {
    const { active } = await spawnd.status();
    return Number(active) - childrenOf(spawnd.pid).length >= 20;
  });
  const closing = await WebClient.connect(spawnd);
  const wire = await NodeWire.connect(spawnd.port);
  await WebClient.open(wire);
  await wire.reset();
  await closing.leave(1000);
  await Promise.all(served);
  await until("the last record", () => spawnd.records({ message: /^(end|left)$/ }).length === 62);
  const status = await spawnd.status();
  assertEquals([status.left, status.ended, status.active], [2, 60, 0]);
  assertAddsUp(status);
});

Deno.test("no child can be started", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const program = `${folder}/program`;
    await Deno.writeTextFile(program, "#!/bin/sh\nexec cat\n", { mode: 0o755 });
    await using spawnd = await serveWeb("--no-group", "--", program);
    await Deno.remove(program);
    assertEquals(await connectRefused(spawnd), [1011, "failed"]);
    assertEquals((await spawnd.status()).failed, 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("clients that wait when the server has drained are told to try later", async () => {
  await using spawnd = await serveWeb(
    "--max-connections",
    "1",
    "--drain-timeout",
    "0.2",
    "--",
    "cat",
  );
  using first = await connectServed(spawnd);
  using second = await WebClient.connect(spawnd);
  await spawnd.record({ message: "waiting", id: 2 });
  const stopped = spawnd.stop();
  assertEquals(await second.closed(), [1013, "busy"]);
  assertEquals(await first.closed(), [1001, "drain-timeout"]);
  assertEquals((await stopped).code, 1);
});

testTls("over TLS a denied client is closed, and one over a limit, too", async () => {
  await using certificates = await Certificates.make();
  const permissions = ["--allow-net", "--allow-run", `--allow-read=${certificates.folder}`];
  const identity = ["--cert", certificates.cert, "--key", certificates.key];
  await using spawnd = await serveWebAt(
    "127.0.0.1:0",
    { permissions },
    ...[
      ...identity,
      "--max-connections",
      "1",
      "--queue",
      "0",
      "--max-per-source",
      "2",
      "--",
      "cat",
    ],
  );
  using first = await WebClient.open(await certificates.connect(spawnd), {}, frame("text", "x"));
  assertEquals(await first.message(), "x");
  using second = await WebClient.open(await certificates.connect(spawnd));
  assertEquals(await second.closed(), [1013, "busy"]); // with TLS's own end, or it would throw
  await first.leave();
  await endOf(spawnd);
  await using denying = await serveWebAt(
    "127.0.0.1:0",
    { permissions },
    ...[...identity, "--deny", "127.0.0.1", "--", "cat"],
  );
  using denied = await Deno.connectTls({ hostname: "localhost", port: denying.port });
  await assertRejects(() => within("the end", denied.handshake()));
  await denying.record({ message: "refused", reason: "denied" });
});
