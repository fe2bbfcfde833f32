import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parseCommandLine, UsageError } from "../lib/cli/command_line.ts";
import { resolveSettings } from "../lib/server/settings.ts";

/** The message of the usage error that a command line is. */
function complaint(...args: string[]): string {
  return assertThrows(() => parseCommandLine(args), UsageError).message;
}

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
  assertEquals(
    complaint("--stderr", "file"),
    '--stderr takes inherit, log, client or null, got "file"',
  );
  assertEquals(
    complaint("--log-level", "INFO"),
    '--log-level takes debug, info, warn or error, got "INFO": write it in small letters',
  );
  assertEquals(complaint("--host", ""), "--host takes an address or a host name, got nothing");
  for (const host of ["[::1]", "unix", "fd"]) {
    assertStringIncludes(
      complaint("--host", host),
      `--host takes an address or a host name, got "${host}"`,
    );
  }
  assertEquals(
    complaint("--max-connections", "0"),
    '--max-connections takes a whole number from 1 to 1000000, got "0"',
  );
  const cidr = "takes a network such as 192.0.2.0/24 or 2001:db8::/32, got";
  for (const option of ["--allow", "--deny", "--accept-proxy"]) {
    assertEquals(complaint(option, "10.0.0.0/33"), `${option} ${cidr} "10.0.0.0/33"`);
    assertEquals(
      complaint(option, "::1", option, "x"),
      `${option} ${cidr} "x": names are not looked up`,
    );
    assertEquals(complaint(option), `${option} ${cidr} nothing`);
  }
  for (const rate of ["x", "1/", "/1", "1/0", "-1", "1.5", "1/x", "1/1/1"]) {
    assertStringIncludes(
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
  for (const variable of ["TZ", "=UTC"]) {
    assertStringIncludes(
      complaint("--env", variable),
      `--env takes a variable's name and value, such as TZ=UTC, got "${variable}"`,
    );
  }
  for (const user of [":git", "git:", "a:b:c"]) {
    assertEquals(
      complaint("--user", user),
      `--user takes a user, or a user and a group, such as git or www-data:git, got "${user}"`,
    );
  }
  assertStringIncludes(
    complaint("--stop-signal", "KILL"),
    "--stop-signal takes SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1 or SIGUSR2, got " + '"KILL"',
  );
  for (const grant of ["all", "env=", "Env", "allow-env", "env TZ"]) {
    assertStringIncludes(
      complaint("--grant", grant, "handler.ts"),
      "--grant takes a permission of Deno (read, write, net, env, run, sys, ffi or import), " +
        `or one with values, such as env=TZ,LANG, got "${grant}"`,
    );
  }
  assertEquals(complaint("--unix", ""), "--unix takes a path, got nothing");
});

Deno.test("a switch with a value is named, and --help wins over a word that is no handler", () => {
  assertEquals(
    complaint("--reuse-port=no"),
    '--reuse-port is a switch and takes no value, got "--reuse-port=no"',
  );
  assertEquals(parseCommandLine(["handler.ts", "--reuse-port=no"]).server.reusePort, undefined);
  assertEquals(parseCommandLine(["--help", "foo"]).show, "help");
  assertEquals(
    complaint("--allow-read=/etc"),
    'unknown option "--allow-read=/etc": it is one of deno\'s, and goes before main.ts',
  );
  assertEquals(
    complaint("--port", "19066", "--port"),
    "--port takes a whole number from 0 to 65535, got nothing",
  );
});

Deno.test("an option that cannot be without or with another one is named", () => {
  assertEquals(complaint("--cert", "c"), "--cert requires --key");
  assertEquals(complaint("--key", "k"), "--key requires --cert");
  assertEquals(complaint("--uid", "1"), "--uid requires --gid");
  assertEquals(
    complaint("--user", "git", "--uid", "1", "--gid", "1"),
    "--user cannot be given with --uid",
  );
  for (const words of [[], ["--", "cat"]]) {
    assertEquals(
      complaint("--grant", "env", ...words),
      "--grant applies to modules only; a program has the rights of its user",
    );
  }
  const { handler } = parseCommandLine([]).server;
  for (
    const options of [
      { uid: 1 },
      { cert: ["c"] },
      { clientCa: ["a"], cert: [], key: [] },
      { clientCa: ["a"] },
    ]
  ) {
    assertThrows(() => resolveSettings({ handler, ...options }), RangeError, " requires ");
  }
  assertThrows(
    () => resolveSettings({ handler, user: "git", gid: 1 }),
    RangeError,
    "Cannot listen as user excludes gid",
  );
});

Deno.test("a word that is no handler is named", () => {
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

Deno.test("all that is wrong with a command line is named at once", () => {
  const { problems }: UsageError = assertThrows(
    () =>
      parseCommandLine("--port x --prot 1 --reuse-port=no --cert c --allow a --allow b".split(" ")),
    UsageError,
  );
  assertEquals(problems, [
    '--port takes a whole number from 0 to 65535, got "x"',
    '--allow takes a network such as 192.0.2.0/24 or 2001:db8::/32, got "a"',
    '--allow takes a network such as 192.0.2.0/24 or 2001:db8::/32, got "b"',
    '--reuse-port is a switch and takes no value, got "--reuse-port=no"',
    'unknown option "--prot", did you mean --port?',
    "--cert requires --key",
  ]);
});

Deno.test("beside --config there are only options of the command", () => {
  assertEquals(
    complaint("--port", "1", "--config", "f", "--allow", "::1", "--once", "a.ts").split("\n"),
    [
      "--once cannot be given with --config",
      "--port cannot be given with --config: set it in the file",
      "--allow cannot be given with --config: set it in the file",
      'a handler cannot be given with --config: set it in the file, got "a.ts"',
    ],
  );
  assertEquals(complaint("--config"), "--config takes a path, got nothing");
});
