/**
 * The PROXY header (version 2 of HAProxy's specification, "The PROXY protocol"), from which a child
 * learns who its client is. It comes from spawnd, never from the client, so it is well-formed.
 *
 * @module
 */

import type { Address, ClientFacts, RequestFacts, TlsFacts } from "./client.ts";

/** How many bytes say how long the rest is. */
export const FIXED_BYTES = 16;

/** Types of a TLV, and of those in the one about TLS. */
const ALPN = 0x01;
const AUTHORITY = 0x02;
const SSL = 0x20;
const SSL_VERSION = 0x21;
const SSL_CN = 0x22;
const SSL_CIPHER = 0x23;
/** The target and the fields of the request for a WebSocket. */
const TARGET = 0xe0;
const FIELDS = 0xe1;
/** Flags of the TLV about TLS: the client spoke it, and has shown a certificate. */
const CLIENT_SSL = 0x01;
const CLIENT_CERT = 0x02 | 0x04;

type Bytes = Uint8Array<ArrayBuffer>;

/** How long the rest of a header is. */
export function restLength(fixed: Bytes): number {
  return uint16(fixed, 14);
}

/** What a header says. */
export function parseHeader(fixed: Bytes, rest: Bytes): ClientFacts {
  const size = { 1: 4, 2: 16 }[fixed[13]! >> 4]; // bytes of an address: IPv4, IPv6
  const tlvs = readTlvs(rest, size === undefined ? 0 : 2 * size + 4);
  const request = requestOf(tlvs);
  if (size === undefined) return { request };
  const endpoint = (index: number): Address => ({
    hostname: formatAddress(rest.subarray(index * size, (index + 1) * size)),
    port: uint16(rest, 2 * size + 2 * index),
  });
  return { remote: endpoint(0), local: endpoint(1), tls: tlsOf(tlvs), request };
}

function requestOf(tlvs: ReadonlyMap<number, Bytes>): RequestFacts | undefined {
  const [target, fields] = [tlvs.get(TARGET), tlvs.get(FIELDS)];
  if (target === undefined || fields === undefined) return undefined;
  const decoder = new TextDecoder();
  const lines = decoder.decode(fields).split("\n").slice(0, -1);
  const pairs = lines.map((line) => line.split(/: (.*)/s, 2) as [string, string]);
  return { target: decoder.decode(target), fields: new Map(pairs) };
}

function tlsOf(tlvs: ReadonlyMap<number, Bytes>): TlsFacts | undefined {
  const ssl = tlvs.get(SSL);
  if (ssl === undefined || !(ssl[0]! & CLIENT_SSL)) return undefined;
  const inner = readTlvs(ssl, 5);
  const isVerified = (ssl[0]! & CLIENT_CERT) !== 0 &&
    ssl.subarray(1, 5).every((byte) => byte === 0);
  const facts = {
    protocol: inner.get(SSL_VERSION),
    cipher: inner.get(SSL_CIPHER),
    serverName: tlvs.get(AUTHORITY),
    alpn: tlvs.get(ALPN),
    commonName: isVerified ? inner.get(SSL_CN) : undefined,
  };
  const decoder = new TextDecoder();
  const known = Object.entries(facts).filter(([, value]) => value !== undefined);
  return Object.fromEntries(known.map(([name, value]) => [name, decoder.decode(value)]));
}

/** The TLVs from `at` on, by type. */
function readTlvs(bytes: Bytes, at: number): Map<number, Bytes> {
  const values = new Map<number, Bytes>();
  while (at + 3 <= bytes.length) {
    const end = at + 3 + uint16(bytes, at + 1);
    values.set(bytes[at]!, bytes.subarray(at + 3, end));
    at = end;
  }
  return values;
}

function formatAddress(bytes: Bytes): string {
  const isMapped = bytes.length === 16 &&
    bytes.every((byte, index) => index >= 12 || byte === (index < 10 ? 0 : 255));
  if (bytes.length === 4 || isMapped) return bytes.subarray(-4).join(".");
  const groups = Array.from({ length: 8 }, (_, index) => uint16(bytes, 2 * index).toString(16));
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1); // as in RFC 5952
}

function uint16(bytes: Bytes, at: number): number {
  return bytes[at]! << 8 | bytes[at + 1]!;
}
