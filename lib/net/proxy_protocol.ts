/**
 * The PROXY protocol, versions 1 and 2, read and written: how a proxy tells, ahead of a connection's
 * bytes, whose they are. Names and numbers are those of HAProxy's specification, "The PROXY protocol,
 * versions 1 & 2".
 *
 * A header comes from whoever connects, so all of it is checked, and it is never waited for beyond
 * the longest there can be.
 *
 * @module
 */

import { formatAddress, parseAddress, type SocketAddress, unmapIPv4 } from "./address.ts";
import type { Source } from "../base/relay.ts";

/** What a header says: both ends of the proxy's own connection, or nothing about them. */
export interface ProxyHeader {
  /** Who connected to the proxy; not known for its own checks (LOCAL), UNKNOWN and Unix sockets. */
  readonly source?: SocketAddress;
  /** Where to; known where `source` is. */
  readonly destination?: SocketAddress;
}

/** Bytes that are no PROXY header; the message says why. */
export class ProxyHeaderError extends Error {
  override readonly name = "ProxyHeaderError";
}

const encoder = new TextEncoder();

/** The longest header of version 1, its end of line included. */
const MAX_V1_BYTES = 107;
/**
 * The longest header of version 2 that is read here. The format goes up to 64 KiB; nothing real
 * comes near, and nginx draws the line at the same place.
 */
const MAX_V2_BYTES = 4096;
/** What a header of version 2 begins with: no text does. */
const SIGNATURE = Uint8Array.of(13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10);
const PREFIX = encoder.encode("PROXY ");
/** The size of the fixed part of version 2: signature, command, family and length. */
const FIXED = 16;

/** Commands of version 2, with the version: the proxy itself connects, or does so for somebody. */
const LOCAL = 0x20;
const PROXY = 0x21;
/** Families of version 2: address family and transport (TCP is 1), and the size of their addresses. */
const TCP4 = 0x11;
const TCP6 = 0x21;
/** Unspecified, UDP over IPv4 and IPv6, Unix stream and datagram: real, but no address for us. */
const ADDRESSLESS = [0x00, 0x12, 0x22, 0x31, 0x32];

/**
 * Reads a header, and not one byte less or more: what came behind it is returned too.
 *
 * @throws {ProxyHeaderError} The bytes are no header, or end before they are one.
 */
export async function readProxyHeader(
  source: Source,
): Promise<{ header: ProxyHeader; rest: Uint8Array<ArrayBuffer> }> {
  let bytes = new Uint8Array(0);
  for (;;) {
    const chunk = await source.read(new Uint8Array(MAX_V2_BYTES));
    if (chunk === null) throw new ProxyHeaderError("the connection ended before a PROXY header");
    const joined = new Uint8Array(bytes.length + chunk.length);
    joined.set(bytes);
    joined.set(chunk, bytes.length);
    bytes = joined;
    const parsed = parseProxyHeader(bytes);
    if (parsed) return { header: parsed.header, rest: bytes.slice(parsed.length) };
  }
}

/**
 * The header that `bytes` begin with, and its length; `undefined` while it is not complete.
 *
 * @throws {ProxyHeaderError} It never will be.
 */
export function parseProxyHeader(
  bytes: Uint8Array,
): { header: ProxyHeader; length: number } | undefined {
  if (hasPrefix(bytes, PREFIX)) return parseV1(bytes);
  if (hasPrefix(bytes, SIGNATURE)) return parseV2(bytes);
  throw new ProxyHeaderError("it does not begin with a PROXY header");
}

/** Whether the bytes there are, or as many as it takes, are those of `start`. */
function hasPrefix(bytes: Uint8Array, start: Uint8Array): boolean {
  return start.subarray(0, bytes.length).every((byte, index) => byte === bytes[index]);
}

function parseV1(bytes: Uint8Array): { header: ProxyHeader; length: number } | undefined {
  const end = bytes.subarray(0, MAX_V1_BYTES).indexOf(10);
  if (end < 0) {
    if (bytes.length < MAX_V1_BYTES) return undefined;
    throw new ProxyHeaderError(`its PROXY line is longer than ${MAX_V1_BYTES} bytes`);
  }
  const line = new TextDecoder("latin1").decode(bytes.subarray(0, end + 1));
  if (/^PROXY UNKNOWN( [^\r\n]*)?\r\n$/.test(line)) return { header: {}, length: end + 1 };
  const [, family, ...fields] =
    /^PROXY TCP([46]) ([^ ]+) ([^ ]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n$/.exec(line) ?? [];
  const [from, to] = fields.slice(0, 2).map((text) => parseAddress(text));
  const [fromPort, toPort] = fields.slice(2).map(Number);
  const size = family === "4" ? 4 : 16;
  if (from?.length !== size || to?.length !== size || fromPort! > 65535 || toPort! > 65535) {
    throw new ProxyHeaderError("its PROXY line is malformed");
  }
  return { header: headerOf(from, fromPort!, to, toPort!), length: end + 1 };
}

function parseV2(bytes: Uint8Array): { header: ProxyHeader; length: number } | undefined {
  if (bytes.length < FIXED) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [command, family] = [view.getUint8(12), view.getUint8(13)];
  const length = FIXED + view.getUint16(14);
  if (command !== LOCAL && command !== PROXY) {
    throw new ProxyHeaderError("its PROXY header has an unknown version or command");
  }
  if (length > MAX_V2_BYTES) {
    throw new ProxyHeaderError(`its PROXY header is longer than ${MAX_V2_BYTES} bytes`);
  }
  if (bytes.length < length) return undefined;
  if (command === LOCAL || ADDRESSLESS.includes(family)) return { header: {}, length };
  const size = family === TCP4 ? 4 : family === TCP6 ? 16 : undefined;
  if (size === undefined) throw new ProxyHeaderError("its PROXY header has an unknown family");
  const ports = FIXED + 2 * size;
  if (length < ports + 4) {
    throw new ProxyHeaderError("its PROXY header is too short for its addresses");
  }
  const from = bytes.subarray(FIXED, FIXED + size);
  const to = bytes.subarray(FIXED + size, ports);
  return {
    header: headerOf(from, view.getUint16(ports), to, view.getUint16(ports + 2)),
    length, // extensions (TLVs) up to there are skipped
  };
}

function headerOf(from: Uint8Array, fromPort: number, to: Uint8Array, toPort: number): ProxyHeader {
  return {
    source: unmapIPv4({ hostname: formatAddress(from), port: fromPort }),
    destination: unmapIPv4({ hostname: formatAddress(to), port: toPort }),
  };
}

/**
 * A header to send, in version 1 (a line of text) or 2 (binary). Without both ends it says that they
 * are unknown.
 */
export function formatProxyHeader(
  version: number,
  { source, destination }: ProxyHeader,
): Uint8Array<ArrayBuffer> {
  if (!source || !destination) {
    return version === 1
      ? encoder.encode("PROXY UNKNOWN\r\n")
      : Uint8Array.of(...SIGNATURE, PROXY, 0, 0, 0);
  }
  const ends = [source, destination];
  const isV4 = ends.every(({ hostname }) => !hostname.includes(":"));
  const hostnames = ends.map(({ hostname }) =>
    isV4 || hostname.includes(":") ? hostname : `::ffff:${hostname}`
  );
  if (version === 1) {
    const ports = ends.map(({ port }) => port);
    return encoder.encode(
      `${["PROXY", isV4 ? "TCP4" : "TCP6", ...hostnames, ...ports].join(" ")}\r\n`,
    );
  }
  const addresses = hostnames.flatMap((hostname) => [...parseAddress(hostname)!]);
  const ports = ends.flatMap(({ port }) => [port >> 8, port & 255]);
  const length = addresses.length + ports.length;
  const family = isV4 ? TCP4 : TCP6;
  return Uint8Array.of(...SIGNATURE, PROXY, family, 0, length, ...addresses, ...ports);
}
