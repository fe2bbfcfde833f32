/**
 * The PROXY protocol end to end: from a proxy to the server, and from the server to a child.
 */

import { assert, assertEquals } from "@std/assert";
import { formatProxyHeader, readProxyHeader } from "../lib/net/proxy_protocol.ts";
import { childrenOf, descriptorsOf } from "./_processes.ts";
import { ask, concat, receive, receiveAll, send, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { until, untilSteady, within } from "./_waiting.ts";

const encoder = new TextEncoder();
const FROM_PROXY = ["--accept-proxy", "127.0.0.1"];

/** A header for a client with this address. */
function headerFrom(hostname: string, version = 1): Uint8Array<ArrayBuffer> {
  const destination = {
    hostname: hostname.includes(":") ? "2001:db8::2" : "198.51.100.7",
    port: 443,
  };
  return formatProxyHeader(version, { source: { hostname, port: 54321 }, destination });
}

/** Asks as a proxy would for its client. */
async function askFor(hostname: string, spawnd: Spawnd, version = 1): Promise<string> {
  const question = concat([headerFrom(hostname, version), encoder.encode("hello")]);
  return text(await ask(spawnd.port, question));
}

for (const version of [1, 2]) {
  Deno.test(`behind a proxy the real client counts (version ${version})`, async () => {
    await using spawnd = await Spawnd.start(
      ...[...FROM_PROXY, "--", "sh", "-c", "env | grep ^TCP | sort; cat"],
    );
    assertEquals(
      await askFor("192.0.2.1", spawnd, version),
      "TCPLOCALHOST=\nTCPLOCALIP=198.51.100.7\nTCPLOCALPORT=443\nTCPREMOTEHOST=\n" +
        "TCPREMOTEINFO=\nTCPREMOTEIP=192.0.2.1\nTCPREMOTEPORT=54321\nhello",
    );
    assertEquals((await spawnd.record({ message: "end" })).in, 5);
    await askFor("2001:db8::1", spawnd, version);
    await spawnd.record({ message: "open", client: "[2001:db8::1]:54321" });
  });
}

Deno.test("rules and limits apply to the real client", async () => {
  await using spawnd = await Spawnd.start(
    ...[...FROM_PROXY, "--deny", "192.0.2.0/24", "--max-per-source", "1", "--refusal", "no"],
    ...["--", "cat"],
  );
  assertEquals(await askFor("192.0.2.1", spawnd), "no");
  await spawnd.record({ message: "refused", client: "192.0.2.1:54321", reason: "denied" });
  using conn = await spawnd.connect();
  await send(conn, concat([headerFrom("2001:db8::1"), encoder.encode("x")]));
  await receive(conn, 1);
  assertEquals(await askFor("2001:db8::ffff:1", spawnd), "no"); // the same /64
  assertEquals(await askFor("2001:db8:0:1::1", spawnd), "hello");
  assertEquals(await askFor("::ffff:198.51.100.1", spawnd), "hello");
});

Deno.test("a header may arrive in pieces, or together with what follows", async () => {
  await using spawnd = await Spawnd.start(...FROM_PROXY, "--", "cat");
  const body = "after the header\r\n".repeat(1000);
  for (const version of [1, 2]) {
    using conn = await spawnd.connect();
    const answer = receiveAll(conn);
    for (const byte of headerFrom("192.0.2.1", version)) await send(conn, Uint8Array.of(byte));
    await send(conn, body);
    await conn.closeWrite();
    assertEquals(text(await answer), body);
    const question = concat([headerFrom("192.0.2.1", version), encoder.encode(body)]);
    assertEquals(text(await ask(spawnd.port, question)), body);
  }
});

Deno.test("a header without addresses means the proxy itself", async () => {
  await using spawnd = await Spawnd.start(...FROM_PROXY, "--", "cat");
  const local = Uint8Array.from([...formatProxyHeader(2, {}).slice(0, 12), 0x20, 0, 0, 0]);
  for (const header of [local, formatProxyHeader(1, {}), formatProxyHeader(2, {})]) {
    assertEquals(text(await ask(spawnd.port, concat([header, encoder.encode("hi")]))), "hi");
  }
  await until("all records", () => spawnd.records({ message: "end" }).length === 3);
  for (const { client } of spawnd.records({ message: "end" })) {
    assert(/^127\.0\.0\.1:/.test(String(client)), String(client));
  }
});

Deno.test("a connection without its header is closed and gets no child", async () => {
  await using spawnd = await Spawnd.start(...FROM_PROXY, "--refusal", "no", "--", "cat");
  const junk = ["GET / HTTP/1.1\r\n", "PROXY TCP4 x\r\n", `PROXY ${"x".repeat(200)}`, "PROXY"];
  for (const question of junk) {
    assertEquals(text(await ask(spawnd.port, question).catch(() => new Uint8Array())), "");
  }
  const { accepted, handshake } = await spawnd.status();
  assertEquals([accepted, handshake], [junk.length, junk.length]);
  const { error } = await spawnd.record({ message: "refused", reason: "handshake", id: 1 });
  assertEquals(error, "the connection does not start with a PROXY header");
  assertEquals(childrenOf(spawnd.pid), []);
});

Deno.test("a proxy's health check gets no child and logs no warning", async () => {
  await using spawnd = await Spawnd.start(...FROM_PROXY, "--", "cat");
  assertEquals(text(await ask(spawnd.port, "")), "");
  const { accepted, left } = await spawnd.status();
  assertEquals([accepted, left], [1, 1]);
  assertEquals(spawnd.records({ message: "open" }), []);
  assertEquals(spawnd.records({ level: "WARN" }), []);
});

Deno.test("a header from an untrusted peer is passed to the child", async () => {
  await using spawnd = await Spawnd.start("--accept-proxy", "192.0.2.0/24", "--", "cat");
  assertEquals(await askFor("192.0.2.1", spawnd), `${text(headerFrom("192.0.2.1"))}hello`);
});

Deno.test("a client that never finishes its header is closed and delays no other", async () => {
  await using spawnd = await Spawnd.start(
    ...[...FROM_PROXY, "--handshake-timeout", "0.5", "--max-connections", "1", "--", "cat"],
  );
  const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
  const before = await descriptors();
  const slow = await Promise.all(Array.from({ length: 10 }, () => spawnd.connect()));
  await send(slow[1]!, "PROXY TCP4 192");
  assertEquals(await askFor("192.0.2.1", spawnd), "hello");
  for (const conn of slow) {
    await receiveAll(conn).catch(() => {}); // a reset, if a byte was left unread
    conn.close();
  }
  const { error } = await spawnd.record({ message: "refused", reason: "handshake" });
  assertEquals(error, "it took too long");
  assertEquals((await spawnd.status()).handshake, 10);
  assertEquals(await descriptors(), before);
});

for (const [version, warm] of [[1, 0], [1, 2], [2, 0], [2, 2]] as const) {
  Deno.test(`a child is sent a version ${version} header, with --warm ${warm}`, async () => {
    await using spawnd = await Spawnd.start(
      ...["--send-proxy", `${version}`, "--warm", `${warm}`, "--", "cat"],
    );
    await until("warm children", () => childrenOf(spawnd.pid).length === warm);
    using conn = await spawnd.connect();
    const answer = receiveAll(conn);
    await send(conn, "hello");
    await conn.closeWrite();
    const pieces = [await answer];
    const { header, rest } = await readProxyHeader({
      read: () => Promise.resolve(pieces.shift() ?? null),
    });
    const { localAddr, remoteAddr } = conn;
    assertEquals(header.source, { hostname: "127.0.0.1", port: localAddr.port });
    assertEquals(header.destination, { hostname: "127.0.0.1", port: remoteAddr.port });
    assertEquals(text(rest), "hello");
    await spawnd.record({ message: "open", start: warm > 0 ? "warm" : "cold" });
    await spawnd.record({ message: "end", in: 5 });
  });
}

Deno.test("a proxy's header is passed to the child", async () => {
  await using spawnd = await Spawnd.start(...FROM_PROXY, "--send-proxy", "1", "--", "cat");
  assertEquals(
    await askFor("192.0.2.1", spawnd, 2),
    "PROXY TCP4 192.0.2.1 198.51.100.7 54321 443\r\nhello",
  );
});

Deno.test("a child that does not read its PROXY header ends as usual", async () => {
  await using spawnd = await Spawnd.start(
    ...["--send-proxy", "1", "--warm", "1", "--", "sh", "-c", "exec <&-; sleep 0.5; echo hi"],
  );
  await until("a warm child without stdin", () => {
    const [pid] = childrenOf(spawnd.pid);
    const isSh = pid && Deno.readTextFileSync(`/proc/${pid}/comm`) === "sh\n";
    return isSh && ![...Deno.readDirSync(`/proc/${pid}/fd`)].some(({ name }) => name === "0");
  });
  assertEquals(text(await within("an answer", ask(spawnd.port, "hello"))), "hi\n");
  await spawnd.record({ message: "open", start: "warm" });
  await spawnd.record({ message: "end", exit: 0 });
});

Deno.test("what a proxy says of a client's TLS reaches the child", async () => {
  await using spawnd = await Spawnd.start(...FROM_PROXY, "--send-proxy", "2", "--", "cat");
  const facts = {
    source: { hostname: "192.0.2.1", port: 54321 },
    destination: { hostname: "198.51.100.7", port: 443 },
    tls: { protocol: "TLSv1.2", cipher: "X", client: { text: "CN=alice", commonName: "alice" } },
  };
  const bytes = concat([formatProxyHeader(2, facts), encoder.encode("hello")]);
  assertEquals(await ask(spawnd.port, bytes), bytes);
});
