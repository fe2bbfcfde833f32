import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  formatListenAddress,
  type ListenAddress,
  parseListenAddress,
} from "../lib/net/listen_address.ts";

Deno.test("parseListenAddress() reads every kind of address", () => {
  const tcp = (hostname: string, port: number) => ({ transport: "tcp", hostname, port }) as const;
  const addresses: Record<string, ListenAddress> = {
    "127.0.0.1:9527": tcp("127.0.0.1", 9527),
    "[::1]:9527": tcp("::1", 9527),
    "localhost:0": tcp("localhost", 0),
    ":65535": tcp("", 65_535),
    "unix:/run/x.sock": { transport: "unix", path: "/run/x.sock" },
    "unix:a b:1": { transport: "unix", path: "a b:1" },
    "fd:3": { transport: "fd", fd: 3 },
    "fd:spawnd-echo@1.socket": { transport: "fd", fd: "spawnd-echo@1.socket" },
    "fd:a\\x2db": { transport: "fd", fd: "a\\x2db" },
  };
  assertEquals(parseListenAddress("*:80"), { transport: "tcp", hostname: "", port: 80 });
  for (const [text, address] of Object.entries(addresses)) {
    assertEquals(parseListenAddress(text), address);
    assertEquals(formatListenAddress(address), text);
  }
});

Deno.test("parseListenAddress() refuses what is no address", () => {
  const texts = ["", "9527", "::1", "::1:9527", "[::1]", "[]:1", "a:b:1", "host:", "host:65536"];
  for (const text of [...texts, "host:-1", "host:1x", "unix:", "fd:", "fd:a:b", "fd:a b"]) {
    assertEquals(parseListenAddress(text), undefined, text);
  }
});

Deno.test("what formatListenAddress() writes, parseListenAddress() reads", () => {
  const address: fc.Arbitrary<ListenAddress> = fc.oneof(
    fc.record({
      transport: fc.constant("tcp" as const),
      hostname: fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain(), fc.constant("")),
      port: fc.nat(65_535),
    }),
    fc.record({ transport: fc.constant("unix" as const), path: fc.string({ minLength: 1 }) }),
    fc.record({ transport: fc.constant("fd" as const), fd: fc.nat() }),
  );
  fc.assert(fc.property(address, (address) => {
    assertEquals(parseListenAddress(formatListenAddress(address)), address);
  }));
});
