import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Networks } from "../lib/net/address.ts";
import { forwardedFor } from "../lib/web/forwarded.ts";

const PROXIES = await Networks.of(["10.0.0.0/8", "fd00::/8"]);

/** The client as `Forwarded` names it, and as `X-Forwarded-For` does: `address` or `address port`. */
function forwarded(header: string): string | undefined {
  return clientOf({ forwarded: header });
}

function xForwardedFor(header: string): string | undefined {
  return clientOf({ "x-forwarded-for": header });
}

function clientOf(fields: Record<string, string>): string | undefined {
  const client = forwardedFor(new Map(Object.entries(fields)), PROXIES);
  return client && `${client.hostname}${client.port === 0 ? "" : ` ${client.port}`}`;
}

const NODES: Readonly<Record<string, string | undefined>> = {
  "192.0.2.1": "192.0.2.1",
  "192.0.2.1:4711": "192.0.2.1 4711",
  "192.0.2.1:_secret": "192.0.2.1",
  "[2001:db8::1]": "2001:db8::1",
  "[2001:DB8:0::1]:80": "2001:db8::1 80",
  "[::ffff:192.0.2.1]:80": "192.0.2.1 80",
  "2001:db8::1": "2001:db8::1",
  "::ffff:192.0.2.1": "192.0.2.1",
  "unknown": undefined,
  "_hidden": undefined,
  "": undefined,
  "unix:": undefined,
};

const NO_NODES = ["192.0.2.1:65536", "192.0.2", "0300.0.2.1", "client.example.com", "9.9.9.9%eth0"]
  .concat("09.9.9.9", "192.0.2.1:", "[2001:db8::1", "2001:db8::1]:80", "a b");

Deno.test("both headers name an address, IPv4 or IPv6, perhaps with a port", () => {
  for (const [node, client] of Object.entries(NODES)) {
    assertEquals(forwarded(`for="${node}"`), client, node);
    assertEquals(xForwardedFor(node), client, node);
  }
  assertEquals(forwarded("for=192.0.2.1:4711"), "192.0.2.1 4711");
  assertEquals(clientOf({}), undefined);
});

Deno.test("what is no address is an error, lest a rule for that address miss its client", () => {
  for (const node of NO_NODES) {
    assertThrows(() => xForwardedFor(node), RangeError, "without an address", node);
    assertThrows(() => forwarded(`for="${node}"`), RangeError, "without an address", node);
  }
  assertThrows(() => forwarded("for=192.0.2.1;for=192.0.2.2"), RangeError, "twice");
  assertEquals(forwarded('for="192.0.2.1\\:80"'), "192.0.2.1 80");
  assertEquals(xForwardedFor("192.0.2.1, "), "192.0.2.1");
});

Deno.test("the client is the last one that is no trusted proxy, if all behind it say", () => {
  const lists: Readonly<Record<string, string | undefined>> = {
    "198.51.100.1, 192.0.2.1": "192.0.2.1",
    "192.0.2.1, 10.0.0.1, [fd00::1]": "192.0.2.1",
    "10.0.0.2, 10.0.0.1": "10.0.0.2",
    "10.0.0.9, 192.0.2.1, 10.0.0.1": "192.0.2.1",
    "192.0.2.1, unknown, 10.0.0.1": "10.0.0.1",
    "192.0.2.1, unknown": undefined,
    "192.0.2.1 ,\t10.0.0.1": "192.0.2.1",
    "::ffff:192.0.2.1, ::ffff:10.0.0.1": "192.0.2.1",
  };
  for (const [list, client] of Object.entries(lists)) {
    assertEquals(xForwardedFor(list), client, list);
    const elements = list.split(",").map((node) => `for="${node.trim()}"`);
    assertEquals(forwarded(elements.join(", ")), client, list);
  }
});

Deno.test("Forwarded may say more of each proxy, in any order and case", () => {
  const headers: Readonly<Record<string, string | undefined>> = {
    'by=10.0.0.1;FOR="[2001:db8::1]:80";proto=https;host="a.example, b"': "2001:db8::1 80",
    "for=192.0.2.1; proto=http, proto=https;for=10.0.0.1": "192.0.2.1",
    "for=192.0.2.1;, for=10.0.0.1;": "192.0.2.1",
    "for=192.0.2.1, by=10.0.0.1": undefined,
    "proto=https": undefined,
    "": undefined,
    'for=192.0.2.1, ext="\\"", for=10.0.0.1': "10.0.0.1",
  };
  for (const [header, client] of Object.entries(headers)) {
    assertEquals(forwarded(header), client, header);
  }
});

Deno.test("a part of Forwarded that is malformed spoils all of it", () => {
  for (
    const header of [
      'for="192.0.2.1',
      'for="192.0.2.1"x',
      "for=192.0.2.1 x",
      "for = 192.0.2.1",
      "192.0.2.1",
      "for",
      "=x",
      "for=[2001:db8::1]]x y",
      'for=a"b"',
      'x="\\',
    ]
  ) {
    assertThrows(() => forwarded(header), RangeError, "the header Forwarded is malformed", header);
  }
});

Deno.test("what a client begins cannot hide or replace what its proxy adds", () => {
  const added = ['for="[2001:db8::1]"', "for=192.0.2.1", 'for="192.0.2.1:80";host="a.example"'];
  const spoofs = [
    "for=203.0.113.9",
    "for=203.0.113.9;",
    'for="',
    'x="',
    'x="\\',
    "for=",
    'a="b";c="',
  ]
    .concat('for=203.0.113.9, x="', "for=203.0.113.9, unknown", "for=10.0.0.1", '"', ";", ",");
  for (const own of added) {
    for (const spoof of spoofs) {
      for (const separator of [", ", ","]) {
        const header = `${spoof}${separator}${own}`;
        try {
          assert(["192.0.2.1", "192.0.2.1 80", "2001:db8::1"].includes(forwarded(header)!), header);
        } catch (error) {
          assert(error instanceof RangeError, header);
        }
      }
    }
  }
  const host = 'for=192.0.2.1;host="a, for=203.0.113.9";proto=https';
  assertEquals(forwarded(host), "192.0.2.1");
  assertEquals(forwarded('for=192.0.2.1;host="a\\", for=203.0.113.9"'), "192.0.2.1");
});

Deno.test("headers that disagree are an error, even if one does not say", () => {
  const [client, other] = ["192.0.2.1", "203.0.113.9"];
  for (
    const usual of [client, "::ffff:192.0.2.1", `${client}:80`, `${other}, ${client}, 10.0.0.1`]
  ) {
    assertEquals(clientOf({ "forwarded": `for=${client}`, "x-forwarded-for": usual }), client);
  }
  for (
    const [standard, usual] of [
      [`for=${client}`, other],
      [`for=${client}`, "unknown"],
      ["for=_hidden", other],
      ["for=10.0.0.1", "10.0.0.2"],
    ]
  ) {
    const fields = { "forwarded": standard!, "x-forwarded-for": usual! };
    assertThrows(() => clientOf(fields), RangeError, "name different clients");
  }
  assertEquals(clientOf({ "forwarded": "for=unknown", "x-forwarded-for": "unknown" }), undefined);
});

Deno.test("whatever a client sends before what its proxy adds, it is this client, or an error", () => {
  const part = fc.constantFrom(
    ...'for=|"|\\|,|;| |[|]|203.0.113.9|host=|10.0.0.1|:|x|_|\t'.split("|"),
  );
  const sent = fc.array(part, { maxLength: 12 }).map((parts) => parts.join(""));
  const seen = { client: 0, error: 0 };
  fc.assert(
    fc.property(sent, fc.constantFrom("for=192.0.2.1", 'for="192.0.2.1"'), (sent, own) => {
      assertEquals(xForwardedFor(`${sent}, 192.0.2.1`), "192.0.2.1");
      let client;
      try {
        client = forwarded(`${sent}, ${own}`);
      } catch (error) {
        assert(error instanceof RangeError);
        seen.error++;
        return;
      }
      assertEquals(client, "192.0.2.1");
      seen.client++;
    }),
    { numRuns: 2_000 },
  );
  assert(seen.client > 100 && seen.error > 100, JSON.stringify(seen));
});

Deno.test("the time that a header takes grows with its length, and not with the square of it", () => {
  const units = [" ", "\t", ",", ";", '"', "\\", "=", "a", ":", "[", "]", "for=", 'a="\\', "1."];
  for (const unit of [...units, "10.0.0.1,", "for=10.0.0.1,"]) {
    const long = unit.repeat(64 * 1024 / unit.length); // eight times what a head can have
    const start = performance.now();
    for (const header of [long, `${long}x`, `for=a${long}x`, `for="${long}`, `for=1${long}x`]) {
      for (const read of [forwarded, xForwardedFor]) {
        try {
          read(header);
        } catch (error) {
          assert(error instanceof RangeError);
        }
      }
    }
    const ms = performance.now() - start;
    assert(ms < 2_000, `${ms} ms for ${JSON.stringify(unit)}`);
  }
});
