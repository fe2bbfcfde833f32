/**
 * The certificate for the rows with TLS.
 *
 * @module
 */

import type { Certificate } from "./servers.ts";

/** Makes a certificate for `localhost` that signs itself; `undefined` without openssl. */
export async function makeCertificate(folder: string): Promise<Certificate | undefined> {
  const [cert, key] = [`${folder}/cert.pem`, `${folder}/key.pem`];
  const openssl = new Deno.Command("openssl", {
    args: [
      ..."req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 2".split(" "),
      ...["-keyout", key, "-out", cert, "-subj", "/CN=localhost"],
      ..."-addext subjectAltName=DNS:localhost -addext basicConstraints=CA:FALSE".split(" "),
    ],
  });
  try {
    const { success, stderr } = await openssl.output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  return { cert, key, pem: await Deno.readTextFile(cert) };
}
