/**
 * The request for a WebSocket: what a handler is told of it, and where WebSockets are served.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Certificates, testTls } from "./_certificates.ts";
import { withFolder } from "./_programs.ts";
import { text } from "./_sockets.ts";
import { frame } from "./_web_frames.ts";
import { fetchRaw, serveWebAt, serveWebScript, WebClient } from "./_web_socket.ts";

const encoder = new TextEncoder();

Deno.test("a client chooses its mode by a sub-protocol, or one of the handler's", async () => {
  await using spawnd = await serveWebScript(
    'echo "$HTTP_SEC_WEBSOCKET_PROTOCOL"',
    ...["--ws-protocol", "mqtt", "--ws-protocol", "chat"],
  );
  const cases = [
    ["spawnd.lines", "spawnd.lines", "spawnd.lines"],
    ["spawnd.text", "spawnd.text", "spawnd.text\n"],
    ["spawnd.bytes", "spawnd.bytes", encoder.encode("spawnd.bytes\n")],
    ["binary", "binary", encoder.encode("binary\n")],
    ["other, chat, mqtt", "chat", "other, chat, mqtt"],
    ["other", undefined, "other"],
    ["spawnd.other, spawnd.text,chat", "spawnd.text", "spawnd.other, spawnd.text,chat\n"],
  ] as const;
  for (const [offered, chosen, message] of cases) {
    using client = await WebClient.connect(spawnd, {
      headers: { "Sec-WebSocket-Protocol": offered },
    });
    assertEquals(/^sec-websocket-protocol: (.*)$/m.exec(client.head)?.[1], chosen, offered);
    assertEquals(await client.message(), message);
    assertEquals(await client.closed(), [1000, ""]);
  }
});

Deno.test("a cold program knows the request", async () => {
  await using spawnd = await serveWebAt(
    "127.0.0.1:0/chat",
    {},
    ...[
      "--",
      "sh",
      "-c",
      "env | grep -E '^(HTTP_|REQUEST_|QUERY|PATH_INFO|SCRIPT|REMOTE_A|PROTO)' | sort",
    ],
  );
  using client = await WebClient.connect(spawnd, {
    target: "/chat/room%20one?key=a%20b&x=$(id)",
    headers: {
      "Origin": "http://localhost",
      "User-Agent": "`test` 'quoted'",
      "X-Custom-Name": "one",
      "x-custom-NAME": "two",
      "X_Custom_Name": "underscores",
      "Cookie": "id=1",
      "Proxy": "http://evil.example",
      "Authorization": "Basic c2VjcmV0",
      "X-Forwarded-For": "192.0.2.1",
      "Forwarded": "for=192.0.2.1",
      "Sec-WebSocket-Extensions": "permessage-deflate",
    },
  });
  const lines = [];
  for (let next = await client.receive(); next?.kind === "text"; next = await client.receive()) {
    lines.push(text(next.bytes));
  }
  assertEquals(lines, [
    "HTTP_COOKIE=id=1",
    "HTTP_HOST=localhost",
    "HTTP_ORIGIN=http://localhost",
    "HTTP_USER_AGENT=`test` 'quoted'",
    "HTTP_X_CUSTOM_NAME=one, two",
    "PATH_INFO=/room one",
    "PROTO=TCP",
    "QUERY_STRING=key=a%20b&x=$(id)",
    "REMOTE_ADDR=127.0.0.1",
    "REQUEST_METHOD=GET",
    "REQUEST_URI=/chat/room%20one?key=a%20b&x=$(id)",
    "SCRIPT_NAME=/chat",
  ]);
  assert(!/extensions/i.test(client.head));
});

Deno.test("a path and everything below it are served, and nothing else", async () => {
  await using spawnd = await serveWebAt(
    "127.0.0.1:0/chat",
    {},
    ...["--", "sh", "-c", 'echo "$SCRIPT_NAME|$PATH_INFO"'],
  );
  for (
    const [target, told] of [
      ["/chat", "/chat|"],
      ["/chat?x", "/chat|"],
      ["/chat/", "/chat|/"],
      ["/chat/a/../b", "/chat|/a/../b"],
    ] as const
  ) {
    using client = await WebClient.connect(spawnd, { target });
    assertEquals(await client.message(), told);
    assertEquals(await client.closed(), [1000, ""]);
  }
  for (const target of ["/", "/chatter", "/other", "/CHAT", "http://localhost/chat"]) {
    using conn = await spawnd.connect();
    assertMatch(await fetchRaw(conn, { target }), /^HTTP\/1\.1 404 Not Found\n/, target);
  }
});

testTls("over TLS, a program knows the request and the connection", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await serveWebAt(
    "127.0.0.1:0",
    { permissions: ["--allow-net", "--allow-run", `--allow-read=${certificates.folder}`] },
    ...["--cert", certificates.cert, "--key", certificates.key],
    ...["--", "sh", "-c", 'echo "$SSL_PROTOCOL $PATH_INFO"; exec cat'],
  );
  using client = await WebClient.open(
    await certificates.connect(spawnd),
    { target: "/x", headers: { Origin: `https://localhost` } },
    frame("text", "hello"),
  );
  assertEquals(await client.message(), "TLSv1.3 /x");
  assertEquals(await client.message(), "hello");
  await client.leave(1000);
  const { reason } = await spawnd.record({ message: "end" });
  assertEquals(reason, "client-closed");
  assertMatch(spawnd.stdout, /^spawnd page on https:\/\/127\.0\.0\.1:\d+\/$/m);
});

Deno.test("over a Unix socket, with a path", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/web.sock`;
    await using spawnd = await serveWebAt(
      `unix:${path}:/chat`,
      { permissions: ["--allow-net", "--allow-run", "--allow-read", "--allow-write"] },
      ...["--", "sh", "-c", 'echo "$PROTO $PATH_INFO"; exec cat'],
    );
    using client = await WebClient.open(
      await Deno.connect({ transport: "unix", path }),
      { target: "/chat/x" },
      frame("text", "hello"),
    );
    assertEquals(await client.message(), "UNIX /x");
    assertEquals(await client.message(), "hello");
    await client.leave(1000);
    await spawnd.record({ message: "end", client: "unix", reason: "client-closed" });
  });
});
