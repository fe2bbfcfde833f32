import { assert, assertEquals, assertThrows } from "@std/assert";
import { isModule } from "../lib/child/handler.ts";
import { parseCommandLine, UsageError } from "../lib/cli/command_line.ts";
import { type Option, OPTIONS } from "../lib/server/options.ts";
import { resolveSettings } from "../lib/server/settings.ts";

Deno.test("without arguments it is the counter service with the defaults", () => {
  const { server, logLevel, logFormat, show } = parseCommandLine([]);
  assertEquals([logLevel, logFormat, show], ["info", undefined, undefined]);
  const { handler, listen, ...settings } = resolveSettings(server);
  const defaults = Object.entries<Option>(OPTIONS)
    .filter(([key, option]) => option.default !== undefined && key !== "listen")
    .map(([key, option]) => [key, option.default]);
  const ofHandler = { warm: 8, wsMode: "bytes" };
  assertEquals<unknown>(settings, { ...Object.fromEntries(defaults), ...ofHandler });
  assertEquals([handler.name, listen], ["counter", ["0.0.0.0:9527"]]);
});

Deno.test("every option sets what it says, and seconds may have a fraction", () => {
  const { server, logLevel, logFormat } = parseCommandLine([
    ..."--host ::1 --port 7 --backlog 8 --reuse-port --unix /run/x --cert c.pem --key k.pem".split(
      " ",
    ),
    ..."--cert d.pem --key l.pem --client-ca a.pem --alpn h2 --alpn http/1.1 --tls-min 1.3".split(
      " ",
    ),
    ..."--max-connections 10 --queue 11 --queue-timeout 12 --max-per-source 13".split(" "),
    ..."--rate-per-source 14/1.5 --allow 10.0.0.0/8 --allow ::1 --deny 10.1.0.0/16".split(" "),
    ...["--refusal", "not now\n", "--handshake-timeout", "2"],
    ..."--idle-timeout 60 --session-timeout 3600".split(" "),
    ..."--eof-timeout=0.25 --kill-timeout .5 --drain-timeout 3. --warm 9".split(" "),
    ..."--send-proxy 2 --uid 1000 --gid 100 --stderr log".split(" "),
    ..."--websocket :80/chat --ws-mode text --ws-protocol mqtt --origin https://a.example".split(
      " ",
    ),
    ..."--ws-max-message 65536 --ws-ping 0.5 --no-page".split(" "),
    ..."--log-level error --log-format json".split(" "),
  ]);
  const { handler: _, ...settings } = server;
  assertEquals<unknown>(settings, {
    hostname: "::1",
    port: 7,
    backlog: 8,
    reusePort: true,
    unix: "/run/x",
    webSocket: [":80/chat"],
    wsMode: "text",
    wsProtocol: ["mqtt"],
    origin: ["https://a.example"],
    wsMaxMessageBytes: 65_536,
    wsPingMs: 500,
    page: false,
    cert: ["c.pem", "d.pem"],
    key: ["k.pem", "l.pem"],
    clientCa: ["a.pem"],
    alpn: ["h2", "http/1.1"],
    tlsMin: "1.3",
    maxConnections: 10,
    queue: 11,
    queueTimeoutMs: 12_000,
    maxPerSource: 13,
    ratePerSource: { count: 14, periodMs: 1500 },
    allow: ["10.0.0.0/8", "::1"],
    deny: ["10.1.0.0/16"],
    refusal: "not now\n",
    handshakeTimeoutMs: 2000,
    idleTimeoutMs: 60_000,
    sessionTimeoutMs: 3_600_000,
    eofTimeoutMs: 250,
    killTimeoutMs: 500,
    drainTimeoutMs: 3000,
    warm: 9,
    sendProxy: 2,
    uid: 1000,
    gid: 100,
    stderr: "log",
  });
  assertEquals([logLevel, logFormat], ["error", "json"]);
  const { acceptProxy, ratePerSource } = parseCommandLine(
    "--accept-proxy ::/0 --rate-per-source 5".split(" "),
  ).server;
  assertEquals([acceptProxy, ratePerSource], [["::/0"], { count: 5, periodMs: 1000 }]);
});

Deno.test("a first word that is a module gets the words after it, options and -- included", () => {
  const { handler, port } = parseCommandLine(
    ["--port", "1", "./handler.ts", "a", "--port", "2", "--", "b", "-x"],
  ).server;
  assertEquals(port, 1);
  assertEquals(handler.name, "./handler.ts");
  assertEquals(handler.args.slice(-7), ["./handler.ts", "a", "--port", "2", "--", "b", "-x"]);
  assertEquals(handler.warm, 8);
});

Deno.test("a status address is a port of the loopback, or an address and a port", () => {
  const cases: Record<string, [string, number]> = {
    "9528": ["127.0.0.1", 9528],
    "0.0.0.0:80": ["0.0.0.0", 80],
    "localhost:0": ["localhost", 0],
    "[::1]:65535": ["::1", 65535],
  };
  for (const [text, [hostname, port]] of Object.entries(cases)) {
    assertEquals(parseCommandLine(["--status", text]).status, { hostname, port });
  }
  for (const text of ["", "x", ":80", "::1:80", "[::1]", "[]:80", "host:", "1:65536", "-1"]) {
    assertThrows(() => parseCommandLine(["--status", text]), UsageError, "--status takes a port");
  }
  assertEquals(parseCommandLine([]).status, undefined);
});

Deno.test("no Deno child may ask for a permission or is given one", () => {
  for (const words of [[], ["handler.ts"]]) {
    const { args } = parseCommandLine(words).server.handler;
    assert(args.includes("--no-prompt"));
    assert(!args.some((arg) => /^-(A|[RWNES]|P)|^--allow|^--permission/.test(arg)), args.join(" "));
  }
});

Deno.test("after -- comes any program, its arguments as they are", () => {
  const { handler } = parseCommandLine(["--", "git", "daemon", "--inetd", "--", "-x"]).server;
  assertEquals([handler.command, handler.args], ["git", ["daemon", "--inetd", "--", "-x"]]);
  assertEquals(handler.warm, 0);
});

Deno.test("modules are known by their ending or as an address", () => {
  for (
    const word of [
      "a.ts",
      "./b.js",
      "c.mts",
      "d.mjs",
      "e.tsx",
      "f.jsx",
      "file:///g",
      "https://h/i",
      "jsr:@j/k",
      "npm:l",
    ]
  ) {
    assert(isModule(word), word);
  }
  for (const word of ["cat", "a.tsv", "ts", "a.ts.bak", "./run", "a.sh", "ftp://x"]) {
    assert(!isModule(word), word);
  }
});

Deno.test("help and version are asked for in every usual way", () => {
  assertEquals(parseCommandLine(["--help"]).show, "help");
  assertEquals(parseCommandLine(["-h"]).show, "help");
  assertEquals(parseCommandLine(["--port", "1", "--help", "a.ts"]).show, "help");
  assertEquals(parseCommandLine(["--version"]).show, "version");
});

Deno.test("a configuration file may be given with settings that take the place of its own", () => {
  const { config, check, once, overrides } = parseCommandLine(
    "-c services.jsonc --check --max-children 5 --log-level warn --status 1".split(" "),
  );
  assertEquals([config, check, once], ["services.jsonc", true, false]);
  assertEquals(overrides, {
    maxChildren: 5,
    logLevel: "warn",
    status: { hostname: "127.0.0.1", port: 1 },
  });
  const plain = parseCommandLine(["--once"]);
  assertEquals([plain.config, plain.check, plain.once, plain.maxChildren], [
    undefined,
    false,
    true,
    0,
  ]);
  assertEquals(plain.overrides, {});
});

Deno.test("a limit that is too short to be counted is a millisecond, not no limit", () => {
  for (const [text, ms] of [["0", 0], ["0.0001", 1], ["0.001", 1], ["1.0004", 1000]] as const) {
    assertEquals(parseCommandLine(["--idle-timeout", text]).server.idleTimeoutMs, ms);
  }
});
