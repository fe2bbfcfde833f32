/**
 * Where a WebSocket comes from: the pages that may open one, and the clients behind a proxy.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { formatProxyHeader } from "../lib/net/proxy_protocol.ts";
import { send } from "./_sockets.ts";
import { assertAddsUp, type Spawnd } from "./_spawnd.ts";
import { until } from "./_waiting.ts";
import { frame } from "./_web_frames.ts";
import { endOf, fetchRaw, serveWeb, serveWebScript, WebClient } from "./_web_socket.ts";
import { NodeWire, type Wire } from "./_wire.ts";

const TELL = 'echo "$REMOTE_ADDR $REMOTE_PORT"; exec cat';

/** Whether a page may connect. */
async function isAdmitted(spawnd: Spawnd, headers: Record<string, string>): Promise<boolean> {
  using conn = await spawnd.connect();
  try {
    await (await WebClient.open(conn, { headers })).leave();
    return true;
  } catch (error) {
    assertMatch(String(error), /HTTP\/1\.1 403 Forbidden/);
    return false;
  }
}

Deno.test("a page of the server's own host may connect, and no other", async () => {
  await using spawnd = await serveWeb("--", "cat");
  const own = `127.0.0.1:${spawnd.port}`;
  const cases: [host: string, origin: string, isAdmitted: boolean][] = [
    [own, `http://${own}`, true],
    ["localhost", "http://localhost", true],
    ["localhost:80", "http://localhost", true],
    ["LocalHost", "http://localhost", true],
    ["[::1]:8080", "http://[::1]:8080", true],
    [own, "http://localhost", false],
    [own, `http://127.0.0.1:${spawnd.port + 1}`, false],
    [own, "http://127.0.0.1", false],
    [own, "http://evil.example", false],
    [own, `http://evil.example/?${own}`, false],
    [own, "null", false],
    [own, "", false],
    [own, "file://", false],
    ["localhost", "http://localhost.evil.example", false],
    ["localhost", "http://localhost, http://evil.example", false],
    // Its name has the address of this machine only for the browser (DNS rebinding).
    ["evil.example", "http://evil.example", false],
    ["127.0.0.1.evil.example", "http://127.0.0.1.evil.example", false],
  ];
  for (const [host, origin, expected] of cases) {
    const result = await isAdmitted(spawnd, { Host: host, Origin: origin });
    assertEquals(result, expected, `${origin} at ${host}`);
  }
  assertEquals(await isAdmitted(spawnd, { Host: "evil.example" }), true); // no browser
  await until("all records", async () => (await spawnd.status()).active === 0);
  const status = await spawnd.status();
  assertEquals([status.accepted, status.handshake], [18, 12]);
  assertAddsUp(status);
});

Deno.test("--origin names the pages that may connect, or all", async () => {
  await using spawnd = await serveWeb(
    ...["--origin", "https://one.example", "--origin", "http://two.example:81", "--", "cat"],
  );
  const cases = {
    "https://one.example": true,
    "http://two.example:81": true,
    "http://one.example": false,
    "https://one.example:444": false,
    "http://localhost:81": false,
  };
  for (const [origin, expected] of Object.entries(cases)) {
    assertEquals(await isAdmitted(spawnd, { Origin: origin }), expected, origin);
  }
  await using open = await serveWeb("--origin", "*", "--", "cat");
  assertEquals(await isAdmitted(open, { Origin: "null" }), true);
});

/** Opens a WebSocket with these headers, and returns what the child says of its client. */
async function sourceOf(
  spawnd: Spawnd,
  headers: Record<string, string>,
  header?: string,
): Promise<unknown> {
  using conn = await spawnd.connect();
  if (header) await send(conn, header);
  const client = await WebClient.open(conn, { headers });
  const message = await client.message();
  await client.leave(1000);
  return message;
}

Deno.test("a trusted proxy names its client in a header", async () => {
  await using spawnd = await serveWebScript(
    TELL,
    ...["--accept-proxy", "127.0.0.1", "--accept-proxy", "10.0.0.0/8"],
  );
  const cases: [headers: Record<string, string>, source: string][] = [
    [{ "X-Forwarded-For": "192.0.2.1" }, "192.0.2.1 0"],
    [{ "X-Forwarded-For": "203.0.113.9, 192.0.2.1" }, "192.0.2.1 0"], // the first one may be a lie
    [{ "X-Forwarded-For": "192.0.2.1, 10.1.1.1, 10.2.2.2" }, "192.0.2.1 0"],
    [{ "X-Forwarded-For": "[2001:db8::1]:4711" }, "2001:db8::1 4711"],
    [{ "Forwarded": 'for="[2001:db8::1]:80";proto=https, for=10.1.1.1' }, "2001:db8::1 80"],
    [{ "Forwarded": "for=192.0.2.1", "X-Forwarded-For": "192.0.2.1" }, "192.0.2.1 0"],
  ];
  for (const [headers, source] of cases) {
    assertEquals(await sourceOf(spawnd, headers), source);
  }
  await spawnd.record({ message: "open", id: 1, client: "192.0.2.1:0" });
  using conn = await spawnd.connect();
  const response = await fetchRaw(conn, {
    headers: { "Forwarded": "for=192.0.2.1", "X-Forwarded-For": "192.0.2.2" },
  });
  assertMatch(response, /^HTTP\/1\.1 400 /);
  // A proxy that names its client is none, and may pass on any host. Else it may be a browser on this
  // machine that was given its address for another name (DNS rebinding).
  const headers = { Host: "example.com", Origin: "https://example.com" };
  assertEquals(await isAdmitted(spawnd, { ...headers, "X-Forwarded-For": "192.0.2.1" }), true);
  assertEquals(await isAdmitted(spawnd, headers), false);
});

Deno.test("what others say of their client means nothing", async () => {
  await using spawnd = await serveWebScript(
    TELL,
    ...["--accept-proxy", "127.0.0.9", "--deny", "192.0.2.0/24"],
  );
  for (const name of ["X-Forwarded-For", "Forwarded"]) {
    const value = name === "Forwarded" ? "for=192.0.2.1" : "192.0.2.1";
    assertMatch(String(await sourceOf(spawnd, { [name]: value })), /^127\.0\.0\.1 \d+$/);
  }
  using conn = await spawnd.connect();
  const header = "PROXY TCP4 198.51.100.1 198.51.100.2 1 2\r\n";
  assertMatch(await fetchRaw(conn, header + "GET / HTTP/1.1\r\n\r\n"), /^HTTP\/1\.1 400 /);
});

for (const version of [1, 2]) {
  Deno.test(`a PROXY header comes first, and what its client claims to be counts for nothing (version ${version})`, async () => {
    await using spawnd = await serveWebScript(
      TELL,
      ...["--accept-proxy", "127.0.0.1", "--deny", "192.0.2.0/24"],
    );
    const open = async (hostname: string) => {
      const header = formatProxyHeader(version, {
        source: { hostname, port: 4711 },
        destination: { hostname: "198.51.100.7", port: 80 },
      });
      const conn = await spawnd.connect();
      await send(conn, header);
      return await WebClient.open(conn, { headers: { "X-Forwarded-For": "192.0.2.1" } });
    };
    const client = await open("198.51.100.1");
    assertEquals(await client.message(), "198.51.100.1 4711");
    await client.leave();
    assertEquals(await (await open("192.0.2.1")).closed(), [1008, "denied"]);
    await spawnd.record({ message: "refused", reason: "denied", client: "192.0.2.1:4711" });
  });
}

Deno.test("rules and limits apply to the client that a proxy names", async () => {
  await using spawnd = await serveWeb(
    ...["--accept-proxy", "127.0.0.1", "--deny", "192.0.2.0/24", "--max-per-source", "1"],
    ...["--", "cat"],
  );
  const open = (source: string) =>
    WebClient.connect(spawnd, { headers: { "X-Forwarded-For": source } });
  const first = await open("203.0.113.1");
  await spawnd.record({ message: "open", id: 1 });
  assertEquals(await (await open("203.0.113.1")).closed(), [1008, "source-limit"]);
  assertEquals(await (await open("9.9.9.9, 203.0.113.1")).closed(), [1008, "source-limit"]);
  assertEquals(await (await open("192.0.2.7")).closed(), [1008, "denied"]);
  const echo = async (source: string) => {
    const client = await open(source);
    await client.send(frame("text", "x"));
    assertEquals(await client.message(), "x");
    await client.leave();
  };
  await echo("203.0.113.2");
  await first.leave();
  await endOf(spawnd, 1);
  await echo("203.0.113.1");
  await until("all records", async () => (await spawnd.status()).active === 0);
  const status = await spawnd.status();
  assertEquals([status.ended, status["source-limit"], status.denied], [3, 2, 1]);
  assertAddsUp(status);
});

Deno.test("a proxy that says nothing of its client is the client", async () => {
  await using spawnd = await serveWebScript(TELL, "--accept-proxy", "127.0.0.0/8");
  assertMatch(String(await sourceOf(spawnd, {})), /^127\.0\.0\.1 \d+$/);
  const wire: Wire = await NodeWire.connect(spawnd.port, "127.0.0.2");
  const client = await WebClient.open(wire, { headers: { "X-Forwarded-For": "unknown" } });
  assertMatch(String(await client.message()), /^127\.0\.0\.2 \d+$/);
  await client.leave();
});
