/**
 * TLS from end to end, with a certificate made for the test and with clients that misbehave.
 */

import { assert, assertEquals } from "@std/assert";
import { commandHandler, Server } from "../lib/mod.ts";
import {
  ask,
  assertSameBytes,
  childrenOf,
  connectToReset,
  descriptorsOf,
  isAlive,
  receive,
  receiveAll,
  receiveEach,
  send,
  Spawnd,
  testWith,
  text,
  until,
  untilSteady,
  within,
} from "./_spawnd.ts";

/** A folder with a certificate for `localhost`, and servers and clients that use it. */
class Certificates implements AsyncDisposable {
  private constructor(readonly folder: string) {}

  static async make(): Promise<Certificates> {
    const certificates = new Certificates(await Deno.makeTempDir());
    await certificates.renew("first");
    return certificates;
  }

  /** Replaces the certificate and its key. */
  async renew(organization: string): Promise<void> {
    const { success, stderr } = await new Deno.Command("openssl", {
      args: [
        ..."req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 2".split(" "),
        ...["-keyout", this.key, "-out", this.cert, "-subj", `/CN=localhost/O=${organization}`],
        ..."-addext subjectAltName=DNS:localhost -addext basicConstraints=CA:FALSE".split(" "),
      ],
    }).output();
    assert(success, text(stderr));
  }

  get cert(): string {
    return `${this.folder}/cert.pem`;
  }

  get key(): string {
    return `${this.folder}/key.pem`;
  }

  serve(...args: string[]): Promise<Spawnd> {
    return Spawnd.startWith(
      ["--allow-net", "--allow-run", `--allow-read=${this.folder}`],
      ...["--cert", this.cert, "--key", this.key, ...args],
    );
  }

  /** Connects, and completes the handshake. */
  async connect({ port }: { readonly port: number }): Promise<Deno.TlsConn> {
    const caCerts = [await Deno.readTextFile(this.cert)];
    const conn = await Deno.connectTls({ hostname: "localhost", port, caCerts });
    await within("a handshake", conn.handshake());
    return conn;
  }

  async ask(server: { readonly port: number }, question: string): Promise<string> {
    using conn = await this.connect(server);
    await send(conn, question);
    await conn.closeWrite();
    return text(await receiveAll(conn));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

function testTls(name: string, fn: () => Promise<void>): void {
  testWith("openssl", "openssl", name, fn);
}

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

testTls("openssl s_client works as the README says", async () => {
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
    // More than one socket buffers, less than the whole path does (Linux 6.18: 4 and 11 MB).
    ...["--eof-timeout", "1", "--", "head", "-c", "7500000", "/dev/zero"],
  );
  using conn = await certificates.connect(spawnd);
  const { pid } = await spawnd.record({ message: "open" });
  await until("the child's end", () => !isAlive(Number(pid)));
  const began = performance.now();
  await until("more than the linger time", () => performance.now() - began > 3000);
  let length = 0;
  await receiveEach(conn, (chunk) => length += chunk.length);
  assertEquals(length, 7_500_000);
  conn.close();
  assertEquals((await spawnd.record({ message: "end" })).reason, "child-closed");
});

testTls("a client that stops reading is closed and leaves nothing behind", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await certificates.serve(
    ...[
      "--idle-timeout",
      "0.5",
      "--kill-timeout",
      "0.2",
      "--",
      "sh",
      "-c",
      "read x; cat /dev/zero",
    ],
  );
  const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
  const before = await descriptors();
  using conn = await certificates.connect(spawnd);
  await send(conn, "begin\n");
  assertEquals((await spawnd.record({ message: "end" })).reason, "idle-timeout");
  assertEquals(await descriptors(), before);
});

/** The organization in the certificate that a server presents. */
async function organizationOf(spawnd: Spawnd): Promise<string | undefined> {
  const { stdout } = await new Deno.Command("openssl", {
    args: ["s_client", "-connect", `localhost:${spawnd.port}`],
    stdin: "null",
    stderr: "null",
  }).output();
  return /O = ?(\w+)/.exec(text(stdout))?.[1];
}

testTls("SIGHUP reloads the certificate, and open connections go on", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await certificates.serve("--", "cat");
  using conn = await certificates.connect(spawnd);
  assertEquals(await organizationOf(spawnd), "first");
  await certificates.renew("second");
  assertEquals(await organizationOf(spawnd), "first");
  spawnd.kill("SIGHUP");
  await spawnd.record({ message: "certificate renewed" });
  assertEquals(await organizationOf(spawnd), "second");
  await send(conn, "still here");
  assertEquals(text(await receive(conn, 10)), "still here");
});

testTls("a bad new certificate or key is an error, and the old one stays", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await certificates.serve("--", "cat");
  const [cert, key] = [certificates.cert, certificates.key].map((path) =>
    Deno.readTextFileSync(path)
  );
  const errors = () => spawnd.records({ level: "ERROR", message: /^cannot renew/ });
  const breakages: (() => void | Promise<void>)[] = [
    () => Deno.writeTextFileSync(certificates.cert, "no certificate"),
    () => Deno.removeSync(certificates.key),
    async () => { // a key that belongs to another certificate
      await certificates.renew("other");
      Deno.writeTextFileSync(certificates.cert, cert!);
    },
  ];
  for (const [i, damage] of breakages.entries()) {
    await damage();
    spawnd.kill("SIGHUP");
    await until("an error", () => errors().length === i + 1);
    assertEquals(await organizationOf(spawnd), "first", String(errors()[i]!.error));
    Deno.writeTextFileSync(certificates.cert, cert!);
    Deno.writeTextFileSync(certificates.key, key!);
  }
  spawnd.kill("SIGHUP");
  await spawnd.record({ message: "certificate renewed" });
  assertEquals(await certificates.ask(spawnd, "hello"), "hello");
});

testTls("no client is lost while the certificate is renewed under load", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await certificates.serve("--", "cat");
  const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
  assertEquals(await certificates.ask(spawnd, "first"), "first");
  const before = await descriptors();
  let [isOver, answers] = [false, 0];
  const client = async () => {
    while (!isOver) {
      assertEquals(await certificates.ask(spawnd, "hello"), "hello");
      answers++;
    }
  };
  const clients = Promise.all(Array.from({ length: 4 }, client));
  for (let i = 1; i <= 10; i++) {
    spawnd.kill("SIGHUP");
    const isRenewed = () => spawnd.records({ message: "certificate renewed" }).length === i;
    await until("it to be renewed", isRenewed);
    const goal = answers + 3;
    await until("some answers", () => answers >= goal);
  }
  isOver = true;
  await clients;
  assert(answers >= 30, `${answers} answers`);
  assertEquals(await descriptors(), before);
});

testTls("a server embedded in a program speaks TLS, and leaves nothing open", async () => {
  await using certificates = await Certificates.make();
  const { cert, key } = certificates;
  await using server = await Server.listen({
    handler: commandHandler("cat"),
    hostname: "127.0.0.1",
    port: 0,
    cert,
    key,
  });
  assertEquals(await certificates.ask(server.addr, "hello"), "hello");
  const stopped = server.shutdown();
  server.refresh(); // too late to matter
  await stopped;
});

testTls("bad TLS files fail with one line at start", async () => {
  await using certificates = await Certificates.make();
  const files = ["--cert", certificates.cert, "--key", certificates.key];
  const lines = async (permissions: string[], ...args: string[]) => {
    const options = ["--host", "127.0.0.1", "--port", "0", ...args];
    await using spawnd = Spawnd.runWith(permissions, ...options);
    assertEquals((await spawnd.ended()).code, 1);
    return spawnd.lines;
  };
  assertEquals(await lines(["--allow-net", "--allow-run"], ...files), [
    `spawnd: Deno does not allow reading ${certificates.cert}: add --allow-read`,
  ]);
  const all = ["--allow-net", "--allow-run", "--allow-read"];
  assertEquals(await lines(all, "--cert", "/no/such", "--key", certificates.key), [
    "spawnd: Cannot listen on 127.0.0.1:0: " +
    "No such file or directory (os error 2): readfile '/no/such'",
  ]);
  assertEquals(await lines(all, "--cert", certificates.key, "--key", certificates.key), [
    "spawnd: Cannot listen on 127.0.0.1:0: No certificates found in certificate data",
  ]);
});
