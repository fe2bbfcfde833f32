/**
 * What TLS clients are told and asked for: alerts, versions, names, protocols and certificates.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Certificates, type Identity, testTls } from "./_certificates.ts";
import { descriptorsOf } from "./_processes.ts";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";
import { until, untilSteady, within } from "./_waiting.ts";

/** What `openssl s_client` prints when it sends a line, until the server closes. */
async function client({ port }: Spawnd, ...args: string[]): Promise<string> {
  const process = new Deno.Command("openssl", {
    args: ["s_client", "-ign_eof", "-connect", `127.0.0.1:${port}`, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode("hello\n")).catch(() => {});
  await writer.close().catch(() => {});
  const { stdout, stderr } = await within("openssl", process.output());
  return text(stdout) + text(stderr);
}

/** A handler that shows what it is told of TLS. */
const SHOW = ["--", "sh", "-c", "head -n 1; env | grep -E '^SSL_(P|CI|T|A|CL)' | sort"];

for (const names of [["localhost"], ["localhost", "other.example"]]) {
  testTls(
    `a client that cannot be served gets an alert (${names.length} certificates)`,
    async () => {
      await using certificates = await Certificates.make();
      const identities = await Promise.all(names.map((name) => certificates.issue(name)));
      await using spawnd = await certificates.serveAs(identities, "--alpn", "echo", ...SHOW);
      const old = ["-cipher", "ALL:@SECLEVEL=0"];
      assertMatch(
        await client(spawnd, "-tls1_1", ...old),
        /alert (handshake failure|protocol version)/,
      );
      assertMatch(
        await client(spawnd, "-tls1_2", "-cipher", "AES128-SHA"),
        /alert handshake failure/,
      );
      assertMatch(await client(spawnd, "-alpn", "other"), /alert no application protocol/);
      for (const garbage of ["GET / HTTP/1.0\r\n\r\n", "x".repeat(500_000)]) {
        const [type, major, minor, , length, level] = await ask(spawnd.port, garbage);
        assertEquals([type, major, minor, length, level], [21, 3, 3, 2, 2]);
      }
      const { handshake, ended } = await spawnd.status();
      assertEquals([handshake, ended], [5, 0]);
    },
  );
}

testTls("--tls-min 1.3 refuses TLS 1.2, which is served otherwise", async () => {
  await using certificates = await Certificates.make();
  await using modern = await certificates.serve("--tls-min", "1.3", ...SHOW);
  assertMatch(await client(modern, "-tls1_2"), /alert protocol version/);
  assertMatch(await client(modern), /SSL_PROTOCOL=TLSv1.3/);
  await using usual = await certificates.serve(...SHOW);
  assertMatch(await client(usual, "-tls1_2"), /SSL_PROTOCOL=TLSv1.2/);
});

testTls("a client gets the certificate for the name it asks for, else the first", async () => {
  await using certificates = await Certificates.make();
  const identities = await Promise.all(
    ["first.example", "*.second.example", "third.example"].map((name) => certificates.issue(name)),
  );
  await using spawnd = await certificates.serveAs(identities, ...SHOW);
  const commonNameFor = async (...args: string[]) =>
    /^subject=.*CN = (.*)$/m.exec(await client(spawnd, ...args))?.[1];
  const named = (name: string) => commonNameFor("-servername", name);
  assertEquals(await named("third.example"), "third.example");
  assertEquals(await named("FIRST.example"), "first.example");
  assertEquals(await named("a.second.example"), "*.second.example");
  assertEquals(await named("a.b.second.example"), "first.example");
  assertEquals(await named("unknown.example"), "first.example");
  assertEquals(await commonNameFor("-noservername"), "first.example");
  await certificates.issue("third.example", { subject: "/CN=renewed" });
  spawnd.kill("SIGHUP");
  await spawnd.record({ message: "reloaded" });
  assertEquals(await named("third.example"), "renewed");
});

testTls(
  "a child that starts for its client is told of its TLS, a warm one by the PROXY header",
  async () => {
    await using certificates = await Certificates.make();
    const options = ["--alpn", "smtp", "--alpn", "echo"];
    const args = ["-servername", "localhost", "-alpn", "echo,smtp", "-tls1_3"];
    await using cold = await certificates.serve(...options, ...SHOW);
    assertMatch(
      await client(cold, ...args),
      /hello\nSSL_ALPN_PROTOCOL=smtp\nSSL_CIPHER=TLS_\w+\nSSL_CLIENT_S_DN=\nSSL_CLIENT_VERIFY=NONE\nSSL_PROTOCOL=TLSv1.3\nSSL_TLS_SNI=localhost\n/,
    );
    await using warm = await certificates.serve(
      ...[...options, "--warm", "1", "--send-proxy", "2", "--", "head", "-c", "90"],
    );
    const header = await client(warm, ...args);
    assert(header.includes("\x01\0\x04smtp\x02\0\x09localhost\x20\0"), JSON.stringify(header));
    assert(header.includes("\x21\0\x07TLSv1.3\x23\0"), JSON.stringify(header));
  },
);

for (const version of ["-tls1_2", "-tls1_3"]) {
  testTls(
    `--client-ca serves only clients with a certificate of its own (${version})`,
    async () => {
      await using certificates = await Certificates.make();
      const [authority, stranger] = await Promise.all(
        ["authority", "stranger"].map((name) => certificates.issue(name, { isAuthority: true })),
      );
      const issue = (
        name: string,
        issuer: Identity,
        usage: "serverAuth" | "clientAuth",
        days = 2,
      ) =>
        certificates.issue(name, {
          issuer,
          usage,
          days,
          subject: `/DC=org/DC=x/O=a, b/CN=${name}`,
        });
      const alice = await issue("alice", authority!, "clientAuth");
      await using spawnd = await certificates.serve("--client-ca", authority!.cert, ...SHOW);
      const show = ({ cert, key }: Identity) =>
        client(spawnd, version, "-cert", cert, "-key", key, "-sess_out", `${cert}.session`);
      const resumed = ({ cert }: Identity) =>
        client(spawnd, version, "-sess_in", `${cert}.session`);

      const subject = String.raw`CN=alice,O=a\, b,DC=x,DC=org`;
      const expected = `SSL_CLIENT_S_DN=${subject}\nSSL_CLIENT_VERIFY=SUCCESS\n`;
      const answer = await show(alice);
      assert(answer.includes(expected), answer);
      await spawnd.record({ message: "open", subject });
      const again = await resumed(alice);
      assert(again.includes(expected) && again.includes("Reused, "), again);

      const others = {
        "another issuer": await issue("mallory", stranger!, "clientAuth"),
        "another usage": await issue("server", authority!, "serverAuth"),
        "expired": await issue("late", authority!, "clientAuth", -1),
        "a long name": await certificates.issue("long", {
          ...{ issuer: authority!, usage: "clientAuth" },
          subject: "/OU=" + Array(90).fill("x".repeat(60)).join("/OU="),
        }),
        "self-signed": await certificates.issue("self", { usage: "clientAuth" }),
      };
      for (const [name, identity] of Object.entries(others)) {
        assert(!(await show(identity)).includes("SSL_CLIENT"), name);
        assert(!(await resumed(identity)).includes("SSL_CLIENT"), `${name}, resumed`);
      }
      assertMatch(await client(spawnd, version), /alert (certificate required|handshake failure)/);
      const { ended, handshake } = await spawnd.status();
      assertEquals([ended, handshake], [2, 11]);

      const pems = await Promise.all(
        [authority, stranger].map((ca) => Deno.readTextFile(ca!.cert)),
      );
      const reload = async (pem: string) => {
        const count = spawnd.records({ message: "reloaded" }).length;
        await Deno.writeTextFile(authority!.cert, pem);
        spawnd.kill("SIGHUP");
        await until("it", () => spawnd.records({ message: "reloaded" }).length > count);
      };
      const [server, mallory] = [others["another usage"], others["another issuer"]];
      const isServed = async (identity: Identity) =>
        (await resumed(identity)).includes("SSL_CLIENT_VERIFY=SUCCESS");
      await reload(pems.join(""));
      assert(await isServed(alice), "all authorities are still there");
      assert(!await isServed(server), "never verified");
      assertMatch(await show(mallory), /SSL_CLIENT_S_DN=CN=mallory/);
      await reload(pems[0]!);
      assert(await isServed(alice), "one of those that are left has issued it");
      assert(!await isServed(mallory), "its authority is gone");
      assert(!await isServed(server), "never verified");
      const impostor = await certificates.issue("impostor", {
        ...{ isAuthority: true, subject: "/O=Tests/CN=authority" },
      });
      await reload(await Deno.readTextFile(impostor.cert));
      assert(!await isServed(alice), "issued by another one of the same name");
    },
  );
}

testTls("TLS takes no permission but for its address and its files", async () => {
  await using certificates = await Certificates.make();
  const { cert, key, folder } = certificates;
  using free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${free.addr.port}`;
  free.close();
  await using spawnd = await Spawnd.startWith(
    [`--allow-net=${address}`, "--allow-run", `--allow-read=${folder}`],
    ...["--port", address.split(":")[1]!, "--cert", cert, "--key", key, "--", "cat"],
  );
  assertEquals(await certificates.ask(spawnd, "hello"), "hello");
  const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
  const before = await descriptors();
  using _conn = await certificates.connect(spawnd);
  await spawnd.record({ message: "open", id: 2 });
  assertEquals(await descriptors() - before, 4, "its socket, and its child's pipes");
});

testWith(
  "openssl curl",
  "openssl curl",
  "curl gets a page over TLS, by HTTP/1.1 and ALPN",
  async () => {
    await using certificates = await Certificates.make();
    const page =
      'read -r request; printf "HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\nhi\\n"';
    await using spawnd = await certificates.serve("--alpn", "http/1.1", "--", "sh", "-c", page);
    const { stdout, stderr } = await new Deno.Command("curl", {
      args: ["-sSv", "--cacert", certificates.cert, `https://localhost:${spawnd.port}/`],
    }).output();
    assertEquals(text(stdout), "hi\n", text(stderr));
    assertMatch(text(stderr), /ALPN.* http\/1\.1/);
  },
);

testWith(
  "openssl python3",
  "openssl python3",
  "Python's client works, and resumes its session",
  async () => {
    await using certificates = await Certificates.make();
    await using spawnd = await certificates.serve("--", "cat");
    const script = `
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
session = None
for i in range(2):
    with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as plain:
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as tls:
            tls.sendall(b"x" * 300000 + b"\\n")
            print(len(tls.makefile("rb").readline()), tls.session_reused)
            session = tls.session
            tls.unwrap()
`;
    const { stdout, stderr } = await new Deno.Command("python3", {
      args: ["-c", script, certificates.cert, `${spawnd.port}`],
    }).output();
    assertEquals(text(stdout), "300001 False\n300001 True\n", text(stderr));
    await until("both ends", () => spawnd.records({ reason: "client-closed" }).length === 2);
  },
);
