/**
 * Reads and writes PROXY protocol headers, versions 1 and 2. A proxy sends one ahead of a
 * connection's bytes to name the client they come from. Names and numbers are those of HAProxy's
 * specification, "The PROXY protocol, versions 1 & 2".
 *
 * A header is untrusted input. Every part of it must be checked, and reading must not wait for more
 * bytes than the longest valid header has.
 *
 * @module
 */

import { formatAddress, parseAddress, unmapIPv4 } from "./address.ts";
import type { Source } from "../base/relay.ts";
import type { ClientFacts, RequestFacts, TlsFacts } from "./client_facts.ts";

/**
 * What a header says: both endpoints of the client's connection to the proxy, and what else is known
 * of it; or nothing, for the proxy's own checks (LOCAL), UNKNOWN and Unix sockets.
 */
export type ProxyHeader = Pick<ClientFacts, "source" | "destination" | "extensions">;

/** The bytes are not a valid PROXY header. The message says why. */
export class ProxyHeaderError extends Error {
  override readonly name = "ProxyHeaderError";
}

const encoder = new TextEncoder();

/** The longest header of version 1, including its line ending. */
const MAX_V1_BYTES = 107;
/**
 * The longest header of version 2 that is accepted. The format allows 64 KiB, but no real header
 * comes near this limit, and nginx has the same one.
 */
const MAX_V2_BYTES = 4096;
/** The start of a header of version 2, which no text protocol starts with. */
const V2_SIGNATURE = Uint8Array.of(13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10);
const V1_PREFIX = encoder.encode("PROXY ");
/** The fixed part of version 2: signature, command, family and length. */
const V2_FIXED_BYTES = 16;

/** Version and command of version 2: the proxy connects for itself, or on behalf of a client. */
const LOCAL = 0x20;
const PROXY = 0x21;
/** Families of version 2: address family and transport (TCP is 1). */
const TCP4 = 0x11;
const TCP6 = 0x21;
const UNSPECIFIED = 0x00;
/** Valid, but without a TCP address: unspecified, UDP (IPv4, IPv6), Unix (stream, datagram). */
const ADDRESSLESS = [UNSPECIFIED, 0x12, 0x22, 0x31, 0x32];

/** Types of a TLV, and of those in the one about TLS. */
const TLV = {
  ALPN: 0x01,
  AUTHORITY: 0x02,
  CRC32C: 0x03,
  NOOP: 0x04,
  SSL: 0x20,
  SSL_VERSION: 0x21,
  SSL_CN: 0x22,
  SSL_CIPHER: 0x23,
  /** Two of those for applications: the target and the fields of the request for a WebSocket. */
  TARGET: 0xe0,
  FIELDS: 0xe1,
} as const;
/** Flags of the TLV about TLS: the client spoke it, and has shown a certificate. */
const CLIENT_SSL = 0x01;
const CLIENT_CERT = 0x02 | 0x04; // on this connection, in this session
const TLV_FIXED_BYTES = 3;

/**
 * Reads a header. Bytes that were read with it but follow it are returned as `rest`.
 *
 * @param isOptional Whether there may be none: the header is empty then.
 * @throws {ProxyHeaderError} The bytes are not a valid header, or end before it is complete.
 * @throws Whatever a read throws.
 */
export async function readProxyHeader(
  source: Source,
  isOptional = false,
): Promise<{ header: ProxyHeader; rest: Uint8Array<ArrayBuffer> }> {
  let bytes = new Uint8Array(0);
  for (;;) {
    const chunk = await source.read(new Uint8Array(MAX_V2_BYTES));
    if (chunk === null) {
      throw new ProxyHeaderError("the connection ended before the end of a PROXY header");
    }
    const joined = new Uint8Array(bytes.length + chunk.length);
    joined.set(bytes);
    joined.set(chunk, bytes.length);
    bytes = joined;
    if (isOptional && !isProxyHeader(bytes)) return { header: {}, rest: bytes };
    const parsed = parseProxyHeader(bytes);
    if (parsed) return { header: parsed.header, rest: bytes.slice(parsed.length) };
  }
}

/**
 * The header at the start of `bytes`, and its length; `undefined` while it is incomplete.
 *
 * @throws {ProxyHeaderError} The bytes are not the start of a valid header.
 */
export function parseProxyHeader(
  bytes: Uint8Array,
): { header: ProxyHeader; length: number } | undefined {
  if (hasPrefix(bytes, V1_PREFIX)) return parseV1(bytes);
  if (hasPrefix(bytes, V2_SIGNATURE)) return parseV2(bytes);
  throw new ProxyHeaderError("the connection does not start with a PROXY header");
}

/** Whether `bytes` are, or may become, the start of a header. */
function isProxyHeader(bytes: Uint8Array): boolean {
  return hasPrefix(bytes, V1_PREFIX) || hasPrefix(bytes, V2_SIGNATURE);
}

/** Whether `bytes` start with `prefix`, or with as much of it as they are long. */
function hasPrefix(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return prefix.subarray(0, bytes.length).every((byte, index) => byte === bytes[index]);
}

function parseV1(bytes: Uint8Array): { header: ProxyHeader; length: number } | undefined {
  const end = bytes.subarray(0, MAX_V1_BYTES).indexOf(10);
  if (end < 0) {
    if (bytes.length < MAX_V1_BYTES) return undefined;
    throw new ProxyHeaderError(`the PROXY line is longer than ${MAX_V1_BYTES} bytes`);
  }
  const line = new TextDecoder("latin1").decode(bytes.subarray(0, end + 1));
  if (/^PROXY UNKNOWN( [^\r\n]*)?\r\n$/.test(line)) return { header: {}, length: end + 1 };
  const [, family, ...fields] =
    /^PROXY TCP([46]) ([^ ]+) ([^ ]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n$/.exec(line) ?? [];
  const [from, to] = fields.slice(0, 2).map((text) => parseAddress(text));
  const [fromPort, toPort] = fields.slice(2).map(Number);
  const size = family === "4" ? 4 : 16;
  if (from?.length !== size || to?.length !== size || fromPort! > 65535 || toPort! > 65535) {
    throw new ProxyHeaderError("the PROXY line is malformed");
  }
  return { header: headerOf(from, fromPort!, to, toPort!), length: end + 1 };
}

function parseV2(bytes: Uint8Array): { header: ProxyHeader; length: number } | undefined {
  if (bytes.length < V2_FIXED_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [command, family] = [view.getUint8(12), view.getUint8(13)];
  const length = V2_FIXED_BYTES + view.getUint16(14);
  if (command !== LOCAL && command !== PROXY) {
    throw new ProxyHeaderError("the PROXY header has an unknown version or command");
  }
  if (length > MAX_V2_BYTES) {
    throw new ProxyHeaderError(`the PROXY header is longer than ${MAX_V2_BYTES} bytes`);
  }
  if (bytes.length < length) return undefined;
  if (command === LOCAL || ADDRESSLESS.includes(family)) return { header: {}, length };
  const size = family === TCP4 ? 4 : family === TCP6 ? 16 : undefined;
  if (size === undefined) throw new ProxyHeaderError("the PROXY header has an unknown family");
  const ports = V2_FIXED_BYTES + 2 * size;
  if (length < ports + 4) {
    throw new ProxyHeaderError("the PROXY header is too short for its addresses");
  }
  const from = bytes.subarray(V2_FIXED_BYTES, V2_FIXED_BYTES + size);
  const to = bytes.subarray(V2_FIXED_BYTES + size, ports);
  const extensions = bytes.slice(ports + 4, length);
  for (const tlv of tlvsOf(extensions)) {
    if (tlv === undefined) throw new ProxyHeaderError("the PROXY header ends within a TLV");
  }
  return {
    header: {
      ...headerOf(from, view.getUint16(ports), to, view.getUint16(ports + 2)),
      ...(extensions.length > 0 && { extensions }),
    },
    length,
  };
}

/** Each TLV, with its type and length; `undefined` for one that is not complete. */
function* tlvsOf(bytes: Uint8Array): Generator<Uint8Array | undefined> {
  for (let at = 0; at < bytes.length;) {
    const length = TLV_FIXED_BYTES + (bytes[at + 1]! << 8 | bytes[at + 2]!);
    const end = at + length;
    yield end <= bytes.length ? bytes.subarray(at, end) : undefined; // NaN: not even a length
    at = end <= bytes.length ? end : bytes.length;
  }
}

function headerOf(from: Uint8Array, fromPort: number, to: Uint8Array, toPort: number): ProxyHeader {
  return {
    source: unmapIPv4({ hostname: formatAddress(from), port: fromPort }),
    destination: unmapIPv4({ hostname: formatAddress(to), port: toPort }),
  };
}

/**
 * Formats a header of version 1 (a line of text) or 2 (binary). Without both endpoints it says that
 * they are unknown. Version 2 also says what is known of the client's TLS and of the request for its
 * WebSocket, and passes on what a proxy has said.
 */
export function formatProxyHeader(version: number, facts: ClientFacts): Uint8Array<ArrayBuffer> {
  const { source, destination } = facts;
  const endpoints = source && destination ? [source, destination] : [];
  const isV4 = endpoints.every(({ hostname }) => !hostname.includes(":"));
  const hostnames = endpoints.map(({ hostname }) =>
    isV4 || hostname.includes(":") ? hostname : `::ffff:${hostname}`
  );
  if (version === 1) {
    const ports = endpoints.map(({ port }) => port);
    const family = isV4 ? "TCP4" : "TCP6";
    const words = endpoints.length > 0 ? [family, ...hostnames, ...ports] : ["UNKNOWN"];
    return encoder.encode(`PROXY ${words.join(" ")}\r\n`);
  }
  const family = endpoints.length === 0 ? UNSPECIFIED : isV4 ? TCP4 : TCP6;
  const rest = [
    ...hostnames.flatMap((hostname) => [...parseAddress(hostname)!]),
    ...endpoints.flatMap(({ port }) => uint16(port)),
    ...formatExtensions(facts),
  ];
  return Uint8Array.of(...V2_SIGNATURE, PROXY, family, ...uint16(rest.length), ...rest);
}

/** The TLVs of a client. What was said of TLS on the way to a proxy gives way to what is known here. */
function formatExtensions({ extensions = new Uint8Array(), tls, request }: ClientFacts): number[] {
  const replaced: number[] = [TLV.CRC32C, TLV.NOOP]; // the checksum was that of another header
  if (request) replaced.push(TLV.TARGET, TLV.FIELDS);
  if (tls) replaced.push(TLV.ALPN, TLV.AUTHORITY, TLV.SSL);
  const passedOn = [...tlvsOf(extensions)].filter((tlv) => !replaced.includes(tlv![0]!));
  const own = [...(tls ? formatTls(tls) : []), ...(request ? formatRequest(request) : [])];
  return [...own, ...passedOn.flatMap((tlv) => [...tlv!])];
}

function formatTls({ protocol, cipher, serverName, alpn, client }: TlsFacts): number[] {
  const commonName = client?.commonName;
  return [
    ...(alpn ? formatTlv(TLV.ALPN, encoder.encode(alpn)) : []),
    ...(serverName ? formatTlv(TLV.AUTHORITY, encoder.encode(serverName)) : []),
    ...formatTlv(TLV.SSL, [
      CLIENT_SSL | (client ? CLIENT_CERT : 0),
      ...[0, 0, 0, 0], // the certificate has been verified, or none was asked for
      ...formatTlv(TLV.SSL_VERSION, encoder.encode(protocol)),
      ...formatTlv(TLV.SSL_CIPHER, encoder.encode(cipher)),
      ...(commonName ? formatTlv(TLV.SSL_CN, encoder.encode(commonName)) : []),
    ]),
  ];
}

/** The fields are lines, each `name: value`. */
function formatRequest({ target, fields }: RequestFacts): number[] {
  const lines = [...fields].map(([name, value]) => `${name}: ${value}\n`).join("");
  return [
    ...formatTlv(TLV.TARGET, encoder.encode(target)),
    ...formatTlv(TLV.FIELDS, encoder.encode(lines)),
  ];
}

function formatTlv(type: number, value: Iterable<number>): number[] {
  const bytes = [...value];
  return [type, ...uint16(bytes.length), ...bytes];
}

function uint16(value: number): [number, number] {
  return [value >> 8, value & 255];
}
