/**
 * TLS from end to end, with clients that misbehave.
 */

import { assert, assertEquals } from "@std/assert";
import { commandHandler, Server } from "../lib/mod.ts";
import { Certificates, testTls } from "./_certificates.ts";
import { childrenOf, descriptorsOf, isAlive } from "./_processes.ts";
import {
  ask,
  assertSameBytes,
  connectToReset,
  receive,
  receiveAll,
  receiveEach,
  send,
  text,
} from "./_sockets.ts";
import { until, untilSteady, within } from "./_waiting.ts";

testTls("over TLS a client that half-closes gets its answer", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await certificates.serve(
    "--",
    "sh",
    "-c",
    "cat >/dev/null; sleep 1; echo done",
  );
  assertEquals(await certificates.ask(spawnd, "question"), "done\n");
  const { reason, in: inbound } = await spawnd.record({ message: "end" });
  assertEquals([reason, inbound], ["client-closed", 8]);
});

testTls("32 MB go through TLS and come back intact", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await certificates.serve("--", "cat");
  const sent = crypto.getRandomValues(new Uint8Array(65_536));
  using conn = await certificates.connect(spawnd);
  const sending = (async () => {
    for (let i = 0; i < 512; i++) await send(conn, sent);
    await conn.closeWrite();
  })();
  const received = await within("all bytes", receiveAll(conn), 60_000);
  await sending;
  assertEquals(received.length, 512 * sent.length);
  for (const i of [0, 255, 511]) {
    assertSameBytes(received.subarray(i * sent.length, (i + 1) * sent.length), sent);
  }
});

testTls("a thousand small messages go through TLS one by one without delay", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await certificates.serve("--", "cat");
  using conn = await certificates.connect(spawnd);
  const began = performance.now();
  for (let i = 0; i < 1000; i++) {
    await send(conn, "ping");
    await receive(conn, 4);
  }
  const each = (performance.now() - began) / 1000;
  assert(each < 10, `${each} ms each: a delayed acknowledgement takes 40`);
});

testTls("rules apply before the handshake, and slots after it", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await certificates.serve(
    ...["--max-connections", "1", "--queue", "0", "--max-per-source", "2", "--refusal", "full\n"],
    ...["--", "cat"],
  );
  using first = await certificates.connect(spawnd);
  await send(first, "x");
  await receive(first, 1);
  const second = await certificates.connect(spawnd);
  assertEquals(text(await receiveAll(second)), "full\n");
  second.close();
  await spawnd.record({ message: "refused", reason: "busy" });
  using silent = await spawnd.connect();
  using third = await spawnd.connect();
  const answer = await receiveAll(third).catch(() => new Uint8Array());
  assertEquals(text(answer), "", "a refusal in plain text");
  await spawnd.record({ message: "refused", reason: "source-limit" });
  silent.close();
});

testTls("garbage, silence or a reset in a handshake delays no other client", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await certificates.serve(
    ...["--handshake-timeout", "0.7", "--max-connections", "1", "--refusal", "no", "--", "cat"],
  );
  const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
  assertEquals(await certificates.ask(spawnd, "first"), "first");
  const before = await descriptors();
  const silent = await Promise.all(Array.from({ length: 20 }, () => spawnd.connect()));
  await send(silent[1]!, Uint8Array.of(0x16, 0x03, 0x01)); // the beginning of a handshake
  assertEquals(await certificates.ask(spawnd, "beside the silent ones"), "beside the silent ones");
  const answer = await ask(spawnd.port, "GET / HTTP/1.0\r\n\r\n").catch(() => new Uint8Array());
  assert(!text(answer).includes("no"), "a refusal in plain text");
  await (await connectToReset(spawnd.port))();
  for (const conn of silent) {
    await receiveAll(conn).catch(() => {});
    conn.close();
  }
  // The client that reset may have gone before it was accepted.
  await until("all refusals", async () => Number((await spawnd.status()).handshake) >= 21);
  assertEquals(childrenOf(spawnd.pid), []);
  assertEquals(await descriptors(), before);
});

testTls(
  "an end without close_notify is a lost client, not end of input",
  async () => {
    await using certificates = await Certificates.make();
    await using spawnd = await certificates.serve("--", "sh", "-c", "cat; echo complete");
    // When openssl is killed, the kernel closes the connection without a close_notify.
    const client = new Deno.Command("openssl", {
      args: ["s_client", "-quiet", "-connect", `localhost:${spawnd.port}`],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const writer = client.stdin.getWriter();
    await writer.write(new TextEncoder().encode("half a quest"));
    await spawnd.record({ message: "open" });
    const reader = client.stdout.getReader();
    assertEquals(text((await within("the echo", reader.read())).value!), "half a quest");
    client.kill("SIGKILL");
    await client.status;
    await reader.cancel();
    await writer.abort().catch(() => {});
    assertEquals((await spawnd.record({ message: "end" })).reason, "client-reset");
  },
);

testTls("openssl s_client works as docs/operations.md says", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await certificates.serve("--stderr", "null");
  const client = new Deno.Command("openssl", {
    args: [
      ..."s_client -quiet -no_ign_eof -verify_return_error -verify_hostname localhost".split(" "),
      ...["-CAfile", certificates.cert, "-connect", `localhost:${spawnd.port}`],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = client.stdin.getWriter();
  await writer.write(new TextEncoder().encode("hello"));
  const reader = client.stdout.getReader();
  const { value } = await within("an answer", reader.read());
  assert(text(value!).startsWith("This is server send message:0"));
  await writer.close();
  await reader.cancel();
  assertEquals((await within("its end", client.status)).code, 0);
  assertEquals((await spawnd.record({ message: "end" })).reason, "client-closed");
});

testTls("a PROXY header comes before TLS", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await certificates.serve("--accept-proxy", "127.0.0.1", "--", "cat");
  const plain = await spawnd.connect();
  await send(plain, "PROXY TCP4 192.0.2.1 198.51.100.7 54321 443\r\n");
  const caCerts = [await Deno.readTextFile(certificates.cert)];
  using conn = await Deno.startTls(plain, { hostname: "localhost", caCerts });
  await send(conn, "hello");
  assertEquals(text(await receive(conn, 5)), "hello");
  await spawnd.record({ message: "open", client: "192.0.2.1:54321" });
});

testTls("a client that reads late gets all of its child's output", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await certificates.serve(
    // Less than the sockets buffer (Linux 6.18: 4 MB).
    ...["--eof-timeout", "1", "--", "head", "-c", "2500000", "/dev/zero"],
  );
  using conn = await certificates.connect(spawnd);
  const { pid } = await spawnd.record({ message: "open" });
  await until("the child's end", () => !isAlive(Number(pid)));
  const began = performance.now();
  await until("more than the linger time", () => performance.now() - began > 3000);
  let length = 0;
  await receiveEach(conn, (chunk) => length += chunk.length);
  assertEquals(length, 2_500_000);
  conn.close();
  assertEquals((await spawnd.record({ message: "end" })).reason, "child-closed");
});

testTls("a client that stops reading is closed and leaves nothing behind", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await certificates.serve(
    ...["--session-timeout", "1", "--kill-timeout", "0.2"],
    ...["--", "sh", "-c", "read x; cat /dev/zero"],
  );
  const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
  const before = await descriptors();
  using conn = await certificates.connect(spawnd);
  await send(conn, "begin\n");
  assertEquals((await spawnd.record({ message: "end" })).reason, "session-timeout");
  assertEquals(await descriptors(), before);
});

testTls("a server embedded in a program speaks TLS, and leaves nothing open", async () => {
  await using certificates = await Certificates.make();
  const { cert, key } = certificates;
  await using server = await Server.listen({
    handler: commandHandler("cat"),
    hostname: "127.0.0.1",
    port: 0,
    cert: [cert],
    key: [key],
  });
  assertEquals(await certificates.ask(server.addr, "hello"), "hello");
  const stopped = server.shutdown();
  server.reload(); // too late to matter
  await stopped;
});
