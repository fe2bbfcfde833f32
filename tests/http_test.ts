import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import type { Connection } from "../lib/net/connection.ts";
import {
  encodeHead,
  encodeResponse,
  listIn,
  parseHead,
  readHead,
  textResponse,
} from "../lib/net/http.ts";
import { connectionOf } from "./_connection.ts";
import { text } from "./_sockets.ts";

const REQUEST = "GET /chat?a=b HTTP/1.1\r\nHost: example.com\r\nX-Name: grüße\r\n\r\n";
const HEAD = REQUEST.slice(0, -4);
const LIMIT = 8 * 1024;

/** What is read after the head. */
async function rest(connection: Connection): Promise<string> {
  let all = "";
  for (;;) {
    const bytes = await connection.read(new Uint8Array(7));
    if (bytes === null) return all;
    all += text(bytes);
  }
}

/** Text in pieces of this size. */
function pieces(bytes: Uint8Array, size: number): Uint8Array[] {
  const count = Math.ceil(bytes.length / size);
  return Array.from({ length: count }, (_, at) => bytes.subarray(at * size, (at + 1) * size));
}

Deno.test("a head is read in pieces of every size, and what follows it is read next", async () => {
  const bytes = new TextEncoder().encode(`${REQUEST}then\r\n\r\nmore`);
  for (let size = 1; size <= bytes.length; size++) {
    const connection = connectionOf(...pieces(bytes, size));
    assertEquals(await readHead(connection), HEAD);
    assertEquals(await rest(connection), "then\r\n\r\nmore");
  }
  for (let at = 0; at <= bytes.length; at++) {
    const connection = connectionOf(
      ...[bytes.slice(0, at), bytes.slice(at)].filter((b) => b.length),
    );
    assertEquals(await readHead(connection), HEAD);
    assertEquals(await rest(connection), "then\r\n\r\nmore");
  }
});

Deno.test("a blank line is CRLF CRLF, and nothing that looks like it", async () => {
  const connection = connectionOf("GET / HTTP/1.1\r\na\n\n\r\n\n\rb\r\r\n\r", "\n\r\n", "\r\nx");
  assertEquals(await readHead(connection), "GET / HTTP/1.1\r\na\n\n\r\n\n\rb\r");
  assertEquals(await rest(connection), "\r\n\r\nx");
});

const END = " HTTP/1.1";

Deno.test("a head may have 8 KiB with its blank line, however it comes", async () => {
  for (const size of [1, 1000, LIMIT - 1, LIMIT, 2 * LIMIT]) {
    for (const [length, isRead] of [[LIMIT, true], [LIMIT + 1, false]] as const) {
      const head = "X".repeat(length - 4 - END.length) + END;
      const bytes = new TextEncoder().encode(`${head}\r\n\r\nrest`);
      const connection = connectionOf(...pieces(bytes, size));
      assertEquals(await readHead(connection), isRead ? head : undefined);
      if (isRead) assertEquals(await rest(connection), "rest");
    }
  }
});

Deno.test("what cannot become a head is not waited for", async () => {
  for (const start of ["\x16\x03\x01", "get / HTTP/1.1", " ", "\0", "SSH-2.0-x\r\n", "GET /\r\n"]) {
    const head = await readHead(connectionOf(start, "x".repeat(9_000)));
    assertEquals(head, start);
    assertEquals(parseHead(head!), undefined);
  }
});

Deno.test("what has been put back may be more than a head can have", async () => {
  const connection = connectionOf("z");
  connection.unread(new TextEncoder().encode(`${REQUEST}${"y".repeat(20_000)}`));
  assertEquals(await readHead(connection), HEAD);
  assertEquals(await rest(connection), `${"y".repeat(20_000)}z`);
});

Deno.test("a byte order mark stays, so what begins with one is no request", async () => {
  const head = await readHead(connectionOf(`\ufeff${REQUEST}`));
  assertEquals(head, `\ufeff${HEAD}`);
  assertEquals(parseHead(head!), undefined);
});

Deno.test("a connection that ends before its blank line has no head", async () => {
  for (const part of ["", "GET", REQUEST.slice(0, -1)]) {
    await assertRejects(() => readHead(connectionOf(...part ? [part] : [])), Error, "ended before");
  }
});

/** A head with one more line. */
const withLine = (line: string) => parseHead(`GET / HTTP/1.1\r\nHost: a\r\n${line}`);

Deno.test("a request has its method, its target as it came, and its fields in small letters", () => {
  const head = parseHead("GET /a%20b?c HTTP/1.0\r\nHOST:a\r\nX-a:\t b c \t\r\nEmpty:\r\nh~!|: é");
  assertEquals(head?.method, "GET");
  assertEquals(head?.target, "/a%20b?c");
  const fields = { "host": "a", "x-a": "b c", "empty": "", "h~!|": "é" };
  assertEquals(Object.fromEntries(head!.fields), fields);
  assertEquals(parseHead("OPTIONS * HTTP/1.1")?.fields.size, 0);
});

Deno.test("fields that come several times are one, in their order", () => {
  const head = parseHead("GET / HTTP/1.1\r\na: 1\r\nb: 2\r\nA: 3, 4\r\na:\r\n__proto__: x");
  assertEquals([...head!.fields], [["a", "1, 3, 4, "], ["b", "2"], ["__proto__", "x"]]);
});

Deno.test("a malformed request line is no request", () => {
  for (
    const line of [
      "",
      "GET",
      "GET /",
      "GET / HTTP/2",
      "GET / HTTP/1.10",
      "GET / HTTP/1.1 ",
      "get / HTTP/1.1",
    ]
      .concat(" GET / HTTP/1.1", "GET  / HTTP/1.1", "GET /a b HTTP/1.1", "GET /é HTTP/1.1")
      .concat("GET /\0 HTTP/1.1", "GET / HTTP/1.1\n", "GET /\n HTTP/1.1", "\r\nGET / HTTP/1.1")
      .concat("\ufeffGET / HTTP/1.1", "GET\t/ HTTP/1.1", "GET / http/1.1", "G1 / HTTP/1.1")
  ) {
    assertEquals(parseHead(line), undefined, JSON.stringify(line));
  }
});

Deno.test("a malformed field makes the whole request so", () => {
  assert(withLine("a: b") !== undefined);
  for (
    const line of ["", "a", ": b", "a : b", " a: b", "\ta: b", "a b: c", "a\0: b", "é: b", "a(: b"]
      .concat('"a": b', "a,b: c", "a/b: c", "a@b: c", "a: b\r\n c", "a: b\r\n\tc: d")
  ) {
    assertEquals(withLine(line), undefined, JSON.stringify(line));
  }
  for (let code = 0; code < 32; code++) {
    const isTab = code === 9;
    const control = String.fromCharCode(code);
    assertEquals(withLine(`a: b${control}c`) !== undefined, isTab, String(code));
  }
  assertEquals(withLine("a: b\x7fc"), undefined);
  assertEquals(withLine("a: b\nc: d"), undefined);
});

Deno.test("a head has at most 100 fields", () => {
  const withFields = (count: number) => `GET / HTTP/1.1${"\r\na: b".repeat(count)}`;
  assert(parseHead(withFields(100)) !== undefined);
  assertEquals(parseHead(withFields(101)), undefined);
});

Deno.test("whatever the fields are, a request that is written is read", () => {
  const token = fc.stringMatching(/^[a-z\d!#$%&'*+.^_`|~-]{1,9}$/);
  const value = fc.stringMatching(/^([!-~é€😀]([\t !-~é€😀]*[!-~é€😀])?)?$/);
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(token, value), { selector: ([name]) => name }),
      (fields) => {
        const lines = fields.map(([name, value]) => `${name}: ${value}`);
        const head = parseHead(["GET / HTTP/1.1", ...lines].join("\r\n"));
        assertEquals([...head!.fields], fields);
      },
    ),
  );
});

Deno.test("the time that a head takes grows with its length, and not with the square of it", async () => {
  const line = "GET / HTTP/1.1\r\n";
  for (
    const unit of [" ", "\t", "\r", "\n", "\r\n", "\r\n\r", ",", " ,", ":", "a", "a: b\r\n", "é"]
  ) {
    const long = unit.repeat(64 * 1024 / unit.length); // eight times what a head can have
    const start = performance.now();
    for (
      const head of [long, `${long}\0`, `${line}a:${long}\0`, `${line}a:b${long}c`, `GET ${long}`]
    ) {
      parseHead(head);
      listIn(head);
      await readHead(connectionOf(head, "\r\n\r\n"));
    }
    const ms = performance.now() - start;
    assert(ms < 2_000, `${ms} ms for ${JSON.stringify(unit)}`);
  }
});

Deno.test("a list is split at its commas, without the blanks around them", () => {
  assertEquals(listIn("a, b\t ,c,,d e "), ["a", "b", "c", "", "d e"]);
  assertEquals(listIn(undefined), [""]);
});

Deno.test("a response has the length of its body, and ends the connection; that to HEAD has none", () => {
  const response = textResponse(404, "grüße", { "x-a": "b" });
  const head = "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain; charset=utf-8\r\nx-a: b\r\n" +
    "content-length: 8\r\nconnection: close\r\n\r\n";
  assertEquals(text(encodeResponse(response)), `${head}grüße\n`);
  assertEquals(text(encodeResponse(response, true)), head);
  assertEquals(textResponse(431).body, "request header fields too large\n");
  assertEquals(text(encodeHead(101, {})), "HTTP/1.1 101 Switching Protocols\r\n\r\n");
});
