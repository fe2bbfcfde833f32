/**
 * The environment: what a child finds out about its client there. The names are the field's own, of
 * tcpserver (UCSPI-1996) and of systemd and CGI (RFC 3875).
 *
 * @module
 */

import type { ProxyHeader } from "../net/proxy_protocol.ts";

/**
 * A child that starts before its client must not take another one for it: where spawnd was itself
 * started by such a server, its own environment has these. (Without a permission it cannot be read,
 * and so nothing can be taken out of it.)
 */
export const UNSET_VARIABLES: Readonly<Record<string, string>> = {
  PROTO: "",
  TCPLOCALHOST: "",
  TCPLOCALIP: "",
  TCPLOCALPORT: "",
  TCPREMOTEHOST: "",
  TCPREMOTEINFO: "",
  TCPREMOTEIP: "",
  TCPREMOTEPORT: "",
  REMOTE_ADDR: "",
  REMOTE_PORT: "",
};

/** What a child that starts for a client is told of it; names that are not known stay empty. */
export function ucspiVariables({ source, destination }: ProxyHeader): Record<string, string> {
  if (!source || !destination) return { ...UNSET_VARIABLES, PROTO: "UNIX" };
  return {
    ...UNSET_VARIABLES,
    PROTO: "TCP",
    TCPLOCALIP: destination.hostname,
    TCPLOCALPORT: String(destination.port),
    TCPREMOTEIP: source.hostname,
    TCPREMOTEPORT: String(source.port),
    REMOTE_ADDR: source.hostname,
    REMOTE_PORT: String(source.port),
  };
}
