import { assertEquals } from "@std/assert";
import { parseCommandLine, UsageError } from "../lib/cli/command_line.ts";
import { isLoopback } from "../lib/net/address.ts";
import { originProblem } from "../lib/web/origin.ts";

/** Whether a page of `origin` may connect to `host`. */
function mayConnect(
  origin: string | undefined,
  host: string,
  { isTls = false, isLocal = false, allowed = [] as string[] } = {},
): boolean {
  return originProblem({ origin, host, isTls, isLocal }, allowed) === undefined;
}

Deno.test("a client that is no browser names no origin, and may connect", () => {
  for (const isLocal of [true, false]) {
    for (const host of ["example.com", "", "\0", "a b"]) {
      assertEquals(mayConnect(undefined, host, { isLocal }), true);
      assertEquals(
        mayConnect(undefined, host, { isLocal, allowed: ["https://example.com"] }),
        true,
      );
    }
  }
});

Deno.test("by default a page of the server's own host and port may connect, and no other", () => {
  for (
    const [origin, host] of [
      ["http://example.com", "example.com"],
      ["https://example.com", "example.com"],
      ["http://example.com", "EXAMPLE.com:80"],
      ["https://example.com", "example.com:443"],
      ["http://example.com:8080", "example.com:8080"],
      ["http://192.0.2.1:8080", "192.0.2.1:8080"],
      ["http://[2001:db8::1]:8080", "[2001:DB8:0::1]:8080"],
      ["https://xn--bcher-kva.example", "bücher.example"],
    ] as const
  ) {
    assertEquals(mayConnect(origin, host), true, `${origin} ${host}`);
  }
  for (
    const [origin, host] of [
      ["http://evil.example", "example.com"],
      ["http://example.com.evil.example", "example.com"],
      ["http://evilexample.com", "example.com"],
      ["http://www.example.com", "example.com"],
      ["http://example.com", "example.com:8080"],
      ["http://example.com:8080", "example.com"],
      ["http://example.com", "example.com:443"],
      ["https://example.com", "example.com:80"],
      ["null", "example.com"],
      ["null", "null"],
      ["file://", ""],
      ["file://", "example.com"],
      ["", ""],
      ["example.com", "example.com"],
      ["http://", ""],
      ["http://example.com", ""],
      ["http://example.com, http://evil.example", "example.com"],
      ["http://example.com", "example.com, evil.example"],
      ["http://example.com", "evil.example/example.com"],
      ["data:text/html,x", ""],
      ["chrome-extension://abcdef", "abcdef"],
      ["app://localhost", "localhost"],
    ] as const
  ) {
    assertEquals(mayConnect(origin, host), false, `${origin} ${host}`);
  }
});

Deno.test("over TLS, a page that came without it is another origin", () => {
  for (
    const [origin, isOwn] of [["https://a.example", true], ["http://a.example", false]] as const
  ) {
    assertEquals(mayConnect(origin, "a.example", { isTls: true }), isOwn);
    assertEquals(mayConnect(`${origin}:8443`, "a.example:8443", { isTls: true }), isOwn);
  }
});

Deno.test("over the loopback, the host must be the loopback's name too", () => {
  for (const host of ["localhost:9527", "127.0.0.1:9527", "127.1.2.3", "[::1]:9527", "LOCALHOST"]) {
    assertEquals(mayConnect(`http://${host.toLowerCase()}`, host, { isLocal: true }), true, host);
  }
  for (
    const host of [
      "rebound.example",
      "localhost.example",
      "127.0.0.1.example",
      "192.0.2.1",
      "[::2]",
    ]
      .concat("xlocalhost", "localhost.", "0.0.0.0")
  ) {
    assertEquals(mayConnect(`http://${host}`, host, { isLocal: true }), false, host);
    assertEquals(mayConnect(`http://${host}`, host), true, host);
  }
});

Deno.test("--origin adds to that: these pages may connect, whatever host they ask for", () => {
  const allowed = ["https://app.example", "http://localhost:3000", "tauri://localhost"];
  for (const isLocal of [true, false]) {
    for (const origin of allowed) {
      assertEquals(mayConnect(origin, "whatever.example", { isLocal, allowed }), true);
    }
    for (
      const origin of ["https://a.example", "http://app.example", "https://app.example:8443"]
        .concat("https://app.example.evil.example", "https://app.example, https://app.example")
        .concat("https://APP.example", "null", "*", "")
    ) {
      assertEquals(mayConnect(origin, "example.com", { isLocal, allowed }), false, origin);
    }
    assertEquals(mayConnect("http://localhost", "localhost", { isLocal, allowed }), true);
    for (const origin of ["https://evil.example", "null", ""]) {
      assertEquals(mayConnect(origin, "", { isLocal, allowed: ["*"] }), true);
    }
  }
});

Deno.test("--origin takes an origin as browsers write it, of a site, an app or an extension", () => {
  const accepts = (origin: string) => {
    try {
      parseCommandLine(["--websocket", ":80", "--origin", origin]);
      return true;
    } catch (error) {
      assertEquals(error instanceof UsageError, true);
      return false;
    }
  };
  for (
    const origin of ["*", "https://a.example", "http://localhost:3000", "http://[::1]:81"]
      .concat(
        "tauri://localhost",
        "chrome-extension://abcdef",
        "https://xn--bcher-kva.example",
        "null",
      )
  ) {
    assertEquals(accepts(origin), true, origin);
  }
  for (
    const origin of [
      "a.example",
      "https://a.example/",
      "https://A.example",
      "https://a.example:443",
    ]
      .concat(
        "http://127.1",
        "https://bücher.example",
        "https://*.example",
        "file://",
        "https://u@a.example",
      )
      .concat("https://a.example/x", "https://*.example?", "https://a.example, https://b.example")
  ) {
    assertEquals(accepts(origin), false, origin);
  }
});

Deno.test("a refused page is told why, and what would admit it", () => {
  const why = (origin: string, host: string, isLocal: boolean, allowed: string[] = []) =>
    originProblem({ origin, host, isTls: false, isLocal }, allowed);
  assertEquals(
    why("http://a.example", "b.example", false),
    "a page of http://a.example is not one of this host and port, b.example: --origin http://a.example would allow it",
  );
  assertEquals(
    why("http://a.example:80", "a.example", true),
    "a page of a.example may not use the loopback: ask by the name localhost, or allow it with --origin http://a.example:80",
  );
  for (
    const origin of ["x'; reboot #", "http://a.example/path", "http://a.example http://b.example"]
  ) {
    assertEquals(why(origin, "b.example", false), "the Origin header is malformed");
  }
  assertEquals(
    why("http://a.example", "b.example", false, ["http://b.example"])?.split(":")[0],
    "a page of http",
  );
});

Deno.test("isLoopback() knows the names and addresses of the loopback", () => {
  for (
    const hostname of ["localhost", "127.0.0.1", "127.255.0.3", "::1", "[::1]", "::ffff:127.0.0.1"]
  ) {
    assertEquals(isLoopback(hostname), true, hostname);
  }
  for (
    const hostname of ["", "localhos", "127.evil.example", "1.127.0.0.1", "::", "::11", "0.0.0.0"]
  ) {
    assertEquals(isLoopback(hostname), false, hostname);
  }
});
