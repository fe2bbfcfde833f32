/**
 * HTTP/1.1 (RFC 9112), as far as this server speaks it: the head of a request, and a response that
 * ends the connection.
 *
 * @module
 */

import type { Connection } from "./connection.ts";

/** The head of a request. */
export interface HttpHead {
  readonly method: string;
  /** The target as it came: a path with a query, or an address. */
  readonly target: string;
  /** The header fields by name in small letters; what came several times is joined by `, `. */
  readonly fields: ReadonlyMap<string, string>;
}

/** A response; the length of its body is added. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The most that is read of a head. */
const MAX_HEAD_BYTES = 8 * 1024;
/** Each becomes a variable of a program. */
const MAX_FIELDS = 100;
const LF = 10;
const END_OF_HEAD = [13, LF, 13, LF];

const REASONS: Readonly<Record<number, string>> = {
  101: "Switching Protocols",
  200: "OK",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  426: "Upgrade Required",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/**
 * Reads up to the blank line, or to where it is clear that this is no request; what came after the
 * blank line is read again. Resolves to `undefined` if the head is too long.
 *
 * @throws The connection ended before, or whatever a read throws.
 */
export async function readHead(connection: Connection): Promise<string | undefined> {
  const bytes = new Uint8Array(MAX_HEAD_BYTES);
  let length = 0;
  while (length < MAX_HEAD_BYTES) {
    const chunk = await connection.read(new Uint8Array(MAX_HEAD_BYTES - length));
    if (chunk === null) throw new Error("the connection ended before the end of a request");
    const taken = chunk.subarray(0, MAX_HEAD_BYTES - length);
    bytes.set(taken, length);
    const end = endOfHead(bytes.subarray(0, length + taken.length), length);
    length += taken.length;
    if (!mayBeHead(bytes.subarray(0, length))) return decode(bytes.subarray(0, length));
    if (end === undefined) continue;
    const rest = chunk.subarray(taken.length - (length - end));
    if (rest.length > 0) connection.unread(rest);
    return decode(bytes.subarray(0, end - END_OF_HEAD.length));
  }
}

/** Whether this is the start of a request: a client that speaks something else need not end it. */
function mayBeHead(bytes: Uint8Array): boolean {
  const end = bytes.indexOf(LF);
  return end < 0
    ? /^[A-Z]/.test(decode(bytes.subarray(0, 1)))
    : /HTTP\/1\.[01]\r$/.test(decode(bytes.subarray(0, end)));
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/** Where the head in `bytes` ends, if it does; before `from` there is no whole end. */
function endOfHead(bytes: Uint8Array, from: number): number | undefined {
  for (let at = bytes.indexOf(13, Math.max(0, from - 3)); at >= 0; at = bytes.indexOf(13, at + 1)) {
    if (END_OF_HEAD.every((byte, index) => bytes[at + index] === byte)) {
      return at + END_OF_HEAD.length;
    }
  }
}

/** The request that a head is, or `undefined` if it is malformed. */
export function parseHead(text: string): HttpHead | undefined {
  const [requestLine, ...lines] = text.split("\r\n");
  const [, method, target] = /^([A-Z]+) ([!-~]+) HTTP\/1\.[01]$/.exec(requestLine!) ?? [];
  if (method === undefined || lines.length > MAX_FIELDS) return undefined;
  const fields = new Map<string, string>();
  for (const line of lines) {
    const [, name, content] = /^([\w!#$%&'*+.^`|~-]+):([\t\x20-\x7e\x80-\uffff]*)$/.exec(line) ??
      [];
    if (name === undefined) return undefined;
    const [key, value] = [name.toLowerCase(), content!.trim()];
    fields.set(key, fields.has(key) ? `${fields.get(key)}, ${value}` : value);
  }
  return { method, target: target!, fields };
}

/** The elements of a header field that is a list (RFC 9110, section 5.6.1); some may be empty. */
export function listIn(value = ""): string[] {
  return value.split(",").map((element) => element.trim());
}

/** The bytes of a response, after which the connection ends; the body can be left out (HEAD). */
export function encodeResponse(
  { status, headers, body }: HttpResponse,
  omitBody = false,
): Uint8Array<ArrayBuffer> {
  const content = new TextEncoder().encode(body);
  const head = encodeHead(status, {
    ...headers,
    "content-length": String(content.length),
    connection: "close",
  });
  const bytes = new Uint8Array(head.length + (omitBody ? 0 : content.length));
  bytes.set(head);
  if (!omitBody) bytes.set(content, head.length);
  return bytes;
}

/** The head of a response. */
export function encodeHead(
  status: number,
  headers: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const lines = [
    `HTTP/1.1 ${status} ${REASONS[status]}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  return new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`);
}

/** A response that says in a line of text why there is no other. */
export function textResponse(
  status: number,
  text = REASONS[status]!.toLowerCase(),
  headers: Readonly<Record<string, string>> = {},
): HttpResponse {
  return {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", ...headers },
    body: `${text}\n`,
  };
}
