/**
 * Addresses to listen on, as text: what `--listen` takes.
 *
 * @module
 */

import { formatAddress, formatSocketAddress, parseAddress } from "./address.ts";

/** An address to listen on. */
export type ListenAddress = SocketListenAddress & {
  /** Where its clients speak WebSocket, the path at which they do. */
  readonly webSocketPath?: string;
};

/** A socket to listen on. */
type SocketListenAddress =
  | {
    readonly transport: "tcp";
    /** An address or a name; empty for all addresses of the machine, IPv4 and IPv6. */
    readonly hostname: string;
    /** 0 takes a free one. */
    readonly port: number;
  }
  | { readonly transport: "unix"; readonly path: string }
  | {
    /** A listening socket that the program was started with, such as systemd's. */
    readonly transport: "fd";
    /** The number of its descriptor, or the name that one or more have (sd_listen_fds(3)). */
    readonly fd: number | string;
  };

/**
 * Parses `127.0.0.1:9527`, `[::1]:9527`, `localhost:9527`, `:9527`, `unix:/run/x.sock`, `fd:3` or
 * `fd:name`, or for WebSockets `ws://` and one of these, perhaps with a path, such as
 * `ws://:8080/chat` or `ws://unix:/run/x.sock:/chat`; `undefined` if `text` is none of these.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseListenAddress } from "./listen_address.ts";
 *
 * const address = { transport: "tcp", hostname: "::1", port: 9527 } as const;
 * assertEquals(parseListenAddress("[::1]:9527"), address);
 * ```
 */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const [, web] = /^ws:\/\/(.+)$/s.exec(text) ?? [];
  return web === undefined ? parseSocket(text) : parseWebSocketAddress(web);
}

/**
 * Parses what {@linkcode parseListenAddress} takes after `ws://`. The path after that of a Unix socket
 * begins with `:/`.
 */
export function parseWebSocketAddress(text: string): ListenAddress | undefined {
  const pattern = text.startsWith("unix:")
    ? /^(unix:(?!:\/).+?)(?::(\/.*))?$/s
    : /^([^/]+)(\/.*)?$/s;
  const [, socket = "", path = "/"] = pattern.exec(text) ?? [];
  const address = parseSocket(socket);
  if (address === undefined || !/^\/[!-~]*$/.test(path) || /[?#%]/.test(path)) return undefined;
  if (/\/\.{1,2}(?:\/|$)/.test(path)) return undefined; // a client would resolve it
  return { ...address, webSocketPath: path };
}

/** A name of hosts: labels, of any letters, and dots. */
export const HOST_NAME = /^(?!(?:unix|fd)$)[\p{L}\p{M}\p{N}_-]+(?:\.[\p{L}\p{M}\p{N}_-]+)*\.?$/u;

/**
 * Whether it is an address, perhaps with its zone, or may be a name: `unix` and `fd` would not be hosts
 * in an address.
 */
export function isHost(text: string): boolean {
  if (/:|^[\d.]+$/.test(text)) return parseAddress(text.replace(/%[^%\s/\]]+$/, "")) !== undefined;
  return HOST_NAME.test(text);
}

/** Parses `HOST:PORT`, where an IPv6 address is in brackets; without a host, it is the empty text. */
export function parseHostAndPort(text: string): { hostname: string; port: number } | undefined {
  const [, ipv6, name = "", digits] = /^(?:\[(.*:.*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  const hostname = ipv6 ?? name;
  const port = Number(digits);
  if (digits === undefined || port > 65_535) return undefined;
  return hostname === "" || isHost(hostname) ? { hostname, port } : undefined;
}

function parseSocket(text: string): SocketListenAddress | undefined {
  const [, path] = /^unix:(.+)$/s.exec(text) ?? [];
  if (path !== undefined) return { transport: "unix", path };
  const [, fd] = /^fd:([^:\s]+)$/.exec(text) ?? [];
  if (fd !== undefined) return { transport: "fd", fd: /^\d+$/.test(fd) ? Number(fd) : fd };
  const address = parseHostAndPort(text.replace(/^\*(?=:)/, ""));
  return address && { transport: "tcp", ...address };
}

/** The text that {@linkcode parseListenAddress} reads as this address. */
export function formatListenAddress(address: ListenAddress): string {
  const socket = formatSocket(address);
  return address.webSocketPath === undefined
    ? socket
    : formatWebSocketAddress(socket, address.webSocketPath);
}

/** A socket, by its name, where WebSockets are served at a path. */
export function formatWebSocketAddress(socket: string, path: string): string {
  return `ws://${socket}${socket.startsWith("unix:") ? ":" : ""}${path}`;
}

/** What sun_path has room for, in bytes, before its final zero (Linux: unix(7)). */
const MAX_PATH_BYTES = 107;

/** Why no system can listen on an address, and what to do about it, if so. */
export function addressProblem(address: ListenAddress): string | undefined {
  if (address.transport === "tcp") return zoneProblem(address.hostname);
  if (address.transport === "fd") return undefined;
  const { length } = new TextEncoder().encode(address.path);
  return length > MAX_PATH_BYTES
    ? `the path has ${length} bytes, and may have ${MAX_PATH_BYTES}. Choose a shorter one`
    : undefined;
}

/** A link-local address (RFC 4291, section 2.5.6) is one of an interface, which has to be named. */
function zoneProblem(hostname: string): string | undefined {
  return /^fe[89ab][\da-f]:/i.test(hostname) && parseAddress(hostname)
    ? `a link-local address needs its zone, such as ${hostname}%eth0`
    : undefined;
}

/** The socket of an address, as text. */
export function formatSocket(address: ListenAddress): string {
  switch (address.transport) {
    case "tcp":
      return formatSocketAddress(address);
    case "unix":
      return `unix:${address.path}`;
    case "fd":
      return `fd:${address.fd}`;
  }
}

/** Whether only one of two addresses can be listened on, as they are one, or one includes the other. */
export function overlap(a: ListenAddress, b: ListenAddress): boolean {
  if (a.transport !== "tcp" || b.transport !== "tcp") {
    return formatSocket(a) === formatSocket(b);
  }
  if (a.port !== b.port || a.port === 0) return false;
  const [one, other] = [canonicalHost(a.hostname), canonicalHost(b.hostname)];
  return one === other || includes(one, other) || includes(other, one);
}

/** `::` is all addresses, IPv4 too, and `0.0.0.0` all of IPv4. */
function includes(all: string, host: string): boolean {
  return all === "::" || all === "0.0.0.0" && !host.includes(":");
}

function canonicalHost(hostname: string): string {
  const bytes = parseAddress(hostname || "::");
  return bytes ? formatAddress(bytes) : hostname.toLowerCase();
}
