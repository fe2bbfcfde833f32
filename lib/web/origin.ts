/**
 * Which web pages may open a WebSocket. A browser lets every page connect everywhere and only tells
 * from where (RFC 6455, section 10.2), so without this any page that a user visits could use the
 * services that the user can reach.
 *
 * @module
 */

import { isLoopback } from "../net/address.ts";

/** What is fit for a command line. */
const ORIGIN = /^(?:null|[a-z][a-z\d+.-]*:\/\/[\w.:[\]-]+)$/;

/** What of a request decides. */
export interface OriginRequest {
  /** The header `Origin`, which browsers send; other clients have none. */
  readonly origin: string | undefined;
  /** The header `Host`. */
  readonly host: string;
  /** Whether it came over TLS, as far as that is known. */
  readonly isTls: boolean;
  /** Whether it came over the loopback, and through no trusted proxy. */
  readonly isLocal: boolean;
}

/**
 * Why a request is refused, if it is.
 *
 * @param allowed The origins that may connect besides those of the server's own host; `*` for all.
 */
export function originProblem(
  { origin, host, isTls, isLocal }: OriginRequest,
  allowed: readonly string[],
): string | undefined {
  if (origin === undefined || allowed.includes(origin) || allowed.includes("*")) return undefined;
  const page = URL.parse(origin);
  const server = page && URL.parse(`${page.protocol}//${host}`);
  const schemes = isTls ? ["https:"] : ["http:", "https:"]; // a proxy may have spoken TLS
  if (!server || page.host !== server.host || !schemes.includes(page.protocol)) {
    return ORIGIN.test(origin)
      ? `a page of ${origin} is not one of this host and port, ${host}: --origin ${origin} would allow it`
      : "the Origin header is malformed";
  }
  // A page elsewhere could give its own name the address of this machine (DNS rebinding).
  if (isLocal && !isLoopback(server.hostname)) {
    return `a page of ${server.hostname} may not use the loopback: ` +
      `ask by the name localhost, or allow it with --origin ${origin}`;
  }
}
