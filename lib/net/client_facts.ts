/**
 * What is known of a client, from its connection, its proxy and its TLS handshake: what its child is
 * told.
 *
 * @module
 */

import type { SocketAddress } from "./address.ts";
import type { DistinguishedName } from "./distinguished_name.ts";

/** What is known of a client. */
export interface ClientFacts {
  /** Its own address; absent over a Unix socket, and if a proxy does not say. */
  readonly source?: SocketAddress;
  /** The address it connected to; present if `source` is. */
  readonly destination?: SocketAddress;
  /** What else a proxy says of it: the TLVs of its PROXY header, as they came, if there are any. */
  readonly extensions?: Uint8Array;
  /** The path that a Unix client has bound its socket to, which few do. */
  readonly path?: string;
  /** What its TLS handshake was about. */
  readonly tls?: TlsFacts;
  /** The request that its WebSocket was opened with. */
  readonly request?: RequestFacts;
}

/** What a TLS handshake has settled. */
export interface TlsFacts {
  /** The version, such as `TLSv1.3`. */
  readonly protocol: string;
  /** The cipher suite, by its name in OpenSSL. */
  readonly cipher: string;
  /** The name the client asked for (SNI), if it did. */
  readonly serverName?: string;
  /** The protocol that was agreed on (ALPN), if one was. */
  readonly alpn?: string;
  /** Whose certificate the client has, which has been verified; absent where none is asked for. */
  readonly client?: DistinguishedName;
}

/** The request that a WebSocket was opened with (RFC 9112); its parts as in CGI (RFC 3875). */
export interface RequestFacts {
  /** The path and the query, as they came. */
  readonly target: string;
  /** The path at which WebSockets are served, without a slash at its end. */
  readonly scriptName: string;
  /** What follows it in the path, decoded. */
  readonly pathInfo: string;
  /** What follows the question mark, as it came. */
  readonly query: string;
  /** The header fields by name in small letters. */
  readonly fields: ReadonlyMap<string, string>;
}
