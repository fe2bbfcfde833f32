import { assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import {
  formatAddress,
  formatSocketAddress,
  isNetwork,
  Networks,
  parseAddress,
  sourceOf,
  unmapIPv4,
} from "../lib/net/address.ts";

Deno.test("a malformed address does not parse", () => {
  for (
    const text of [
      "",
      "x",
      "127.1",
      "0x7f.1",
      "1.2.3.256",
      "01.2.3.4",
      "1.2.3.4.5",
      "1.2.3.4.",
      "1..2.3",
      ".",
    ]
      .concat([":", ":::", "1::2::3", "::1%eth0", "::1]", "1:2:3:4:5:6:7:8:9", "::g", "[::1]"])
  ) {
    assertEquals(parseAddress(text), undefined, text);
  }
});

Deno.test("addresses round-trip through bytes, in shortest form", () => {
  const shortest = {
    "192.0.2.1": "192.0.2.1",
    "2001:DB8:0:0:0:0:0:1": "2001:db8::1",
    "::": "::",
    "::1": "::1",
    "1::": "1::",
    "::FFFF:192.0.2.1": "192.0.2.1",
    "64:ff9b::192.0.2.1": "64:ff9b::c000:201",
  };
  for (const [text, expected] of Object.entries(shortest)) {
    assertEquals(formatAddress(parseAddress(text)!), expected);
  }
  const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 });
  fc.assert(fc.property(bytes, (address) => {
    assertEquals(parseAddress(formatAddress(address)), Uint8Array.from(address));
  }));
  fc.assert(fc.property(fc.ipV4(), (text) => {
    assertEquals(formatAddress(parseAddress(text)!), text);
  }));
});

Deno.test("a peer is formatted as in a URL, an IPv4-mapped one as plain IPv4", () => {
  assertEquals(formatSocketAddress({ hostname: "::1", port: 80 }), "[::1]:80");
  const peer = unmapIPv4({ hostname: "::ffff:192.0.2.1", port: 80 });
  assertEquals(formatSocketAddress(peer), "192.0.2.1:80");
  assertEquals(unmapIPv4({ hostname: "::ffff:1", port: 80 }).hostname, "::ffff:1");
});

Deno.test("a source is an IPv4 address, or the first 64 bits of an IPv6 address", () => {
  assertEquals(sourceOf("192.0.2.1"), "192.0.2.1");
  assertEquals(sourceOf("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  assertEquals(sourceOf("2001:db8:1:2::"), sourceOf("2001:db8:1:2:ffff::1"));
});

Deno.test("a network is CIDR notation or a single address", () => {
  for (const text of ["10.0.0.0/8", "10.0.0.1", "0.0.0.0/0", "::/0", "2001:db8::/32", "::1"]) {
    assertEquals(isNetwork(text), true, text);
  }
  for (
    const text of ["", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10/8", "x/8", "1.2.3.4/-1"]
  ) {
    assertEquals(isNetwork(text), false, text);
  }
});

Deno.test("a network contains its addresses only, IPv4-mapped or not", async () => {
  const networks = await Networks.of(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]);
  for (const address of ["10.255.0.1", "::ffff:10.0.0.1", "192.0.2.1", "2001:db8:ffff::1"]) {
    assertEquals(networks.has(address), true, address);
  }
  for (const address of ["11.0.0.1", "192.0.2.2", "2001:db9::1", "::1", "::"]) {
    assertEquals(networks.has(address), false, address);
  }
  const all = await Networks.of(["0.0.0.0/0"]);
  assertEquals([all.has("1.2.3.4"), all.has("::1")], [true, false]);
  const none = await Networks.of([]);
  assertEquals([none.isEmpty, all.isEmpty, none.has("::1")], [true, false, false]);
  await assertRejects(() => Networks.of(["10/8"]), RangeError, '"10/8"');
});
