/**
 * The server's certificate and key: renewed while it runs, or unusable.
 */

import { assert, assertEquals } from "@std/assert";
import { Certificates, testTls } from "./_certificates.ts";
import { descriptorsOf } from "./_processes.ts";
import { receive, send, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { underLoad, until, untilSteady } from "./_waiting.ts";

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
  await spawnd.record({ message: "reloaded" });
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
  const errors = () => spawnd.records({ level: "ERROR", message: /^cannot reload/ });
  const breakages: (() => void | Promise<void>)[] = [
    () => Deno.writeTextFileSync(certificates.cert, "no certificate"),
    () => Deno.removeSync(certificates.key),
    () => Deno.writeTextFileSync(certificates.key, ""),
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
  await spawnd.record({ message: "reloaded" });
  assertEquals(await certificates.ask(spawnd, "hello"), "hello");
});

testTls("no client is lost while the certificate is renewed under load", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await certificates.serve("--", "cat");
  const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
  assertEquals(await certificates.ask(spawnd, "first"), "first");
  const before = await descriptors();
  let answers = 0;
  const hello = async () => {
    assertEquals(await certificates.ask(spawnd, "hello"), "hello");
    answers++;
  };
  await underLoad(4, hello, async () => {
    for (let i = 1; i <= 10; i++) {
      spawnd.kill("SIGHUP");
      const isRenewed = () => spawnd.records({ message: "reloaded" }).length === i;
      await until("it to be renewed", isRenewed);
      const goal = answers + 3;
      await until("some answers", () => answers >= goal);
    }
  });
  assert(answers >= 30, `${answers} answers`);
  assertEquals(await descriptors(), before);
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
  assertEquals(
    await lines(["--allow-net", "--allow-run"], ...files),
    [certificates.cert, certificates.key]
      .map((path) => `spawnd: Deno does not allow reading ${path}: add --allow-read=${path}`),
  );
  const all = ["--allow-net", "--allow-run", "--allow-read"];
  const complaint = async (cert: string, key: string, ...args: string[]) => {
    const [line, ...others] = await lines(all, "--cert", cert, "--key", key, ...args);
    assertEquals(others, []);
    return line!.replace("spawnd: Cannot speak TLS on 127.0.0.1:0: ", "");
  };
  const { cert, key, folder } = certificates;
  const other = await certificates.issue("other");
  const file = async (name: string, content: string) => {
    await Deno.writeTextFile(`${folder}/${name}`, content);
    return `${folder}/${name}`;
  };
  const empty = await file("empty", "");
  const [pem, keyPem] = [await Deno.readTextFile(cert), await Deno.readTextFile(key)];
  const chain = await file("chain.pem", await Deno.readTextFile(other.cert) + pem);
  const der = await file("der", "");
  await Deno.writeFile(der, Uint8Array.fromBase64(/-\n([^-]+)\n-/.exec(pem)![1]!));
  const damagedCert = await file("damaged.pem", pem.replace(/\n[^]{60}/, "\n"));
  const damagedKey = await file("damaged.key", keyPem.replace(/\n[^]{20}/, "\n"));
  const encrypted = await certificates.encryptKey();
  const weak = await certificates.unusual("secp256k1");
  const missing = "there is no file /no/such";
  assertEquals(await complaint("/no/such", key), missing);
  assertEquals(await complaint(cert, "/no/such"), missing);
  assertEquals(await complaint(cert, key, "--client-ca", "/no/such"), missing);
  assertEquals(
    await complaint(key, cert),
    `${key} has no certificate in PEM in it, but a private key. Are certificate and key exchanged?`,
  );
  assertEquals(
    await complaint(empty, key),
    `${empty} has no certificate in PEM in it: it is empty`,
  );
  assertEquals(
    await complaint(cert, key, "--client-ca", empty),
    `${empty} has no certificate in PEM in it: it is empty`,
  );
  assertEquals(
    await complaint(chain, key),
    `${chain} begins with another certificate than that of ${key}. ` +
      "Put the server's first, then those that have issued it",
  );
  assertEquals(
    await complaint(der, key),
    `${der} has no certificate in PEM in it. ` +
      `Convert it with: openssl x509 -inform der -in ${der} -out FILE`,
  );
  assertEquals(await complaint(folder, key), `${folder} is a folder`);
  assertEquals(await complaint(damagedCert, key), `${damagedCert} has a damaged certificate in it`);
  assertEquals(
    await complaint(cert, cert),
    `${cert} has no private key in PEM in it, but a certificate. Are certificate and key exchanged?`,
  );
  assertEquals(
    await complaint(cert, empty),
    `${empty} has no private key in PEM in it: it is empty`,
  );
  for (const [path, what] of [[cert, "certificate"], [key, "private key"]] as const) {
    const cut = await file("cut", (await Deno.readTextFile(path)).slice(0, 200));
    assertEquals(
      await (what === "certificate" ? complaint(cut, key) : complaint(cert, cut)),
      `${cut} has no ${what} in PEM in it: its end is missing`,
    );
  }
  assertEquals(await complaint(cert, damagedKey), `${damagedKey} has a damaged private key in it`);
  assertEquals(
    await complaint(cert, encrypted),
    `the key in ${encrypted} is encrypted, and a server cannot ask for its passphrase. ` +
      `Decrypt it with: openssl pkey -in ${encrypted} -out FILE`,
  );
  const mismatch = `the key in ${other.key} does not belong to the certificate in ${cert}`;
  assertEquals(await complaint(cert, other.key), mismatch);
  assertEquals(
    await complaint(cert, key, "--cert", cert, "--key", other.key),
    mismatch,
  );
  assertEquals(
    await complaint(weak.cert, weak.key),
    `TLS has no use for the key in ${weak.key}: unsupported protocol`,
  );
});

testTls("certificate and key may be in one file, in any order", async () => {
  await using certificates = await Certificates.make();
  const { cert, key, folder } = certificates;
  const [certPem, keyPem] = [await Deno.readTextFile(cert), await Deno.readTextFile(key)];
  for (const content of [certPem + keyPem, `a comment\n${keyPem}${certPem}`]) {
    const both = { cert: `${folder}/both.pem`, key: `${folder}/both.pem` };
    await Deno.writeTextFile(both.cert, content);
    await using spawnd = await certificates.serveAs([both], "--", "cat");
    assertEquals(await certificates.ask(spawnd, "hello"), "hello");
  }
});

testTls("a certificate that has expired is served with a warning", async () => {
  await using certificates = await Certificates.make();
  const expired = await certificates.issue("localhost", { days: -1 });
  await using spawnd = await certificates.serveAs([certificates, expired], "--", "cat");
  const file = expired.cert;
  await spawnd.record({ level: "WARN", message: "the certificate is not valid today", file });
  assertEquals(await certificates.ask(spawnd, "hello"), "hello");
  assertEquals(spawnd.records({ level: "WARN" }).length, 1);
});
