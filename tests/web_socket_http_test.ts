/**
 * Requests that open no WebSocket: what they are answered, and that they take no slot.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { pause } from "./_load.ts";
import { receiveAll, send } from "./_sockets.ts";
import { assertAddsUp, type Spawnd } from "./_spawnd.ts";
import { until, within } from "./_waiting.ts";
import { frame, requestHead, type RequestOptions } from "./_web_frames.ts";
import { fetchRaw, serveWeb, serveWebAt, WebClient } from "./_web_socket.ts";

/** Sends a request, and resolves to the response: its status line, its headers, and its body. */
async function request(
  spawnd: Spawnd,
  what: string | RequestOptions,
): Promise<{ status: string; headers: string[]; body: string }> {
  using conn = await spawnd.connect();
  const [head, ...body] = (await fetchRaw(conn, what)).split("\n\n");
  const [status, ...headers] = head!.split("\n");
  return { status: status!, headers, body: body.join("\n\n") };
}

/** A head that is `bytes` long. */
function headOf(bytes: number): string {
  const rest = requestHead({ headers: { "X-Long": "" } }).length;
  return requestHead({ headers: { "X-Long": "x".repeat(bytes - rest) } });
}

const many = (count: number) =>
  Object.fromEntries(Array.from({ length: count - 5 }, (_, index) => [`X-${index}`, "x"]));

/** Requests and what they are answered, with a header that the answer must have. */
const ERRORS: Record<string, [what: string | RequestOptions, status: string, header?: string]> = {
  "another method": [
    { method: "POST", target: "/chat" },
    "405 Method Not Allowed",
    "allow: GET, HEAD",
  ],
  "another path": [{ target: "/other" }, "404 Not Found"],
  "a path that is not UTF-8": [{ target: "/chat/%ff" }, "400 Bad Request"],
  "a path with a zero byte": [{ target: "/chat/%00" }, "400 Bad Request"],
  "no request": ["hello\r\n\r\n", "400 Bad Request"],
  "a hello of TLS": ["\x16\x03\x01\x02\x00\x01", "400 Bad Request"],
  "another protocol, which waits for an answer": ["SSH-2.0-x\r\n", "400 Bad Request"],
  "a request of HTTP/2": ["PRI * HTTP/2.0\r\n\r\n", "400 Bad Request"],
  "lines that end with LF": ["GET /chat HTTP/1.1\nHost: x\n\r\n\r\n", "400 Bad Request"],
  "a space before a colon": ["GET /chat HTTP/1.1\r\nHost : x\r\n\r\n", "400 Bad Request"],
  "a header that is continued": [
    "GET /chat HTTP/1.1\r\nHost: x\r\n more\r\n\r\n",
    "400 Bad Request",
  ],
  "a zero byte in a header": [
    { target: "/chat", headers: { "X-Zero": "a\0b" } },
    "400 Bad Request",
  ],
  "101 headers": [{ target: "/chat", headers: many(101) }, "400 Bad Request"],
  "a head of 8193 bytes": [headOf(8193), "431 Request Header Fields Too Large"],
  "a head without an end": [`GET /${"x".repeat(20_000)}`, "431 Request Header Fields Too Large"],
  "another version": [
    { target: "/chat", headers: { "Sec-WebSocket-Version": "8" } },
    "426 Upgrade Required",
    "sec-websocket-version: 13",
  ],
  "no version": [
    { target: "/chat", headers: { "Sec-WebSocket-Version": undefined } },
    "426 Upgrade Required",
    "sec-websocket-version: 13",
  ],
  "no key": [{ target: "/chat", headers: { "Sec-WebSocket-Key": undefined } }, "400 Bad Request"],
  "a key that is too short": [
    { target: "/chat", headers: { "Sec-WebSocket-Key": "dGhlIHNhbXBsZQ==" } },
    "400 Bad Request",
  ],
  "a page from elsewhere": [
    { target: "/chat", headers: { "Origin": "http://evil.example" } },
    "403 Forbidden",
  ],
};

Deno.test("requests that are wrong are answered with a status, and take neither slot nor child", async () => {
  await using spawnd = await serveWebAt(
    "127.0.0.1:0/chat",
    {},
    ...["--max-connections", "1", "--queue", "0", "--no-page", "--", "cat"],
  );
  using served = await WebClient.connect(spawnd, { target: "/chat" });
  for (const [name, [what, status, header]] of Object.entries(ERRORS)) {
    const { headers, body, ...response } = await request(spawnd, what);
    assertEquals(response.status, `HTTP/1.1 ${status}`, name);
    for (
      const expected of [
        "connection: close",
        `content-length: ${body.length}`,
        ...(header ? [header] : []),
      ]
    ) {
      assert(headers.includes(expected), `${name}: ${headers} lacks ${expected}`);
    }
    assertMatch(body, /^.+\n$/, name);
  }
  await served.send(frame("text", "still here"));
  assertEquals(await served.message(), "still here");
  const count = Object.keys(ERRORS).length;
  await until("all to be counted", async () => (await spawnd.status()).handshake === count);
  const status = await spawnd.status();
  assertEquals([status.active, status.spawned], [1, 1]);
  assertAddsUp(status);
});

Deno.test("a head of exactly 8192 bytes and 100 headers is read", async () => {
  await using spawnd = await serveWeb("--", "cat");
  for (const headers of [many(100), { "X-Long": headOf(8192).match(/x+/)![0] }]) {
    using client = await WebClient.connect(spawnd, { headers });
    await client.send(frame("text", "x"));
    assertEquals(await client.message(), "x");
    await client.leave();
  }
});

Deno.test("a browser gets the page, which takes no slot; with --no-page it is told to upgrade", async () => {
  await using spawnd = await serveWeb(
    "--max-connections",
    "1",
    "--log-level",
    "debug",
    "--",
    "cat",
  );
  using _served = await WebClient.connect(spawnd);
  const plain = { headers: { Upgrade: undefined, Connection: "keep-alive" } };
  const page = await request(spawnd, plain);
  assertEquals(page.status, "HTTP/1.1 200 OK");
  assert(page.headers.includes("content-type: text/html; charset=utf-8"));
  assert(page.headers.includes("connection: close"));
  const length = page.headers.find((header) => header.startsWith("content-length: "));
  const head = await request(spawnd, { method: "HEAD", ...plain });
  assertEquals([head.status, head.body], ["HTTP/1.1 200 OK", ""]);
  assert(head.headers.includes(length!));
  const upgrading = await request(spawnd, { method: "HEAD" });
  assertEquals([upgrading.status, upgrading.body], ["HTTP/1.1 200 OK", ""]);
  await until("three pages", async () => (await spawnd.status()).page === 3);
  assertAddsUp(await spawnd.status());
  assertEquals(spawnd.records({ message: "refused" }), []);

  await using strict = await serveWeb("--no-page", "--", "cat");
  const { status, headers } = await request(strict, plain);
  assertEquals(status, "HTTP/1.1 426 Upgrade Required");
  assert(headers.includes("upgrade: websocket"));
});

Deno.test("the start says where a browser gets the page, if it can", async () => {
  const folder = await Deno.makeTempDir();
  const permissions = ["--allow-net", "--allow-run", "--allow-read", "--allow-write"];
  const addresses = ["127.0.0.1:0/chat", "0.0.0.0:0", `unix:${folder}/s`];
  const options = addresses.flatMap((address) => ["--websocket", address]);
  for (const hasPage of [true, false]) {
    const args = [...options.slice(1), ...(hasPage ? [] : ["--no-page"]), "--", "cat"];
    await using spawnd = await serveWebAt(args[0]!, { permissions }, ...args.slice(1));
    for (const [, url] of spawnd.stdout.matchAll(/page on (\S+)/g)) {
      assertMatch(await (await fetch(url!)).text(), /^<!doctype html>/);
    }
    await spawnd.stop();
    const [listening, ...pages] = spawnd.stdout.trimEnd().split("\n");
    const [one, two] = Array.from(listening!.matchAll(/:(\d+)\//g), ([, port]) => port);
    assertEquals(
      pages,
      [`http://127.0.0.1:${one}/chat`, `http://localhost:${two}/`]
        .map((url) => `spawnd page on ${url}`)
        .slice(hasPage ? 0 : 2),
    );
  }
  await Deno.remove(folder);
});

Deno.test("what asks for a WebSocket may be spelled in many ways", async () => {
  await using spawnd = await serveWeb("--", "cat");
  for (
    const headers of [
      { "Upgrade": "WebSocket", "Connection": "keep-alive, Upgrade" },
      {
        "Upgrade": undefined,
        "UPGRADE": "h2c ,websocket",
        "Connection": undefined,
        "connection": "uPgRaDe\t",
      },
    ]
  ) {
    using client = await WebClient.connect(spawnd, { headers });
    // The key and its answer are those of RFC 6455, section 1.3.
    assertMatch(client.head, /^sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r?$/m);
    await client.leave();
  }
});

Deno.test("of a long header, the log has only the beginning", async () => {
  await using spawnd = await serveWeb("--", "cat");
  using client = await WebClient.connect(spawnd, {
    headers: { "Sec-WebSocket-Protocol": "p".repeat(3000) },
  });
  const { offered } = await spawnd.record({
    message: "a client offers only unknown sub-protocols",
  });
  assertEquals(offered, `${"p".repeat(100)}…`);
  await client.leave();

  const origins = [`http://${"o".repeat(1000)}`, "http://example.com"];
  for (const origin of origins) {
    const headers = { Origin: origin, Host: "h".repeat(3000) };
    using conn = await spawnd.connect();
    assertMatch(await fetchRaw(conn, { headers }), /^HTTP\/1\.1 403 /);
  }
  await until("both refusals", () => spawnd.records({ message: "refused" }).length === 2);
  for (const { error } of spawnd.records({ message: "refused" })) {
    assertMatch(String(error), /^a page of http:.{285}…$/);
  }
});

Deno.test("clients that are slow with their request time out, and hold no slot", async () => {
  await using spawnd = await serveWeb(
    ...["--handshake-timeout", "0.5", "--max-connections", "1", "--", "cat"],
  );
  const slow = await Promise.all(["", "GET / HT", requestHead().slice(0, -2)].map(async (begin) => {
    const conn = await spawnd.connect();
    await send(conn, begin);
    return conn;
  }));
  using client = await WebClient.connect(spawnd);
  await client.send(frame("text", "x"));
  assertEquals(await client.message(), "x");
  for (const conn of slow) {
    assertEquals(await receiveAll(conn).catch(() => null).then((bytes) => bytes?.length ?? 0), 0);
    conn.close();
  }
  await until(
    "three timeouts",
    () => spawnd.records({ message: "refused", error: "it took too long" }).length === 3,
  );
  await client.leave();
  assertAddsUp(await untilIdle(spawnd));
});

Deno.test("a client that trickles its request byte by byte has no more time for it", async () => {
  await using spawnd = await serveWeb("--handshake-timeout", "0.5", "--", "cat");
  using conn = await spawnd.connect();
  const ended = within("the end", conn.read(new Uint8Array(1)).catch(() => null));
  let isOver = false;
  ended.then(() => isOver = true);
  await send(conn, "GET / HTTP/1.1\r\nX: ");
  while (!isOver) {
    await send(conn, "x").catch(() => {});
    await pause(20);
  }
  assertEquals(await ended, null);
});

/** The counters when nothing goes on any more. */
async function untilIdle(spawnd: Spawnd) {
  await until("all records", () => spawnd.records({ message: "end" }).length > 0);
  return await until("no connection", async () => {
    const status = await spawnd.status();
    return status.active === 0 && status;
  });
}

Deno.test("browsers that keep their connections open keep nobody from the page", async () => {
  await using spawnd = await serveWeb("--", "cat");
  const open = await Promise.all(Array.from({ length: 150 }, async () => {
    const conn = await spawnd.connect();
    await send(conn, requestHead({ headers: { Upgrade: undefined } }));
    return conn;
  }));
  await until("all of them", async () => (await spawnd.status()).page === 150);
  using conn = await spawnd.connect();
  assertMatch(await fetchRaw(conn, { headers: { Upgrade: undefined } }), /^HTTP\/1\.1 200 /);
  for (const conn of open) conn.close();
});
