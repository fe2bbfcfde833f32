import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  formatListenAddress,
  type ListenAddress,
  parseListenAddress,
  parseWebSocketAddress,
} from "../lib/net/listen_address.ts";

Deno.test("parseListenAddress() reads every kind of address", () => {
  const tcp = (hostname: string, port: number) => ({ transport: "tcp", hostname, port }) as const;
  const addresses: Record<string, ListenAddress> = {
    "127.0.0.1:9527": tcp("127.0.0.1", 9527),
    "[::1]:9527": tcp("::1", 9527),
    "[fe80::1%eth0]:1": tcp("fe80::1%eth0", 1),
    "bücher.example.:1": tcp("bücher.example.", 1),
    "a_b.c-d:1": tcp("a_b.c-d", 1),
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

Deno.test("parseListenAddress() reads every kind of address after ws://, with a path or without", () => {
  const tcp = (hostname: string, port: number) => ({ transport: "tcp", hostname, port }) as const;
  const unix = (path: string) => ({ transport: "unix", path }) as const;
  const sockets: Record<string, ListenAddress> = {
    ":80": tcp("", 80),
    "127.0.0.1:80": tcp("127.0.0.1", 80),
    "[::1]:80": tcp("::1", 80),
    "fd:3": { transport: "fd", fd: 3 },
    "fd:web": { transport: "fd", fd: "web" },
    "unix:/run/x.sock": unix("/run/x.sock"),
    "unix:x:1": unix("x:1"),
    "unix:a b": unix("a b"),
    "unix::": unix(":"),
  };
  for (const [socket, address] of Object.entries(sockets)) {
    assertEquals(parseListenAddress(`ws://${socket}`), { ...address, webSocketPath: "/" });
    for (const webSocketPath of ["/", "/chat", "/chat/", "/a:/b", "//", "/~a!b;c=[d]@e"]) {
      const text = `${socket}${address.transport === "unix" ? ":" : ""}${webSocketPath}`;
      const expected = { ...address, webSocketPath };
      assertEquals(parseWebSocketAddress(text), expected, text);
      assertEquals(parseListenAddress(`ws://${text}`), expected, text);
      assertEquals(formatListenAddress(expected), `ws://${text}`);
    }
  }
});

Deno.test("parseListenAddress() refuses what is no address or path after ws://", () => {
  const texts = ["", "/chat", "80", "host", "host/chat", ":80chat", ":80:/chat", ":65536/", "fd:"]
    .concat("fd:3:/chat", "[::1]/chat", "unix:", "ws://:80", "http://:80", ":80/a b", ":80/é")
    .concat(
      "unix::/",
      "unix::/a:/b",
      ":80/a?b",
      ":80/a#b",
      ":80/a%20b",
      ":80/a\nb",
      "unix:x:/a?b",
      "unix:x:/ ",
      ":80/\0",
    );
  for (const text of texts) {
    assertEquals(parseWebSocketAddress(text), undefined, text);
    assertEquals(parseListenAddress(`ws://${text}`), undefined, text);
  }
  assertEquals(parseListenAddress("wss://:80"), undefined);
  assertEquals(parseListenAddress("WS://:80"), undefined);
});

Deno.test("parseListenAddress() refuses what is no address", () => {
  const texts = ["", "9527", "::1", "::1:9527", "[::1]", "[]:1", "a:b:1", "host:", "host:65536"]
    .concat(
      "a..b:1",
      "a%b:1",
      "a b:1",
      ".:1",
      "1.2.3:1",
      "1.2.3.256:1",
      "[a]:1",
      "[1.2.3.4]:1",
      "[::g]:1",
    )
    .concat("[::1%]:1", "[::1%a%b]:1", "[::1]a]:1", "a[:1");
  for (
    const text of [
      ...texts,
      "host:-1",
      "host:1x",
      "ws://:80/a/../b",
      "ws://:80/.",
      "unix:",
      "fd:",
      "fd:a:b",
      "fd:a b",
    ]
  ) {
    assertEquals(parseListenAddress(text), undefined, text);
  }
});

Deno.test("what formatListenAddress() writes, parseListenAddress() reads", () => {
  const socket: fc.Arbitrary<ListenAddress> = fc.oneof(
    fc.record({
      transport: fc.constant("tcp" as const),
      hostname: fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain(), fc.constant("")),
      port: fc.nat(65_535),
    }),
    fc.record({ transport: fc.constant("unix" as const), path: fc.string({ minLength: 1 }) }),
    fc.record({ transport: fc.constant("fd" as const), fd: fc.nat() }),
  );
  const webSocketPath = fc.stringMatching(/^(\/[!"$&-.0->@-~]*)+$/)
    .filter((path) => !path.split("/").some((part) => part === "." || part === ".."));
  fc.assert(fc.property(socket, webSocketPath, (socket, webSocketPath) => {
    assertEquals(parseListenAddress(formatListenAddress(socket)), socket);
    // The path of a Unix socket ends where that of the WebSocket could begin.
    if (socket.transport === "unix" && socket.path.includes(":/")) return;
    const address = { ...socket, webSocketPath };
    assertEquals(parseListenAddress(formatListenAddress(address)), address);
  }));
});
