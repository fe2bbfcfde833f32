/**
 * Which web pages may open a WebSocket. A browser lets every page connect everywhere and only tells
 * from where (RFC 6455, section 10.2), so without this any page that a user visits could use the
 * services that the user can reach.
 *
 * @module
 */

import { isLoopback } from "../net/address.ts";

/** What of a request decides. */
export interface OriginRequest {
  /** The header `Origin`, which browsers send; other clients are not pages. */
  readonly origin: string | undefined;
  /** The header `Host`. */
  readonly host: string;
  /** Whether it came over the loopback, and through no trusted proxy. */
  readonly isLocal: boolean;
}

/**
 * Why a request is refused, if it is.
 *
 * @param allowed The origins that may connect, `*` for all; none for those of the server's own host.
 */
export function originProblem(
  { origin, host, isLocal }: OriginRequest,
  allowed: readonly string[],
): string | undefined {
  if (origin === undefined || allowed.includes("*")) return undefined;
  if (allowed.length > 0) {
    return allowed.includes(origin) ? undefined : `the origin ${origin} is not one of --origin`;
  }
  const page = URL.parse(origin);
  const server = page && URL.parse(`${page.protocol}//${host}`);
  if (!page || page.host === "" || page.host !== server?.host) {
    return `the origin ${origin} is not this host, ${host}; --origin would allow it`;
  }
  // A page elsewhere could give its own name the address of this machine (DNS rebinding).
  if (isLocal && !isLoopback(server.hostname)) {
    return `the loopback is not ${server.hostname}; --origin would allow it`;
  }
}
