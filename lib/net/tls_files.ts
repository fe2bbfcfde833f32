/**
 * The files of TLS: certificates and keys in PEM, checked before anything is served with them. The
 * engine itself takes what does not fit together, and fails only when a client comes (seen on Deno
 * 2.9).
 *
 * @module
 */

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import type { Warning } from "../base/warning.ts";

/** A certificate, with its chain and its key. */
export interface Identity {
  /** The certificate chain, in PEM. */
  readonly cert: string;
  /** Its private key, in PEM. */
  readonly key: string;
  /** The host names that it is for, in lower case. */
  readonly names: readonly string[];
  /** What deserves a warning. */
  readonly warnings: readonly Warning[];
}

/** The largest file that is read. */
const MAX_BYTES = 1024 * 1024;

const CHAIN_ORDER = "Put the server's first, then those that have issued it";
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
const KEY = /-----BEGIN ((?:[A-Z]+ )*PRIVATE KEY)-----[^]*?-----END \1-----/;

/**
 * Reads a certificate chain and its key.
 *
 * @throws A file cannot be read or has something else in it, or the two do not belong together. The
 * message names the file.
 */
export function readIdentity(certFile: string, keyFile: string): Identity {
  const cert = readFile(certFile);
  const [leaf, ...issuers] = parseCertificates(cert, certFile);
  const key = keyIn(readFile(keyFile), keyFile);
  const privateKey = parseKey(key, keyFile);
  if (!leaf!.checkPrivateKey(privateKey)) {
    if (issuers.some((one) => one.checkPrivateKey(privateKey))) {
      throw new Error(
        `${certFile} begins with another certificate than that of ${keyFile}. ${CHAIN_ORDER}`,
      );
    }
    throw new Error(`the key in ${keyFile} does not belong to the certificate in ${certFile}`);
  }
  const [from, to] = [leaf!.validFrom, leaf!.validTo].map((date) => new Date(date));
  const now = new Date();
  const dates = { file: certFile, from: from!.toISOString(), to: to!.toISOString() };
  const warnings: Warning[] = now < from! || now > to!
    ? [["the certificate is not valid today", dates]]
    : [];
  const names = leaf!.subjectAltName?.toLowerCase().matchAll(/dns:([^\s,]+)/g) ?? [];
  return { cert, key, names: Array.from(names, ([, name]) => name!), warnings };
}

/**
 * Reads the certificates that others are verified with.
 *
 * @throws The file cannot be read or has something else in it. The message names it.
 */
export function readAuthorities(file: string): X509Certificate[] {
  return parseCertificates(readFile(file), file);
}

/** What a file has in it. A pipe or a device would keep all clients waiting. */
function readFile(path: string): string {
  try {
    const { isFile, isDirectory, size } = Deno.statSync(path);
    if (isDirectory) throw new Error(`${path} is a folder`);
    if (!isFile) throw new Error(`${path} is no regular file`);
    if (size > MAX_BYTES) throw new Error(`${path} is larger than 1 MiB`);
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new Error(`there is no file ${path}`);
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new Error(`the permissions of ${path} do not allow this user to read it`);
    }
    throw error;
  }
}

function parseCertificates(text: string, file: string): X509Certificate[] {
  const blocks = text.match(CERTIFICATE);
  if (blocks === null) {
    throw new Error(`${file} has no certificate in PEM in it${lookAt(text, file, "x509")}`);
  }
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new Error(`${file} has a damaged certificate in it`);
    }
  });
}

/** A private key in PEM; the file may have its certificate in it too. */
function keyIn(text: string, file: string): string {
  const [key] = KEY.exec(text) ?? [];
  if (key !== undefined) return key;
  throw new Error(`${file} has no private key in PEM in it${lookAt(text, file, "pkey")}`);
}

function parseKey(key: string, file: string): KeyObject {
  if (key.includes("ENCRYPTED")) {
    throw new Error(
      `the key in ${file} is encrypted, and a server cannot ask for its passphrase. ` +
        `Decrypt it with: openssl pkey -in ${file} -out FILE`,
    );
  }
  try {
    return createPrivateKey(key);
  } catch {
    throw new Error(`${file} has a damaged private key in it`);
  }
}

/** What a file has in it instead, and what to do about it, if that can be told. */
function lookAt(text: string, file: string, command: "x509" | "pkey"): string {
  const [, found] = /-----BEGIN ([A-Z0-9 ]+)-----/.exec(text) ?? [];
  if (found !== undefined) {
    const [own, other] = command === "x509"
      ? ["CERTIFICATE", "PRIVATE KEY"]
      : ["PRIVATE KEY", "CERTIFICATE"];
    if (found.endsWith(own)) return ": its end is missing";
    return `, but a ${found.toLowerCase()}` +
      (found.endsWith(other) ? ". Are certificate and key exchanged?" : "");
  }
  if (text === "") return ": it is empty";
  return /^0[\x80-\x84\ufffd]/.test(text) // a sequence in DER
    ? `. Convert it with: openssl ${command} -inform der -in ${file} -out FILE`
    : "";
}
