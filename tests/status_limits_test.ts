/** What clients of the status port can do, and that the service does not feel it. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseRequest } from "../lib/status/http.ts";
import { descriptorsOf } from "./_processes.ts";
import { ask, receiveAll, send, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { until, within } from "./_waiting.ts";

function connect(port: number): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port });
}

/** The status line that these bytes are answered with; empty where there is no answer. */
async function answerTo(port: number, request: string): Promise<string> {
  using conn = await connect(port);
  await send(conn, request);
  await conn.closeWrite();
  return text(await within("an answer", receiveAll(conn).catch(() => new Uint8Array(0))))
    .split("\r\n")[0]!;
}

Deno.test("idle and slow status clients cost a fixed few descriptors, and delay no other client", async () => {
  await using spawnd = await Spawnd.start("--status", "0", "--", "cat");
  const url = await spawnd.statusUrl();
  const port = Number(url.port);
  const before = descriptorsOf(spawnd.pid);
  const idle = await Promise.all(Array.from({ length: 100 }, () => connect(port)));
  await Promise.all(
    idle.map((conn, i) => i % 2 && send(conn, "GET / HTTP/1.1\r\nHost: x").catch(() => {})),
  );
  assertEquals(text(await ask(spawnd.port, "hello")), "hello");
  const response = await within("its health", fetch(new URL("healthz", url)));
  assertEquals(await response.text(), "alive\n");
  assert(descriptorsOf(spawnd.pid) <= before + 20, `${descriptorsOf(spawnd.pid)} descriptors`);
  for (const conn of idle) conn.close();
  await until("the descriptors to be released", () => descriptorsOf(spawnd.pid) <= before);
});

Deno.test("a status client that says nothing is closed after five seconds", async () => {
  await using spawnd = await Spawnd.start("--status", "0", "--", "cat");
  using conn = await connect(Number((await spawnd.statusUrl()).port));
  await send(conn, "GET /");
  const startedAt = performance.now();
  await receiveAll(conn).catch(() => {});
  const seconds = (performance.now() - startedAt) / 1000;
  assert(seconds > 4 && seconds < 15, `after ${seconds} s`);
});

Deno.test("every malformed status request is a quiet 4xx", async () => {
  await using spawnd = await Spawnd.start("--status", "0", "--", "cat");
  const port = Number((await spawnd.statusUrl()).port);
  const malformed = [
    "GET / HTTP/1.1\r\nHost: [\x1b[2J\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: [\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET / HTTP/2\r\nHost: localhost\r\n\r\n",
    "GET / HTTP/1.1\r\nno colon\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n",
    "GET http://[/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET \x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(20_000)}\r\n\r\n`,
  ];
  for (const request of malformed) {
    assertMatch(await answerTo(port, request), /^HTTP\/1\.1 4\d\d /, JSON.stringify(request));
  }
  assertEquals(await answerTo(port, "GET / HTTP/1.1\r\nHost: loc"), "");
  assertMatch(await answerTo(port, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"), / 200 /);
  assertEquals(spawnd.lines, []);
  assertEquals(spawnd.log.filter(({ level }) => level !== "INFO"), []);
});

Deno.test("a request is read as far as it matters", () => {
  const host = "Host: localhost:9528";
  assertEquals(parseRequest(`GET /metrics?x=1 HTTP/1.1\r\n${host}\r\nAccept: */*`), {
    ...{ method: "GET", path: "/metrics", hostname: "localhost" },
  });
  assertEquals(parseRequest("GET /a/../readyz HTTP/1.0")?.path, "/a/../readyz");
  for (const path of ["//localhost/status.json", "/\\localhost/", "/@localhost/"]) {
    assertEquals(parseRequest(`GET ${path} HTTP/1.1\r\nHost: evil.example`), {
      ...{ method: "GET", path, hostname: "evil.example" },
    });
  }
  assertEquals(parseRequest(`GET http://evil@localhost/ HTTP/1.1\r\n${host}`), undefined);
  assertEquals(parseRequest("GET http://[::1]:80/x HTTP/1.1\r\nHost: [::1]:80"), {
    ...{ method: "GET", path: "/x", hostname: "[::1]" },
  });
  assertEquals(parseRequest(`OPTIONS * HTTP/1.1\r\n${host}`), undefined);
});

Deno.test("the status answers while idle connections to it keep coming", async () => {
  await using spawnd = await Spawnd.start("--status", "0", "--", "cat");
  const url = await spawnd.statusUrl();
  const idle: Deno.Conn[] = [];
  for (let round = 0; round < 10; round++) {
    idle.push(...await Promise.all(Array.from({ length: 50 }, () => connect(Number(url.port)))));
    assertEquals(await (await fetch(new URL("readyz", url))).text(), "ready\n");
  }
  for (const conn of idle) conn.close();
});

Deno.test("a server that could not start a child just now is not ready", async () => {
  const program = await Deno.makeTempFile();
  await Deno.writeTextFile(program, "#!/bin/sh\nexec cat\n");
  await Deno.chmod(program, 0o755);
  await using spawnd = await Spawnd.start("--status", "0", "--", program);
  const url = new URL("readyz", await spawnd.statusUrl());
  const code = async () => {
    const response = await fetch(url);
    await response.text();
    return response.status;
  };
  assertEquals(await code(), 200);
  await Deno.rename(program, `${program}.away`);
  await ask(spawnd.port, "").catch(() => {});
  await until("it to notice", async () => await code() === 503);
  assertMatch(
    String((await spawnd.record({ message: "children cannot be started" })).error),
    /there is no such file$/,
  );
  await Deno.rename(`${program}.away`, program);
  await until("it to be ready again", async () => await code() === 200);
  await Deno.remove(program);
});

Deno.test("a server whose places are all taken by handshakes is not ready", async () => {
  await using spawnd = await Spawnd.start(
    ...["--status", "0", "--max-connections", "1", "--queue", "1"],
    ...["--accept-proxy", "127.0.0.0/8", "--handshake-timeout", "60", "--", "cat"],
  );
  const url = new URL("readyz", await spawnd.statusUrl());
  const readiness = async () => await (await fetch(url)).text();
  assertEquals(await readiness(), "ready\n");
  using _first = await spawnd.connect();
  using second = await spawnd.connect();
  await until("it to be full", async () => await readiness() === "full\n");
  second.close();
  await until("it to be ready", async () => await readiness() === "ready\n");
});
