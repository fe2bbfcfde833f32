import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type CommandSettings, UsageError } from "../lib/cli/command_line.ts";
import { parseConfiguration, readConfiguration } from "../lib/cli/config_file.ts";
import { Spawnd } from "./_spawnd.ts";

/** Reads a configuration that stands in /srv. */
const read = (text: string, overrides: Partial<CommandSettings> = {}) =>
  parseConfiguration(text, "/srv/services.jsonc", overrides);

/** The options of the services of a configuration, in order, without their handlers. */
function optionsOf(text: string): unknown[] {
  return [...read(text).services.values()].map(({ handler: _, ...options }) => options);
}

/** What is wrong with a configuration: the lines of the error, without the file. */
function complaints(text: string): string[] {
  const { problems }: UsageError = assertThrows(() => read(text), UsageError);
  return problems.map((problem) => {
    assert(problem.startsWith("/srv/services.jsonc:"), problem);
    return problem.slice("/srv/services.jsonc:".length);
  });
}

/** What is wrong with the only service of a configuration in one line. */
const complaintsOf = (service: string) => complaints(`{ "services": { "a": ${service} } }`);

Deno.test("services get their options by name, in seconds, with comments and trailing commas", () => {
  const text = `{
    // a comment
    "$schema": "../docs/schema.json",
    "services": {
      "a": {
        "listen": ":9527", /* another */
        "idle-timeout": 0.25,
        "rate": 3,
        "rate-per-source": "30/60",
        "no-group": true,
        "leave": false,
        "env": { "TZ": "UTC", "A": "b=c" },
        "allow": ["10.0.0.0/8", "::1"],
        "stop-signal": "int",
        "refusal": "",
      },
    },
  }`;
  assertEquals(optionsOf(text), [{
    listen: [":9527"],
    idleTimeoutMs: 250,
    rate: { count: 3, periodMs: 1000 },
    ratePerSource: { count: 30, periodMs: 60_000 },
    group: false,
    leave: false,
    env: { TZ: "UTC", A: "b=c" },
    allow: ["10.0.0.0/8", "::1"],
    stopSignal: "SIGINT",
    refusal: "",
  }]);
});

Deno.test("a service's options take the place of the defaults at the top, and of those they exclude", () => {
  const text = `{
    "max-per-source": 10, "no-group": true, "allow": ["::1"], "uid": 1, "gid": 1,
    "services": {
      "a": { "port": 1 },
      "b": { "port": 2, "max-per-source": 0, "no-group": false, "allow": [], "user": "git" }
    }
  }`;
  assertEquals(optionsOf(text), [
    { maxPerSource: 10, group: false, allow: ["::1"], uid: 1, gid: 1, port: 1 },
    { maxPerSource: 0, group: true, allow: [], user: "git", port: 2 },
  ]);
});

Deno.test("defaults of TLS are for the services with a certificate, but no service loses its client-ca", () => {
  const services = `{ "a": { "port": 1, "cert": "c", "key": "k" }, "b": { "port": 2 } }`;
  const [a, b] = optionsOf(`{ "tls-min": "1.3", "alpn": "h2", "services": ${services} }`);
  assertEquals([a, b], [
    { tlsMin: "1.3", alpn: ["h2"], port: 1, cert: ["/srv/c"], key: ["/srv/k"] },
    { port: 2 },
  ]);
  assertEquals(complaints(`{ "client-ca": "a",\n "services": ${services} }`), [
    "1: b: client-ca: requires cert",
  ]);
});

Deno.test("relative paths start at the folder of the file", () => {
  const text = `{ "services": {
    "a": { "listen": ["unix:run/a", "unix:/run/a"], "unix": "../b", "cwd": "data",
           "cert": "c.pem", "key": "/k.pem", "module": "lib/a.ts", "args": ["x", "./y"] },
    "b": { "port": 1, "command": ["bin/run", "x"] },
    "c": { "port": 2, "command": ["cat", "-"] },
    "d": { "port": 3, "module": "jsr:@a/b" }
  } }`;
  const { services } = read(text);
  const { handler, ...options } = services.get("a")!;
  assertEquals(options, {
    listen: ["unix:/srv/run/a", "unix:/run/a"],
    unix: "/b",
    cwd: "/srv/data",
    cert: ["/srv/c.pem"],
    key: ["/k.pem"],
  });
  assertEquals(handler.args.slice(-3), ["/srv/lib/a.ts", "x", "./y"]);
  const commands = ["b", "c"].map((name) => services.get(name)!.handler);
  assertEquals(
    commands.map(({ command, args }) => [command, ...args]),
    [["/srv/bin/run", "x"], ["cat", "-"]],
  );
  assertEquals(services.get("d")!.handler.name, "jsr:@a/b");
});

Deno.test("only the path of a socket starts at the folder of the file, not that of its WebSocket", () => {
  const at = (path: string, ...texts: string[]) =>
    parseConfiguration(JSON.stringify({ services: { a: { websocket: texts } } }), path)
      .services.get("a")!.webSocket;
  assertEquals(at("/srv/a.jsonc", "unix:x:/", "unix:run/../y:/a//b/", "unix:/x", ":80/a//b"), [
    "unix:/srv/x:/",
    "unix:/srv/y:/a//b/",
    "unix:/x:/",
    ":80/a//b",
  ]);
  assertThrows(
    () => at("/srv/odd:/a.jsonc", "unix:x"),
    UsageError,
    "a: websocket: the path of the file has :/ in it",
  );
});

Deno.test("an empty list of addresses is not the default", () => {
  for (const more of ["", `, "b": { "listen": ":2" }`]) {
    const error = assertThrows(
      () => read(`{ "services": { "a": { "listen": [] }${more} } }`),
      UsageError,
    );
    assertEquals(error.problems, ["/srv/services.jsonc:1: a: listen: has no address in it"]);
  }
  const { services } = read(`{ "services": { "a": { "listen": [], "websocket": ":1" } } }`);
  assertEquals([...services.keys()], ["a"]);
});

Deno.test("without a handler it is the counter service, and the only service needs no address", () => {
  const { services, ...settings } = read(`{ "services": { "only": {} } }`);
  assertEquals([...services.keys()], ["only"]);
  assertEquals(services.get("only")!.handler.name, "counter");
  assertEquals(settings, { logLevel: "info", maxChildren: 0 });
});

Deno.test("the command's own settings stand at the top, and the command line's go before them", () => {
  const text = `{ "log-level": "warn", "log-format": "json", "status": 9528, "max-children": 5,
    "services": { "a": {} } }`;
  const { services, ...settings } = read(text, { maxChildren: 7, logFormat: "text" });
  assertEquals(settings, {
    logLevel: "warn",
    logFormat: "text",
    status: { hostname: "127.0.0.1", port: 9528 },
    maxChildren: 7,
  });
  assertEquals(services.get("a")!.handler.args.at(-1), "--quiet");
});

Deno.test("everything wrong is named at once, with line, service, key, and the nearest key", () => {
  const text = `{
    "max-per-sorce": 10,
    "listen": ":1",
    "services": {
      "web": {
        "port": 65536, "idle-timeout": "60",
        "no-group": 1,
        "stderr": "file",
        "status": 9528,
        "once": true,
        "allow": ["::1",
          "10.0.0.0/33"]
      },
      "bare": {},
      "No": { "port": 1 }
    }
  }`;
  assertEquals(complaints(text), [
    "2: max-per-sorce: there is no such key, did you mean max-per-source?",
    "3: listen: belongs in a service",
    "6: web: port: takes a whole number from 0 to 65535, got 65536",
    '6: web: idle-timeout: takes seconds from 0 to 2147483, got "60"',
    "7: web: no-group: takes true or false, got 1",
    '8: web: stderr: takes inherit, log, client or null, got "file"',
    "9: web: status: belongs at the top of the file",
    "10: web: once: is for the command line only",
    '12: web: allow: takes a network such as 192.0.2.0/24 or 2001:db8::/32, got "10.0.0.0/33"',
    "14: bare: listen: is missing: several services need an address each",
    "15: services: No: a name is 1 to 64 of a-z, 0-9, '.', '_' and '-'",
  ]);
});

Deno.test("options that do not fit together are named, at the top and in a service", () => {
  assertEquals(complaintsOf('{ "cert": "c" }'), ["1: a: cert: requires key"]);
  assertEquals(complaintsOf('{ "cert": ["c", "d"], "key": "k" }'), [
    "1: a: cert: every cert takes a key, got 2 cert and 1 key",
  ]);
  assertEquals(complaintsOf('{ "user": "git", "uid": 1, "gid": 1 }'), [
    "1: a: user: cannot be given with uid",
  ]);
  assertEquals(complaints('{ "user": "git",\n "gid": 1, "services": { "a": {} } }'), [
    "1: user: cannot be given with gid",
  ]);
});

Deno.test("a handler that is none is named", () => {
  const cases: Record<string, string> = {
    '{ "module": "cat" }':
      'module: takes a module, such as handler.ts, or the address of one, got "cat"',
    '{ "module": "a.ts", "command": ["cat"] }': "command: cannot be given with module",
    '{ "args": [] }': "args: requires module; a program's arguments go in command",
    '{ "module": "a.ts", "args": "x" }': 'args: takes a list of texts, such as ["-v"], got "x"',
    '{ "command": "bc -l" }':
      'command: takes a list of a program and its arguments, such as ["bc", "-l"], got "bc -l"',
    '{ "command": [] }':
      'command: takes a list of a program and its arguments, such as ["bc", "-l"], got a list',
    '{ "command": ["cat"], "grant": "env" }':
      "grant: applies to modules only; a program has the rights of its user",
  };
  for (const [service, complaint] of Object.entries(cases)) {
    assertEquals(complaintsOf(service), [`1: a: ${complaint}`]);
  }
});

Deno.test("services whose addresses overlap are both named, however they are written", () => {
  const pairs = [
    ['"unix": "run/x"', '"listen": ["unix:/srv/run/../run/x"]', "a listens on unix:/srv/run/x too"],
    ['"listen": "fd:3"', '"listen": "fd:03"', "a listens on fd:3 too"],
    ['"host": "0.0.0.0"', '"port": 9527', "a listens on 0.0.0.0:9527 too"],
    ['"listen": ":80"', '"listen": "[::0]:80"', "[::0]:80 overlaps :80, where a listens"],
    [
      '"listen": "LOCALHOST:80"',
      '"host": "localhost", "port": 80',
      "localhost:80 overlaps LOCALHOST:80, where a listens",
    ],
    ['"port": 80', '"listen": "[::]:80"', "[::]:80 overlaps 0.0.0.0:80, where a listens"],
    [
      '"listen": "127.0.0.1:80"',
      '"port": 80',
      "0.0.0.0:80 overlaps 127.0.0.1:80, where a listens",
    ],
  ];
  for (const [first, second, complaint] of pairs) {
    assertEquals(complaints(`{ "services": { "a": { ${first} },\n"b": { ${second} } } }`), [
      `2: b: listen: ${complaint}`,
    ]);
  }
  assertEquals(complaints('{ "status": 80, "services": {\n"a": { "listen": ":80" } } }'), [
    "2: a: listen: :80 overlaps 127.0.0.1:80, where the status page listens",
  ]);
  assertEquals(
    optionsOf('{ "services": { "a": { "port": 80 }, "b": { "listen": "[::1]:80" } } }').length,
    2,
  );
  assertEquals(complaintsOf('{ "listen": [":80", ":80"] }'), ["1: a: listen: :80 is given twice"]);
  assertEquals(optionsOf('{ "services": { "a": { "port": 0 }, "b": { "port": 0 } } }').length, 2);
});

Deno.test("keys and services that are given twice are named", () => {
  const text = '{ "queue": 1,\n "queue": 2, "services": { "a": {},\n "a": {} } }';
  assertEquals(complaints(text), [
    "2: queue: is given twice",
    "2: a: listen: is missing: several services need an address each",
    "3: a: there are two of this name",
    "3: a: listen: is missing: several services need an address each",
  ]);
});

Deno.test("a file without services is wrong", () => {
  const example = 'an object of services, such as { "counter": { "listen": ":9527" } }';
  for (const text of ["{}", '{ "services": {} }']) {
    assertEquals(complaints(text), [`1: services: there is no service: give ${example}`]);
  }
  assertEquals(complaints('{ "services": [] }'), [`1: services: takes ${example}, got a list`]);
  assertEquals(complaints("[]"), ["1: takes an object in braces, got a list"]);
});

Deno.test("errors of syntax are named with their lines and what is expected, one a line", () => {
  assertEquals(
    complaints('{\n "queue" 1,\n "services": { "a": tru },\n "warm": 1 "backlog": 2\n'),
    [
      '2: expected ":", got "1"',
      '3: expected a value, such as true, 10 or "text", got "tru"',
      '4: expected ",", got "\\"backlog\\""',
      '5: expected "," or "}", got the end of the file',
    ],
  );
  assertEquals(
    complaints("{ 'a': 1 }")[0],
    '1: expected a value, such as true, 10 or "text", got "\'a\'"',
  );
  assertEquals(complaints(""), ["1: expected a value, got the end of the file"]);
  assertEquals(complaints("[".repeat(100_000)), ["1: brackets are nested too deeply"]);
});

Deno.test("a file that cannot be read says why", async () => {
  const folder = await Deno.makeTempDir();
  const complaint = async (name: string, content?: string | Uint8Array) => {
    const path = `${folder}/${name}`;
    if (typeof content === "string") await Deno.writeTextFile(path, content);
    else if (content) await Deno.writeFile(path, content);
    const { problems }: UsageError = await assertRejects(() => readConfiguration(path), UsageError);
    assertEquals(problems.length, 1);
    return problems[0]!.replace(`${folder}/`, "");
  };
  assertEquals(await complaint("none"), "none: there is no such file");
  assertEquals(await complaint("."), ".: it is a folder");
  assertEquals(
    await complaint("latin1", Uint8Array.of(0x22, 0xe4, 0x22)),
    "latin1: it is not UTF-8 text",
  );
  assertEquals(
    await complaint("huge", " ".repeat(1024 * 1024 + 1)),
    "huge: it is larger than 1 MiB",
  );
  const path = `${folder}/marked`;
  await Deno.writeTextFile(path, '\ufeff{ "services": { "a": {} } }');
  assertEquals((await readConfiguration(path)).services.size, 1);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a missing permission to read the file is named with its flag", async () => {
  await using spawnd = Spawnd.run("--config", "/etc/spawnd/services.jsonc");
  assertEquals((await spawnd.ended()).code, 2);
  assertEquals(
    spawnd.lines[0],
    "spawnd: /etc/spawnd/services.jsonc: Deno does not allow reading it: " +
      "add --allow-read=/etc/spawnd/services.jsonc",
  );
});

Deno.test("without --config nothing of the configuration file is loaded", async () => {
  const loaded = new Set<string>();
  const load = async (url: URL) => {
    if (loaded.has(url.href)) return;
    loaded.add(url.href);
    const source = await Deno.readTextFile(url);
    const imports = source.matchAll(/^(?:import|export) (?!type )[^;]*?from "(\.[^"]+\.ts)";/gms);
    await Promise.all(Array.from(imports, ([, path]) => load(new URL(path!, url))));
  };
  await load(new URL("../main.ts", import.meta.url));
  const files = [...loaded].filter((url) => /\/cli\/(?:config_|jsonc|schema|check)/.test(url));
  assert(loaded.size > 20);
  assertEquals(files, []);
});
