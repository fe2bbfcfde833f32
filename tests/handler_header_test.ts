/** The header that spawnd formats, as a child reads it. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import type { ClientFacts } from "../lib/net/client_facts.ts";
import { formatProxyHeader } from "../lib/net/proxy_protocol.ts";
import { FIXED_BYTES, parseHeader, restLength } from "../lib/handler/header.ts";

function parse(header: Uint8Array<ArrayBuffer>) {
  const fixed = header.subarray(0, FIXED_BYTES);
  assertEquals(FIXED_BYTES + restLength(fixed), header.length);
  return parseHeader(fixed, header.subarray(FIXED_BYTES));
}

const port = fc.integer({ min: 0, max: 65_535 });
const address = fc.oneof(
  fc.record({ hostname: fc.ipV4(), port }),
  fc.record({
    hostname: fc.ipV6().map((text) => new URL(`http://[${text}]`).hostname.slice(1, -1)),
    port,
  }),
).filter(({ hostname }) => !hostname.startsWith("::ffff:"));
const name = fc.option(fc.string({ minLength: 1, maxLength: 80, unit: "binary" }), {
  nil: undefined,
});

Deno.test("a child reads what spawnd says of any client, its TLS too", () => {
  fc.assert(fc.property(
    address,
    address,
    fc.option(
      fc.record({
        protocol: fc.constantFrom("TLSv1.2", "TLSv1.3"),
        cipher: fc.constantFrom("TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
        serverName: name,
        alpn: name,
        commonName: name,
      }),
      { nil: undefined },
    ),
    (source, destination, tls) => {
      const known = Object.entries(tls ?? {}).filter(([, value]) => value !== undefined);
      const { commonName, ...rest } = Object.fromEntries(known);
      const client = commonName === undefined ? {} : { client: { text: "", commonName } };
      const facts = { source, destination, ...(tls && { tls: { ...rest, ...client } }) };
      assertEquals(parse(formatProxyHeader(2, facts as ClientFacts)), {
        remote: source,
        local: destination,
        tls: tls && Object.fromEntries(known),
        request: undefined,
      });
    },
  ));
});

Deno.test("a client without an address has none", () => {
  assertEquals(parse(formatProxyHeader(2, {})), { request: undefined });
});

Deno.test("the request for a WebSocket is read, with and without an address", () => {
  const request = {
    target: "/chat/room%201?user=ann",
    scriptName: "/chat",
    pathInfo: "",
    query: "",
  };
  const fields = new Map([["host", "[::1]:80"], ["cookie", "a=b: c"], ["empty", ""]]);
  const endpoint = { hostname: "192.0.2.1", port: 1 };
  const read = { target: request.target, fields };
  const facts = { request: { ...request, fields } };
  assertEquals(parse(formatProxyHeader(2, facts)), { request: read });
  const extensions = Uint8Array.of(0xe0, 0, 2, 47, 120, 0xe1, 0, 0, 0xe2, 0, 0); // a proxy's own
  const local = { source: endpoint, destination: endpoint, extensions };
  assertEquals(parse(formatProxyHeader(2, { ...local, ...facts })).request, read);
});

/** The extensions of a proxy's header: a TLV about TLS with these flags and result of the check. */
function ssl(flags: number, verify: number): Uint8Array {
  return Uint8Array.of(
    0x20,
    0,
    15,
    flags,
    0,
    0,
    0,
    verify,
    0x21,
    0,
    1,
    65,
    0x22,
    0,
    3,
    66,
    111,
    98,
  );
}

Deno.test("what a proxy says of TLS counts; a certificate that it could not verify does not", () => {
  const endpoint = { hostname: "192.0.2.1", port: 1 };
  const tlsOf = (extensions: Uint8Array) =>
    parse(formatProxyHeader(2, { source: endpoint, destination: endpoint, extensions })).tls;
  assertEquals(tlsOf(ssl(7, 0)), { protocol: "A", commonName: "Bob" });
  assertEquals(tlsOf(ssl(7, 1)), { protocol: "A" });
  assertEquals(tlsOf(ssl(1, 0)), { protocol: "A" });
  assertEquals(tlsOf(ssl(0, 0)), undefined);
  assertEquals(tlsOf(Uint8Array.of(0x20, 0, 1, 1)), {});
});
