/**
 * A certificate made for a test of TLS, and servers and clients that use it.
 *
 * @module
 */

import { assert } from "@std/assert";
import { receiveAll, send, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";
import { within } from "./_waiting.ts";

/** The paths of a certificate and its key. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

async function openssl(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", { args }).output();
  assert(success, text(stderr));
}

/** A folder with a certificate for `localhost`, and servers and clients that use it. */
export class Certificates implements AsyncDisposable, Identity {
  private constructor(readonly folder: string) {}

  static async make(): Promise<Certificates> {
    const certificates = new Certificates(await Deno.makeTempDir());
    await certificates.renew("first");
    return certificates;
  }

  /** Replaces the certificate and its key. */
  async renew(organization: string): Promise<void> {
    await openssl(
      ..."req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 2".split(" "),
      ...["-keyout", this.key, "-out", this.cert, "-subj", `/CN=localhost/O=${organization}`],
      ..."-addext subjectAltName=DNS:localhost -addext basicConstraints=CA:FALSE".split(" "),
    );
  }

  get cert(): string {
    return `${this.folder}/cert.pem`;
  }

  get key(): string {
    return `${this.folder}/key.pem`;
  }

  /** Starts a server with this certificate. */
  serve(...args: string[]): Promise<Spawnd> {
    return this.serveAs([this], ...args);
  }

  /** Starts a server with these certificates, which are in the folder. */
  serveAs(identities: readonly Identity[], ...args: string[]): Promise<Spawnd> {
    return Spawnd.startWith(
      ["--allow-net", "--allow-run", `--allow-read=${this.folder}`],
      ...identities.flatMap(({ cert, key }) => ["--cert", cert, "--key", key]),
      ...args,
    );
  }

  /**
   * Issues a certificate, and returns the paths of it and its key.
   *
   * @param name Its common name, and a name of the host it is for.
   * @param issuer Whose certificate it is issued with; by default its own.
   */
  async issue(
    name: string,
    {
      issuer,
      usage = "serverAuth",
      isAuthority = false,
      days = 2,
      subject = `/O=Tests/CN=${name}`,
    }:
      & { issuer?: Identity; usage?: "serverAuth" | "clientAuth"; isAuthority?: boolean }
      & { days?: number; subject?: string } = {},
  ): Promise<Identity> {
    const file = `${this.folder}/${name.replace("*", "any")}`;
    const identity = { cert: `${file}.pem`, key: `${file}.key` };
    const request = `${file}.csr`;
    await openssl(
      ..."req -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -utf8".split(" "),
      ...["-keyout", identity.key, "-out", request, "-subj", subject],
    );
    const extensions = `${file}.ext`;
    await Deno.writeTextFile(
      extensions,
      `basicConstraints=CA:${isAuthority ? "TRUE" : "FALSE"}\n` +
        (isAuthority ? "" : `extendedKeyUsage=${usage}\nsubjectAltName=DNS:${name}\n`),
    );
    await openssl(
      ...["x509", "-req", "-in", request, "-out", identity.cert, "-days", `${days}`],
      ...(issuer
        ? ["-CA", issuer.cert, "-CAkey", issuer.key, "-CAcreateserial"]
        : ["-signkey", identity.key]),
      ...["-extfile", extensions],
    );
    return identity;
  }

  /** Encrypts a copy of the key, and returns its path. */
  async encryptKey(): Promise<string> {
    const path = `${this.folder}/encrypted.key`;
    await openssl(..."pkey -aes128 -passout pass:secret -in".split(" "), this.key, "-out", path);
    return path;
  }

  /** Issues a certificate with a key on another curve. */
  async unusual(curve: string): Promise<Identity> {
    const identity = { cert: `${this.folder}/${curve}.pem`, key: `${this.folder}/${curve}.key` };
    await openssl(
      ..."req -x509 -nodes -newkey ec -subj /CN=localhost -pkeyopt".split(" "),
      ...[`ec_paramgen_curve:${curve}`, "-keyout", identity.key, "-out", identity.cert],
    );
    return identity;
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

/** Declares a test that needs openssl. */
export function testTls(name: string, fn: () => Promise<void>): void {
  testWith("openssl", "openssl", name, fn);
}
