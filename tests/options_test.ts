import { assert, assertEquals, assertThrows } from "@std/assert";
import { isModule } from "../lib/child/handler.ts";
import { COMMAND_OPTIONS, parseCommandLine, UsageError } from "../lib/cli/command_line.ts";
import { defaultOf, usage } from "../lib/cli/usage.ts";
import { type Option, OPTIONS, THEMES } from "../lib/server/options.ts";
import { resolveSettings } from "../lib/server/settings.ts";

const ALL_OPTIONS: Option[] = [...Object.values(OPTIONS), ...Object.values(COMMAND_OPTIONS)];

/** The message of the usage error that a command line is. */
function complaint(...args: string[]): string {
  return assertThrows(() => parseCommandLine(args), UsageError).message;
}

Deno.test("without arguments it is the counter service with the defaults", () => {
  const { server, logLevel, logFormat, show } = parseCommandLine([]);
  assertEquals([logLevel, logFormat, show], ["info", "text", undefined]);
  const { handler, ...settings } = resolveSettings(server);
  const defaults = Object.entries<Option>(OPTIONS)
    .filter(([, option]) => option.default !== undefined)
    .map(([key, option]) => [key, option.default]);
  assertEquals<unknown>(settings, { ...Object.fromEntries(defaults), warm: 8 });
  assertEquals(handler.name, "counter");
});

Deno.test("every option sets what it says, and seconds may have a fraction", () => {
  const { server, logLevel, logFormat } = parseCommandLine([
    ..."--host ::1 --port 7 --backlog 8 --reuse-port --unix /run/x --cert c.pem --key k.pem".split(
      " ",
    ),
    ..."--max-connections 10 --queue 11 --queue-timeout 12 --max-per-source 13".split(" "),
    ..."--rate-per-source 14/1.5 --allow 10.0.0.0/8 --allow ::1 --deny 10.1.0.0/16".split(" "),
    ...["--refusal", "not now\n", "--handshake-timeout", "2"],
    ..."--idle-timeout 60 --session-timeout 3600".split(" "),
    ..."--eof-timeout=0.25 --kill-timeout .5 --drain-timeout 3. --warm 9".split(" "),
    ..."--send-proxy 2 --uid 1000 --gid 100 --stderr log".split(" "),
    ..."--log-level error --log-format json".split(" "),
  ]);
  const { handler: _, ...settings } = server;
  assertEquals<unknown>(settings, {
    hostname: "::1",
    port: 7,
    backlog: 8,
    reusePort: true,
    unix: "/run/x",
    cert: "c.pem",
    key: "k.pem",
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

Deno.test("an unknown option is named, with the nearest one where there is one", () => {
  assertEquals(complaint("--prot", "1"), 'unknown option "--prot", did you mean --port?');
  assertEquals(
    complaint("--maxconnections=1"),
    'unknown option "--maxconnections=1", did you mean --max-connections?',
  );
  assertEquals(complaint("--frobnicate"), 'unknown option "--frobnicate"');
  assertEquals(complaint("-x"), 'unknown option "-x"');
  assertEquals(complaint("--no-port"), 'unknown option "--no-port", did you mean --port?');
  assertEquals(complaint("--__proto__=1"), 'unknown option "--__proto__=1"');
});

Deno.test("a value of the wrong kind is named, with what the option takes", () => {
  const port = "--port takes a whole number from 0 to 65535, got";
  assertEquals(complaint("--port", "x"), `${port} "x"`);
  assertEquals(complaint("--port", "65536"), `${port} "65536"`);
  assertEquals(complaint("--port", "1.5"), `${port} "1.5"`);
  assertEquals(complaint("--port", "1e3"), `${port} "1e3"`);
  assertEquals(complaint("--port", "0x10"), `${port} "0x10"`);
  assertEquals(complaint("--port", " 1"), `${port} " 1"`);
  assertEquals(complaint("--port", "-1"), `${port} "-1"`);
  assertEquals(complaint("--port=-1"), `${port} "-1"`);
  assertEquals(complaint("--port"), `${port} nothing`);
  assertEquals(complaint("--port="), `${port} nothing`);
  assertEquals(complaint("--port", "--warm", "1"), `${port} "--warm"`);
  assertEquals(
    complaint("--eof-timeout", "soon"),
    '--eof-timeout takes seconds from 0 to 2147483, got "soon"',
  );
  assertEquals(
    complaint("--eof-timeout", "2147484"),
    '--eof-timeout takes seconds from 0 to 2147483, got "2147484"',
  );
  assertEquals(complaint("--stderr", "file"), '--stderr takes inherit, log or null, got "file"');
  assertEquals(
    complaint("--log-level", "INFO"),
    '--log-level takes debug, info, warn or error, got "INFO"',
  );
  assertEquals(complaint("--host", ""), "--host takes an address or a host name, got nothing");
  assertEquals(
    complaint("--max-connections", "0"),
    '--max-connections takes a whole number from 1 to 1000000, got "0"',
  );
  const cidr = "takes a network such as 192.0.2.0/24 or 2001:db8::/32, got";
  for (const option of ["--allow", "--deny", "--accept-proxy"]) {
    assertEquals(complaint(option, "10.0.0.0/33"), `${option} ${cidr} "10.0.0.0/33"`);
    assertEquals(complaint(option, "::1", option, "x"), `${option} ${cidr} "x"`);
    assertEquals(complaint(option), `${option} ${cidr} nothing`);
  }
  for (const rate of ["x", "1/", "/1", "1/0", "-1", "1.5", "1/x", "1/1/1"]) {
    assertEquals(
      complaint(`--rate-per-source=${rate}`),
      `--rate-per-source takes a number, or a number and seconds, such as 30/60, got "${rate}"`,
    );
  }
  assertEquals(
    complaint("--queue-timeout", "0"),
    '--queue-timeout takes seconds from 0.001 to 2147483, got "0"',
  );
  assertEquals(
    complaint("--send-proxy", "3"),
    '--send-proxy takes a whole number from 0 to 2, got "3"',
  );
  assertEquals(
    complaint("--uid", "nobody", "--gid", "0").slice(0, 31),
    "--uid takes a whole number from",
  );
  assertEquals(complaint("--refusal"), "--refusal takes a text, got nothing");
  assertEquals(complaint("--unix", ""), "--unix takes a path, got nothing");
});

Deno.test("an option that cannot be without or with another one is named", () => {
  assertEquals(complaint("--cert", "c"), "--cert requires --key");
  assertEquals(complaint("--key", "k"), "--key requires --cert");
  assertEquals(complaint("--uid", "1"), "--uid requires --gid");
  const { handler } = parseCommandLine([]).server;
  for (
    const options of [{ uid: 1 }, { cert: "c" }]
  ) {
    assertThrows(() => resolveSettings({ handler, ...options }), RangeError, " requires ");
  }
});

Deno.test("a handler that is none is named", () => {
  assertEquals(
    complaint("git"),
    'a handler is a module (such as handler.ts) or -- and a program, got "git"',
  );
  assertEquals(
    complaint("git", "--", "x"),
    'a handler is a module (such as handler.ts) or -- and a program, got "git"',
  );
  assertEquals(
    complaint(""),
    'a handler is a module (such as handler.ts) or -- and a program, got ""',
  );
  assertEquals(complaint("--"), "-- takes a program and its arguments, got nothing");
});

Deno.test("help and version are asked for in every usual way", () => {
  assertEquals(parseCommandLine(["--help"]).show, "help");
  assertEquals(parseCommandLine(["-h"]).show, "help");
  assertEquals(parseCommandLine(["--port", "1", "--help", "a.ts"]).show, "help");
  assertEquals(parseCommandLine(["--version"]).show, "version");
});

Deno.test("the usage text fits a terminal, and every option is in it with all its facts", () => {
  for (const line of usage().split("\n")) {
    assert(line.length <= 80 && line === line.trimEnd(), `${line}|`);
  }
  const entries = usage().split(/\n(?= {2}-|\n)/).map((entry) => entry.replaceAll(/\s+/g, " "));
  for (const { name, short, argument, help, ...option } of ALL_OPTIONS) {
    const term = ` ${short ? `-${short}, ` : ""}--${name}${argument ? ` ${argument}` : ""} ${help}`;
    const entry = entries.find((entry) => entry.startsWith(term)) ?? "";
    assert(entry !== "", term);
    assertEquals(entry.includes("may be repeated"), option.repeatable ?? false, entry);
    for (const word of [...option.needs ?? [], ...option.words ?? []]) {
      assert(entry.includes(word), entry);
    }
  }
  for (
    const [name, end] of Object.entries({
      "port": "TCP port; 0 takes a free one (default 9527)",
      "eof-timeout": "0 is no limit (default 30)",
      "stderr": "goes: inherit, log or null (default inherit)",
      "cert": "in PEM; needs --allow-read and --key",
    })
  ) {
    const entry = entries.find((entry) => entry.startsWith(` --${name} `));
    assert(entry?.endsWith(end), entry);
  }
});

Deno.test("every option of a server has one theme", () => {
  assertEquals(Object.values(THEMES).flatMap(Object.keys), Object.keys(OPTIONS));
});

Deno.test("the README's tables have every option with its argument and default", async () => {
  const readme = await Deno.readTextFile(new URL("../README.md", import.meta.url));
  const rows = readme.matchAll(/^\| `(?:-\w`, `)?--([\w-]+)(?: ([^`]+))?` *\| ([^|]*?) *\|/gm);
  assertEquals(
    [...rows].map(([, name, argument, standard]) => [name, argument, standard]),
    ALL_OPTIONS.map((option) => [option.name, option.argument, defaultOf(option)]),
  );
});

Deno.test("the documentation of ServerOptions has the defaults of the table", async () => {
  const source = await Deno.readTextFile(new URL("../lib/server/options.ts", import.meta.url));
  const documented = [...source.matchAll(/@default \{(.*)\}\n +\*\/\n +(\w+)\?: /g)];
  assertEquals(
    documented.map(([, standard, key]) => [key, standard]),
    Object.entries<Option>(OPTIONS).map(([key, option]) => [
      key,
      key === "warm" ? "handler.warm" : String(JSON.stringify(option.default)),
    ]),
  );
});

Deno.test("a server option out of range is a RangeError that names it", () => {
  const { handler } = parseCommandLine([]).server;
  for (const [name, { range }] of Object.entries<Option>(OPTIONS)) {
    if (range === undefined) continue;
    const [min, max] = range;
    for (const value of [min - 1, max + 1, min + 0.5, NaN]) {
      const { message } = assertThrows(
        () => resolveSettings({ handler, gid: 1, [name]: value }),
        RangeError,
      );
      assertEquals(
        message,
        `Cannot listen as ${name} must be a whole number from ${min} to ${max}: current value is ${value}`,
      );
    }
    for (const value of [min, max]) resolveSettings({ handler, gid: 1, [name]: value });
  }
});
