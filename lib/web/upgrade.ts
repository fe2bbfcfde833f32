/**
 * The opening handshake of a WebSocket (RFC 6455, section 4): reads the request of a client, and
 * answers it. One that asks for no WebSocket gets the page, or is told what is wrong.
 *
 * @module
 */

import type { Logger } from "../base/log.ts";
import { shorten } from "../base/quote.ts";
import { settlesWithin } from "../base/settles_within.ts";
import { isLoopback, type Networks } from "../net/address.ts";
import type { RequestFacts } from "../net/client_facts.ts";
import { Connection, type Ending, LINGER_MS } from "../net/connection.ts";
import {
  encodeHead,
  encodeResponse,
  type HttpHead,
  type HttpResponse,
  listIn,
  parseHead,
  readHead,
  textResponse,
} from "../net/http.ts";
import type { MessageMode } from "../net/message_mode.ts";
import { forwardedFor } from "./forwarded.ts";
import { originProblem } from "./origin.ts";
import { CONTENT_SECURITY_POLICY, PAGE } from "./page.ts";
import { WebSocketTransport } from "./web_socket.ts";

/** How WebSockets are opened. */
export interface UpgradeOptions {
  /** What a message is, unless the client asks for something else. */
  readonly mode: MessageMode;
  /** The sub-protocols of the handler. */
  readonly protocols: readonly string[];
  /** The origins of the pages that may connect besides those of the server's own host. */
  readonly origins: readonly string[];
  /** Whether a browser gets a page to connect with. */
  readonly hasPage: boolean;
  readonly maxMessageBytes: number;
  readonly pingMs: number;
  readonly log: Logger;
}

/** Where WebSockets are served. */
export interface WebSocketEndpoint {
  readonly upgrader: Upgrader;
  /** The path at which, and below which, they are. */
  readonly path: string;
}

/** Where a client has connected to. */
export interface UpgradeContext extends Pick<WebSocketEndpoint, "path"> {
  /** The proxies that may say who their client is. */
  readonly proxies: Networks;
}

/** A client is answered by something else than a WebSocket. */
export class NoUpgrade extends Error {
  override readonly name = "NoUpgrade";
  /** Whether it is the page. */
  readonly isPage: boolean;
  /** What it is sent. */
  readonly response: Uint8Array<ArrayBuffer>;

  constructor(response: HttpResponse, { isPage = false, isHead = false } = {}) {
    super(isPage ? "the page" : response.body.trim());
    this.isPage = isPage;
    this.response = encodeResponse(response, isHead);
  }
}

/** Sub-protocols by which a client asks for a mode: our own, and that of noVNC and websockify. */
const MODE_PROTOCOLS: ReadonlyMap<string, MessageMode> = new Map([
  ["spawnd.lines", "lines"],
  ["spawnd.text", "text"],
  ["spawnd.bytes", "bytes"],
  ["binary", "bytes"],
]);

/** How many characters of the sub-protocols that a client offers go to the log. */
const MAX_OFFERED = 100;

/** What proxies add to a request. */
const PROXY_FIELDS = ["forwarded", "x-forwarded-for"];

/** What a key is joined with (RFC 6455, section 1.3). */
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const VERSION = "13";

/** Opens WebSockets. */
export class Upgrader {
  readonly #options: UpgradeOptions;

  constructor(options: UpgradeOptions) {
    this.#options = options;
  }

  /**
   * Reads a client's request and opens its WebSocket; resolves to a connection that carries its
   * messages, or to what else the client has to be sent. There is no timeout: close `client` to
   * abort.
   *
   * @throws Whatever a read or write throws.
   */
  async upgrade(client: Connection, context: UpgradeContext): Promise<Connection | NoUpgrade> {
    try {
      return await this.#upgrade(client, context);
    } catch (error) {
      if (error instanceof NoUpgrade) return error;
      throw error;
    }
  }

  /** Tells a client that has not been read yet why it is refused, and closes, within some time. */
  async refuse(client: Connection, context: UpgradeContext, ending: Ending): Promise<void> {
    const { reason, text } = ending;
    const refuse = async () => {
      const result = await this.upgrade(client, context);
      if (result instanceof Connection) return await result.refuse(ending);
      const response = textResponse(reason === "busy" ? 503 : 403, text || reason);
      await client.closeAfter(encodeResponse(response));
    };
    await settlesWithin(refuse(), LINGER_MS);
    client.close();
  }

  async #upgrade(client: Connection, context: UpgradeContext): Promise<Connection> {
    const text = await readHead(client);
    const head = text === undefined ? undefined : parseHead(text);
    if (text?.startsWith("\x16")) {
      throw refused(400, "the client speaks TLS, and there is no --cert");
    }
    if (head === undefined) throw refused(text === undefined ? 431 : 400);
    const request = requestOf(head, context.path);
    const isProxy = context.proxies.has(client.address ?? "");
    const source = isProxy ? sourceOf(head, context.proxies) : undefined;
    // A proxy may hide its client, but says something; a browser on this machine cannot.
    const isProxied = isProxy && PROXY_FIELDS.some((name) => head.fields.has(name));
    this.#requireOrigin(head, client, isProxied);
    await this.#requireUpgrade(head);
    const { mode, protocol } = this.#choose(head, client);
    await client.write(encodeHead(101, {
      upgrade: "websocket",
      connection: "Upgrade",
      "sec-websocket-accept": await acceptOf(head.fields.get("sec-websocket-key")!),
      ...(protocol !== undefined && { "sec-websocket-protocol": protocol }),
    }));
    const transport = new WebSocketTransport(client, { ...this.#options, mode });
    const { tls: _, extensions: __, ...facts } = client.facts;
    // What is known of TLS is about the proxy, then.
    const known = isProxied ? { ...facts, ...(source && { source }) } : client.facts;
    return new Connection(transport, { ...known, request });
  }

  /** Answers what does not ask for a WebSocket, or not as it should. */
  async #requireUpgrade({ method, fields }: HttpHead): Promise<void> {
    const isHead = method === "HEAD";
    if (method !== "GET" && !isHead) {
      throw refused(405, "only GET and HEAD", { allow: "GET, HEAD" });
    }
    if (!asksForWebSocket(fields) || isHead) {
      if (this.#options.hasPage) throw new NoUpgrade(await this.#page(), { isPage: true, isHead });
      throw refused(426, "only WebSockets are served here", { upgrade: "websocket" });
    }
    if (fields.get("sec-websocket-version") !== VERSION) {
      throw refused(426, `only version ${VERSION} of the protocol is spoken here`, {
        "sec-websocket-version": VERSION,
      });
    }
    if (!/^[A-Za-z\d+/]{22}==$/.test(fields.get("sec-websocket-key") ?? "")) {
      throw refused(400, "there is no valid Sec-WebSocket-Key");
    }
  }

  /** Refuses pages of elsewhere, and a browser that could not connect from the page it asks for. */
  #requireOrigin({ fields }: HttpHead, client: Connection, isProxied: boolean): void {
    const host = fields.get("host") ?? "";
    const own = host ? `${client.facts.tls ? "https" : "http"}://${host}` : undefined;
    const problem = originProblem({
      origin: asksForWebSocket(fields) ? fields.get("origin") : own,
      host,
      isTls: !isProxied && client.facts.tls !== undefined,
      isLocal: !isProxied && isLoopback(client.facts.destination?.hostname ?? ""),
    }, this.#options.origins);
    if (problem !== undefined) throw refused(403, problem);
  }

  /** The first sub-protocol that the client offers and that there is, and the mode it means. */
  #choose(
    { fields }: HttpHead,
    { name: client }: Connection,
  ): { mode: MessageMode; protocol?: string } {
    const { mode, protocols } = this.#options;
    const list = fields.get("sec-websocket-protocol");
    const protocol = listIn(list)
      .find((name) => protocols.includes(name) || MODE_PROTOCOLS.has(name));
    if (protocol === undefined) {
      // Browsers give up then, without a word.
      if (list) {
        const offered = shorten(list, MAX_OFFERED);
        this.#options.log.warn("a client offers only unknown sub-protocols", { client, offered });
      }
      return { mode };
    }
    if (protocols.includes(protocol)) return { mode, protocol };
    return { mode: MODE_PROTOCOLS.get(protocol)!, protocol };
  }

  async #page(): Promise<HttpResponse> {
    return {
      status: 200,
      headers: {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": await CONTENT_SECURITY_POLICY,
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
      },
      body: PAGE,
    };
  }
}

function asksForWebSocket(fields: HttpHead["fields"]): boolean {
  const hasToken = (name: string, token: string) =>
    listIn(fields.get(name)?.toLowerCase()).includes(token);
  return hasToken("upgrade", "websocket") && hasToken("connection", "upgrade");
}

function refused(status: number, text?: string, headers?: Record<string, string>): NoUpgrade {
  return new NoUpgrade(textResponse(status, text, headers));
}

/** What a handler is told of a request. */
function requestOf({ target, fields }: HttpHead, path: string): RequestFacts {
  const [, found, query = ""] = /^(\/[^?]*)(?:\?(.*))?$/.exec(target) ?? [];
  const scriptName = path.replace(/\/$/, "");
  if (found !== scriptName && !found?.startsWith(`${scriptName}/`)) {
    throw refused(404, `nothing is served here: the path is ${path}`);
  }
  let pathInfo;
  try {
    pathInfo = decodeURIComponent(found.slice(scriptName.length));
  } catch {
    throw refused(400, "the path is not valid");
  }
  if (pathInfo.includes("\0")) throw refused(400, "the path is not valid");
  return { target, scriptName, pathInfo, query, fields };
}

function sourceOf({ fields }: HttpHead, proxies: Networks): ReturnType<typeof forwardedFor> {
  try {
    return forwardedFor(fields, proxies);
  } catch (error) {
    throw refused(400, (error as Error).message);
  }
}

async function acceptOf(key: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(key + GUID));
  return btoa(String.fromCharCode(...new Uint8Array(digest)));
}
