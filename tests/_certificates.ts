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

/** A folder with a certificate for `localhost`, and servers and clients that use it. */
export class Certificates implements AsyncDisposable {
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

/** Declares a test that needs openssl. */
export function testTls(name: string, fn: () => Promise<void>): void {
  testWith("openssl", "openssl", name, fn);
}
