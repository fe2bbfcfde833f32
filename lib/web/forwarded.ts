/**
 * The client behind an HTTP proxy, as the headers `Forwarded` (RFC 7239) and `X-Forwarded-For` name
 * it. Every proxy adds the address that it was connected from at the end of the list, and whoever is
 * not trusted may have written what stands before.
 *
 * @module
 */

import type { Networks, SocketAddress } from "../net/address.ts";
import { formatAddress, parseAddress } from "../net/address.ts";
import { listIn } from "../net/http.ts";

/**
 * The last address that a trusted proxy has been connected from and that is not a trusted proxy's
 * itself; `undefined` if no header says. Its port is 0 where none is given.
 *
 * @throws {RangeError} A header is malformed, or the two disagree, even if one only does not say: a
 * proxy has set one, and let the client's other one through.
 */
export function forwardedFor(
  fields: ReadonlyMap<string, string>,
  proxies: Networks,
): SocketAddress | undefined {
  const [standard, usual] = [fields.get("forwarded"), fields.get("x-forwarded-for")];
  const lists: string[][] = [];
  if (standard) lists.push(nodesIn(standard));
  if (usual) lists.push(listIn(usual).filter((node) => node !== ""));
  const [client, ...others] = lists.map((nodes) => lastOf(nodes, proxies));
  if (others.some((other) => other?.hostname !== client?.hostname)) {
    throw new RangeError("Forwarded and X-Forwarded-For name different clients");
  }
  return client;
}

function lastOf(nodes: readonly string[], proxies: Networks): SocketAddress | undefined {
  let last: SocketAddress | undefined;
  for (const node of nodes.toReversed()) {
    if (/^(?:unix:|(?:unknown|_[\w.-]+)?(?::[\w.-]+)?)$/i.test(node)) break; // only its proxy knows
    const address = parseNode(node);
    if (address === undefined) throw new RangeError("a header names a client without an address");
    last = address;
    if (!proxies.has(address.hostname)) break;
  }
  return last;
}

/**
 * The nodes that a `Forwarded` header has been passed on for; empty where an element does not say. A
 * part that is malformed spoils all of it: a client could have begun it to hide what follows.
 */
function nodesIn(header: string): string[] {
  const nodes = [""];
  const pair = /[ \t]*(?:([^=;,\s"]+)=(?:"((?:[^"\\]|\\.)*)"|([^;,"\s]*))[ \t]*)?([;,]|$)/y;
  for (;;) {
    const match = pair.exec(header);
    if (match === null) throw new RangeError("the header Forwarded is malformed");
    const [, name, quoted, plain, separator] = match;
    if (name?.toLowerCase() === "for") {
      if (nodes.at(-1) !== "") throw new RangeError("the header Forwarded names a client twice");
      nodes[nodes.length - 1] = quoted?.replaceAll(/\\(.)/g, "$1") ?? plain!;
    }
    if (separator === "") return nodes;
    if (separator === ",") nodes.push("");
  }
}

/**
 * `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`. A port that
 * only its proxy knows, such as `:_x`, is 0.
 */
function parseNode(node: string): SocketAddress | undefined {
  const [, bracketed, plain = node, port = "0"] =
    /^(?:\[([^\]]+)\]|([^:]+))(?::(?:(\d{1,5})|_[\w.-]+))?$/.exec(node) ?? [];
  const bytes = parseAddress(bracketed ?? plain);
  if (bytes === undefined || Number(port) > 65_535) return undefined;
  return { hostname: formatAddress(bytes), port: Number(port) };
}
