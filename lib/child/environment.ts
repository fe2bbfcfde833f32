/**
 * The environment of a child: the variables that tell it about its client, and those it inherits in
 * any case. The names are those of tcpserver (UCSPI-1996), systemd, CGI (RFC 3875), Apache's mod_ssl,
 * and for ALPN nginx.
 *
 * @module
 */

import { readVariable } from "../base/variable.ts";
import type { ClientFacts, RequestFacts, TlsFacts } from "../net/client_facts.ts";

/**
 * Blank values for a child that starts before its client. If spawnd itself was started by such a
 * server, a child would inherit these variables and take another client for its own. (Removing them
 * would need permission to read the environment, so they are set to empty strings.)
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
  REMOTE_HOST: "",
  REMOTE_PORT: "",
  SSL_PROTOCOL: "",
  SSL_CIPHER: "",
  SSL_TLS_SNI: "",
  SSL_ALPN_PROTOCOL: "",
  SSL_CLIENT_VERIFY: "",
  SSL_CLIENT_S_DN: "",
};

/**
 * Blank values of the variables by which a program talks to the service manager in the server's
 * name (systemd: sd_notify(3)), or looks for sockets that only the server has (sd_listen_fds(3)),
 * where the server has them and may read that it has. LISTEN_PID stays as it is: sd_listen_fds(3)
 * finds no sockets for another process's, but fails for a blank one (seen on systemd 252).
 */
export function withoutManager(): Readonly<Record<string, string>> {
  return {
    ...(readVariable("NOTIFY_SOCKET") &&
      { NOTIFY_SOCKET: "", WATCHDOG_USEC: "", WATCHDOG_PID: "" }),
    ...(readVariable("LISTEN_FDNAMES") && { LISTEN_FDS: "", LISTEN_FDNAMES: "" }),
  };
}

/**
 * What is kept of the server's environment where the rest is cleared. Deno needs to find its cache,
 * where a module's packages are.
 */
export const KEPT_VARIABLES: Readonly<Record<"program" | "deno", readonly string[]>> = {
  program: [
    ...["PATH", "HOME", "LANG", "TZ"],
    ...["ALL", "ADDRESS", "COLLATE", "CTYPE", "IDENTIFICATION", "MEASUREMENT", "MESSAGES"].map(lc),
    ...["MONETARY", "NAME", "NUMERIC", "PAPER", "TELEPHONE", "TIME"].map(lc),
  ],
  deno: ["DENO_DIR", "XDG_CACHE_HOME"],
};

function lc(category: string): string {
  return `LC_${category}`;
}

/** The variables for a child that starts for a known client; what is not known is empty. */
export function ucspiVariables(
  { source, destination, path = "", tls, request }: ClientFacts,
): Record<string, string> {
  if (!source || !destination) {
    return {
      ...UNSET_VARIABLES,
      PROTO: "UNIX",
      REMOTE_ADDR: path.replaceAll("\0", "@"), // as systemd has an abstract name
      ...requestVariables(request),
    };
  }
  return {
    ...UNSET_VARIABLES,
    PROTO: "TCP",
    TCPLOCALIP: destination.hostname,
    TCPLOCALPORT: String(destination.port),
    TCPREMOTEIP: source.hostname,
    TCPREMOTEPORT: String(source.port),
    REMOTE_ADDR: source.hostname,
    REMOTE_HOST: source.hostname, // no name is looked up: as xinetd without a resolver
    REMOTE_PORT: String(source.port),
    ...tlsVariables(tls),
    ...(request && { SERVER_PORT: String(destination.port) }),
    ...requestVariables(request, tls !== undefined),
  };
}

function tlsVariables(tls: TlsFacts | undefined): Record<string, string> {
  if (!tls) return {};
  const { protocol, cipher, serverName = "", alpn = "", client } = tls;
  return {
    SSL_PROTOCOL: protocol,
    SSL_CIPHER: cipher,
    SSL_TLS_SNI: serverName,
    SSL_ALPN_PROTOCOL: alpn,
    SSL_CLIENT_VERIFY: client ? "SUCCESS" : "NONE",
    SSL_CLIENT_S_DN: client?.text ?? "",
  };
}

/**
 * The headers that become no variable: a program would take `HTTP_PROXY` for its own setting;
 * credentials may be left out (RFC 3875, section 4.1.18); where a client says that it comes from is
 * no fact; and the others are about this connection alone.
 */
const HIDDEN_FIELDS =
  /^(proxy|authorization|proxy-authorization|forwarded|x-forwarded-for|x-real-ip|x-client-ip|true-client-ip|cf-connecting-ip|connection|upgrade|sec-websocket-(key|version|extensions))$/;

function requestVariables(
  request: RequestFacts | undefined,
  isTls = false,
): Record<string, string> {
  if (!request) return {};
  const { target, scriptName, pathInfo, query, fields } = request;
  const { hostname = "" } = URL.parse(`http://${fields.get("host")}`) ?? {};
  const variables: Record<string, string> = {
    GATEWAY_INTERFACE: "CGI/1.1",
    SERVER_PROTOCOL: "HTTP/1.1",
    SERVER_NAME: hostname,
    ...(isTls && { HTTPS: "on" }),
    REQUEST_METHOD: "GET",
    REQUEST_URI: target,
    SCRIPT_NAME: scriptName,
    PATH_INFO: pathInfo,
    QUERY_STRING: query,
  };
  for (const [name, value] of fields) {
    // An underscore would make two headers one.
    if (HIDDEN_FIELDS.test(name) || !/^[a-z\d-]+$/.test(name)) continue;
    variables[`HTTP_${name.toUpperCase().replaceAll("-", "_")}`] = value;
  }
  return variables;
}
