import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { formatAddress } from "../lib/net/address.ts";
import type { ClientFacts } from "../lib/net/client_facts.ts";
import {
  formatProxyHeader,
  parseProxyHeader,
  type ProxyHeader,
  ProxyHeaderError,
  readProxyHeader,
} from "../lib/net/proxy_protocol.ts";
import type { Source } from "../lib/base/relay.ts";
import { concat } from "./_sockets.ts";

const encoder = new TextEncoder();
const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];

/** A header of version 2 with this command, family and what follows them. */
function v2(command: number, family: number, payload: number[]): Uint8Array {
  const length = [payload.length >> 8, payload.length & 255];
  return Uint8Array.from([...SIGNATURE, command, family, ...length, ...payload]);
}

/** A source that returns these pieces, one per read. */
function sourceOf(...pieces: Uint8Array[]): Source {
  return {
    read(buffer) {
      const piece = pieces.shift();
      if (piece === undefined) return Promise.resolve(null);
      buffer.set(piece);
      return Promise.resolve(buffer.subarray(0, piece.length));
    },
  };
}

const TCP4 = [192, 0, 2, 1, 198, 51, 100, 7, 0xd4, 0x31, 0x01, 0xbb];
const HEADER: ProxyHeader = {
  source: { hostname: "192.0.2.1", port: 54321 },
  destination: { hostname: "198.51.100.7", port: 443 },
};

/** Parses a header, which must end where `data` ends. */
function parse(data: string | Uint8Array): ProxyHeader | undefined {
  const bytes = typeof data === "string" ? encoder.encode(data) : data;
  const parsed = parseProxyHeader(bytes);
  if (parsed) assertEquals(parsed.length, bytes.length);
  return parsed?.header;
}

function errorOf(data: string | Uint8Array): string {
  return assertThrows(() => parse(data), ProxyHeaderError).message;
}

Deno.test("version 1 carries both addresses, in either family", () => {
  assertEquals(parse("PROXY TCP4 192.0.2.1 198.51.100.7 54321 443\r\n"), HEADER);
  assertEquals(parse("PROXY TCP6 2001:db8::1 2001:DB8::2 0 65535\r\n"), {
    source: { hostname: "2001:db8::1", port: 0 },
    destination: { hostname: "2001:db8::2", port: 65535 },
  });
  assertEquals(parse("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6407 54321 443\r\n"), HEADER);
});

Deno.test("version 1 UNKNOWN gives no address, even if it lists some", () => {
  assertEquals(parse("PROXY UNKNOWN\r\n"), {});
  assertEquals(parse("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"), {});
});

Deno.test("a malformed version 1 line is rejected", () => {
  for (
    const line of [
      "PROXY TCP4 192.0.2.1 198.51.100.7 54321\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.7 54321 443\n",
      "PROXY TCP4 192.0.2.1 198.51.100.7 54321 443 \r\n",
      "PROXY TCP4  192.0.2.1 198.51.100.7 54321 443\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.7 54321 65536\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.7 054321 443\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.7 -1 443\r\n",
      "PROXY TCP4 192.0.2.256 198.51.100.7 1 443\r\n",
      "PROXY TCP4 192.0.2.1 example.com 1 443\r\n",
      "PROXY TCP4 ::1 ::2 1 443\r\n",
      "PROXY TCP6 192.0.2.1 198.51.100.7 1 443\r\n",
      "PROXY UDP4 192.0.2.1 198.51.100.7 1 443\r\n",
      "PROXY UNKNOWNER\r\n",
      "PROXY \r\n",
    ]
  ) {
    assertEquals(errorOf(line), "the PROXY line is malformed", line);
  }
});

Deno.test("version 1 is limited to 107 bytes", () => {
  const longest = `PROXY UNKNOWN ${"x".repeat(107 - 16)}\r\n`;
  assertEquals(parse(longest), {});
  assertEquals(parse(longest.slice(0, 106)), undefined);
  const message = "the PROXY line is longer than 107 bytes";
  assertEquals(errorOf(longest.replace("x", "xx")), message);
  assertEquals(errorOf(`PROXY ${"x".repeat(101)}`), message);
});

Deno.test("version 2 carries both addresses, in either family, whatever TLVs follow", () => {
  assertEquals(parse(v2(0x21, 0x11, TCP4)), HEADER);
  const extensions = [0xea, 0, 3, 1, 2, 3, 0x05, 0, 0];
  assertEquals(parse(v2(0x21, 0x11, [...TCP4, ...extensions])), {
    ...HEADER,
    extensions: Uint8Array.from(extensions),
  });
  const TCP6 = [...Array(15).fill(0), 1, 0x20, 1, 0x0d, 0xb8, ...Array(12).fill(0), 0, 80, 1, 0];
  assertEquals(parse(v2(0x21, 0x21, TCP6)), {
    source: { hostname: "::1", port: 80 },
    destination: { hostname: "2001:db8::", port: 256 },
  });
  const zeros = Array(10).fill(0);
  const mapped = [...zeros, 255, 255, ...TCP4.slice(0, 4), ...zeros, 255, 255, ...TCP4.slice(4)];
  assertEquals(parse(v2(0x21, 0x21, mapped)), HEADER);
});

Deno.test("version 2 LOCAL, unspecified, UDP and Unix give no address", () => {
  assertEquals(parse(v2(0x20, 0x00, [])), {});
  assertEquals(parse(v2(0x20, 0x11, TCP4)), {});
  for (const family of [0x00, 0x12, 0x22]) assertEquals(parse(v2(0x21, family, TCP4)), {});
  for (const family of [0x31, 0x32]) {
    assertEquals(parse(v2(0x21, family, Array(216).fill(0x2f))), {});
  }
});

Deno.test("a malformed version 2 header is rejected as early as possible", () => {
  const version = "the PROXY header has an unknown version or command";
  assertEquals(errorOf(v2(0x11, 0x11, TCP4).slice(0, 16)), version);
  assertEquals(errorOf(v2(0x22, 0x11, TCP4).slice(0, 16)), version);
  const family = "the PROXY header has an unknown family";
  assertEquals(errorOf(v2(0x21, 0x41, TCP4)), family);
  assertEquals(errorOf(v2(0x21, 0x10, TCP4)), family);
  const short = "the PROXY header is too short for its addresses";
  assertEquals(errorOf(v2(0x21, 0x11, TCP4.slice(1))), short);
  assertEquals(errorOf(v2(0x21, 0x21, Array(35).fill(0))), short);
  for (const part of [[0xea], [0xea, 0], [0xea, 0, 1], [0x05, 0, 0, 0xea, 1, 0, 1]]) {
    const within = "the PROXY header ends within a TLV";
    assertEquals(errorOf(v2(0x21, 0x11, [...TCP4, ...part])), within);
  }
  assertEquals(parse(v2(0x21, 0x00, Array(4080).fill(0))), {});
  assertEquals(
    errorOf(v2(0x21, 0x00, Array(4081).fill(0)).slice(0, 16)),
    "the PROXY header is longer than 4096 bytes",
  );
});

Deno.test("input that is not a header is rejected at the first wrong byte", () => {
  const message = "the connection does not start with a PROXY header";
  for (const data of ["G", "GET / HTTP/1.1\r\n", "PROXX", "proxy TCP4", "\r\n\r\nx", "\x16\x03"]) {
    assertEquals(errorOf(data), message, data);
  }
  assertEquals(errorOf(Uint8Array.of(...SIGNATURE.slice(0, 11), 0)), message);
  for (const data of ["P", "PROXY", "PROXY TCP4 192", "\r\n\r", "\r\n\r\n\0\r\nQUIT"]) {
    assertEquals(parse(data), undefined, data);
  }
});

Deno.test("version 2 says what is known of TLS, and passes on what else a proxy has said", () => {
  const crc32c = [0x03, 0, 4, 1, 2, 3, 4];
  const unique = [0x05, 0, 2, 9, 9];
  const received = [
    ...unique,
    ...crc32c,
    0x01,
    0,
    2,
    0x68,
    0x32,
    0x04,
    0,
    0,
    0x20,
    0,
    5,
    1,
    0,
    0,
    0,
    0,
  ];
  const withTls = (facts: Partial<ClientFacts>) =>
    formatProxyHeader(2, { ...HEADER, extensions: Uint8Array.from(received), ...facts });
  const passedOn = [...unique, 0x01, 0, 2, 0x68, 0x32, 0x20, 0, 5, 1, 0, 0, 0, 0];
  assertEquals(withTls({}), v2(0x21, 0x11, [...TCP4, ...passedOn]));
  const tls = { protocol: "TLSv1.3", cipher: "X", serverName: "a.b", alpn: "smtp" };
  const about = (flags: number, ...more: number[]) => [
    ...[0x01, 0, 4, ...encoder.encode("smtp"), 0x02, 0, 3, ...encoder.encode("a.b")],
    ...[0x20, 0, 19 + more.length, flags, 0, 0, 0, 0],
    ...[0x21, 0, 7, ...encoder.encode("TLSv1.3"), 0x23, 0, 1, 0x58, ...more],
  ];
  assertEquals(withTls({ tls }), v2(0x21, 0x11, [...TCP4, ...about(1), ...unique]));
  const client = { text: "CN=al,O=x", commonName: "al" };
  assertEquals(
    withTls({ tls: { ...tls, client } }),
    v2(0x21, 0x11, [...TCP4, ...about(7, 0x22, 0, 2, 0x61, 0x6c), ...unique]),
  );
  assertEquals(
    formatProxyHeader(2, { tls: { protocol: "P", cipher: "C" } }),
    v2(0x21, 0x00, [0x20, 0, 13, 1, 0, 0, 0, 0, 0x21, 0, 1, 0x50, 0x23, 0, 1, 0x43]),
  );
});

const address = fc.oneof(
  fc.ipV4(),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map(formatAddress),
);
const peer = fc.record({ hostname: address, port: fc.nat(65535) });
const header = fc.oneof(fc.constant({}), fc.record({ source: peer, destination: peer }));
const version = fc.constantFrom<1 | 2>(1, 2);

Deno.test("every header survives formatting and reading, however it is split", async () => {
  const property = fc.asyncProperty(
    header,
    version,
    fc.uint8Array({ maxLength: 300 }),
    fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 20 }),
    async (header, version, body, sizes) => {
      let bytes: Uint8Array = concat([formatProxyHeader(version, header), body]);
      const pieces = [];
      for (const size of sizes) {
        pieces.push(bytes.subarray(0, size));
        bytes = bytes.subarray(size);
      }
      const source = sourceOf(...[...pieces, bytes].filter(({ length }) => length > 0));
      const read = await readProxyHeader(source);
      assertEquals(read.header, header);
      const after = [read.rest];
      for (;;) {
        const chunk = await source.read(new Uint8Array(4096));
        if (chunk === null) break;
        after.push(chunk);
      }
      assertEquals(concat(after), Uint8Array.from(body));
    },
  );
  await fc.assert(property, { numRuns: 500 });
});

Deno.test("any bytes are a header, the beginning of one, or rejected", () => {
  const junk = fc.uint8Array({ maxLength: 300 });
  const begun = fc.tuple(header, version, fc.nat(60), junk).map(([header, version, at, junk]) =>
    concat([formatProxyHeader(version, header).subarray(0, at), junk])
  );
  fc.assert(
    fc.property(fc.oneof(junk, begun), (bytes) => {
      try {
        const parsed = parseProxyHeader(bytes);
        if (parsed) assertEquals(parsed.length <= bytes.length, true);
      } catch (error) {
        if (!(error instanceof ProxyHeaderError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("end of input within a header is rejected", async () => {
  for (const data of ["", "PROXY TCP4 192"]) {
    const pieces = data ? [encoder.encode(data)] : [];
    await assertRejects(
      () => readProxyHeader(sourceOf(...pieces)),
      ProxyHeaderError,
      "the connection ended before the end of a PROXY header",
    );
  }
});
