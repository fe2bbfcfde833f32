/**
 * IP addresses as text and as bytes, and sets of networks to match them against.
 *
 * An IPv6 socket shows an IPv4 client as `::ffff:192.0.2.1` (RFC 4291, section 2.5.5.2). It is the
 * same client as on an IPv4 socket, so spawnd always writes `192.0.2.1`.
 *
 * @module
 */

import type { BlockList } from "node:net";

/** One endpoint of a connection over IP. */
export interface SocketAddress {
  /** The address, IPv4 or IPv6. */
  readonly hostname: string;
  /** The port. */
  readonly port: number;
}

/** Formats as `127.0.0.1:9527` or `[::1]:9527` (RFC 3986, section 3.2.2). */
export function formatSocketAddress({ hostname, port }: SocketAddress): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/** Converts an IPv4-mapped address to plain IPv4; returns any other as it is. */
export function unmapIPv4({ hostname, port }: SocketAddress): SocketAddress {
  return { hostname: hostname.replace(/^::ffff:(?=\d+\.)/i, ""), port };
}

/**
 * The bytes of an address: 4 for IPv4, 16 for IPv6; `undefined` if `text` is not an address.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseAddress } from "./address.ts";
 *
 * assertEquals(parseAddress("192.0.2.1"), Uint8Array.of(192, 0, 2, 1));
 * ```
 */
export function parseAddress(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (/^\d+(?:\.\d+){3}$/.test(text)) {
    const isCanonical = URL.parse(`http://${text}`)?.hostname === text; // no 127.1, no 0x7f
    return isCanonical ? Uint8Array.from(text.split("."), Number) : undefined;
  }
  if (!/^[\da-f:.]+$/i.test(text)) return undefined;
  const canonical = URL.parse(`http://[${text}]`)?.hostname.slice(1, -1);
  if (canonical === undefined) return undefined;
  const [head = [], tail = []] = canonical.split("::").map((part) =>
    part.split(":").filter(Boolean)
  );
  const zeros = Array<string>(8 - head.length - tail.length).fill("0");
  return Uint8Array.from(
    [...head, ...zeros, ...tail].map((group) => parseInt(group, 16))
      .flatMap((group) => [group >> 8, group & 255]),
  );
}

/** Formats the 4 or 16 bytes of an address in its shortest form (RFC 5952). */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8 | bytes[2 * i + 1]!));
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return bytes.subarray(12).join(".");
  }
  const text = groups.map((group) => group.toString(16)).join(":");
  return new URL(`http://[${text}]`).hostname.slice(1, -1);
}

/** Whether a host name, or an address, is one by which a machine reaches only itself. */
export function isLoopback(hostname: string): boolean {
  if (hostname === "localhost") return true;
  const bytes = parseAddress(hostname.replace(/^\[(.*)\]$/, "$1"));
  return bytes !== undefined && /^(?:127\..*|::1)$/.test(formatAddress(bytes));
}

/**
 * The source that an address counts as in per-source limits: an IPv4 address itself, but only the
 * first 64 bits of an IPv6 address, because one subscriber can use a whole /64 (RFC 6177).
 */
export function sourceOf(hostname: string): string {
  if (!hostname.includes(":")) return hostname;
  const bytes = parseAddress(hostname);
  return bytes ? `${formatAddress(bytes.fill(0, 8))}/64` : hostname;
}

/** Whether `text` is a network in CIDR notation, such as `10.0.0.0/8`, or a single address. */
export function isNetwork(text: string): boolean {
  return parseNetwork(text) !== undefined;
}

/** The network, such as `10.0.0.0/8`, that `text` has the bits of a host in, such as `10.0.0.1/8`. */
export function networkAround(text: string): string | undefined {
  const [address, length] = parseNetwork(text)!;
  const bytes = parseAddress(address)!;
  const network = bytes.map((byte, index) => {
    const bits = Math.min(Math.max(length - 8 * index, 0), 8);
    return byte & ~(0xff >> bits);
  });
  const isSame = network.every((byte, index) => byte === bytes[index]);
  return isSame ? undefined : `${formatAddress(network)}/${length}`;
}

function parseNetwork(text: string): [string, number, "ipv4" | "ipv6"] | undefined {
  const [, address = "", prefix] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const bits = (parseAddress(address)?.length ?? 0) * 8;
  const length = Number(prefix ?? bits);
  if (bits === 0 || length > bits) return undefined;
  return [address, length, bits === 32 ? "ipv4" : "ipv6"];
}

/** A set of networks. */
export class Networks {
  readonly #list: BlockList | undefined;

  private constructor(list?: BlockList) {
    this.#list = list;
  }

  /**
   * Creates a set from networks in CIDR notation and single addresses. (Asynchronous so that
   * `node:net`, which takes 15 ms to load on Deno 2.9, is only loaded for a set that is not empty.)
   *
   * @throws {RangeError} An entry is neither a network nor an address.
   */
  static async of(networks: readonly string[]): Promise<Networks> {
    if (networks.length === 0) return new Networks();
    const { BlockList } = await import("node:net");
    const list = new BlockList();
    for (const text of networks) {
      const network = parseNetwork(text);
      if (network === undefined) {
        throw new RangeError(
          `Cannot use ${
            JSON.stringify(text)
          } as a network: it is not in CIDR notation, such as 10.0.0.0/8`,
        );
      }
      list.addSubnet(...network);
    }
    return new Networks(list);
  }

  /** Whether the set is empty. */
  get isEmpty(): boolean {
    return this.#list === undefined;
  }

  /** Whether `address` is in one of the networks; an IPv4-mapped address counts as IPv4. */
  has(address: string): boolean {
    return this.#list?.check(address, address.includes(":") ? "ipv6" : "ipv4") ?? false;
  }
}
