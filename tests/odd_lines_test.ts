/**
 * What people type: every odd command line ends with one line that says what to do, and none with a
 * stack trace, or as if nothing were wrong.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { parseCommandLine, UsageError } from "../lib/cli/command_line.ts";
import { parseConfiguration } from "../lib/cli/config_file.ts";
import { resolveSettings, warningsOf } from "../lib/server/settings.ts";
import { ODD_LINES } from "./_odd_lines.ts";
import { makeFolder } from "./_service.ts";
import { Spawnd } from "./_spawnd.ts";

/** What a command line prints instead of serving, or what is wrong with it. */
function answerTo(args: readonly string[]): { code: number; lines: readonly string[] } {
  try {
    const { show } = parseCommandLine(args);
    return { code: 0, lines: show === undefined ? [] : [show] };
  } catch (error) {
    if (error instanceof UsageError) return { code: 2, lines: error.problems };
    throw new Error(`a stack trace: ${args.join(" ")}`, { cause: error });
  }
}

Deno.test("every odd command line gets one line that says what is wrong", () => {
  assert(ODD_LINES.length > 200);
  for (const { args, code, message } of ODD_LINES) {
    const { code: got, lines } = answerTo(args);
    assertEquals([got, lines.length], [code, 1], `${args.join(" ")}\n${lines.join("\n")}`);
    assertStringIncludes(lines[0]!, message, args.join(" "));
    assert(!lines[0]!.includes("\n"), args.join(" "));
  }
});

Deno.test("what is odd in a configuration file is explained as on the command line, without dashes", () => {
  const path = "x".repeat(108);
  const services = (service: object) => ({ services: { a: service } });
  for (
    const [object, problem] of [
      [
        services({ host: "127.0.0.1:80" }),
        '"127.0.0.1:80": the port goes in port, or both in listen',
      ],
      [services({ listen: "wss://:80" }), '"wss://:80": write ws://; with cert, it is over TLS'],
      [services({ listen: "[fe80::1]:80" }), "[fe80::1]:80: a link-local address needs its zone"],
      [services({ unix: path }), "bytes, and may have 107. Choose a shorter one"],
      [services({ allow: "::1,::2" }), '"::1,::2": repeat the option for each'],
      [
        services({ page: false }),
        'page: there is no such key: it is the default, unless "no-page" is true',
      ],
      [services({ keepalive: true }), 'it is the default, unless "no-keepalive" is true'],
    ] as const
  ) {
    let problems: readonly string[] = [];
    try {
      parseConfiguration(JSON.stringify(object), "/etc/spawnd.jsonc");
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      problems = error.problems;
    }
    assertEquals(problems.length, 1, problem);
    assertStringIncludes(problems[0]!, problem);
  }
});

Deno.test("what is allowed but hardly meant is warned of", () => {
  const warnings = (...args: string[]) =>
    warningsOf(resolveSettings(parseCommandLine(args).server));
  for (
    const [line, warning] of [
      ["--warm 300", "warm is 300, but only max-connections, 256, can have a client"],
      ["--max-connections 7 --warm 8", "warm is 8, but only max-connections, 7, can have a client"],
      ["--allow 10.0.0.1/8", "allow 10.0.0.1/8 is all of 10.0.0.0/8"],
      ["--allow 10.0.0.128/24", "allow 10.0.0.128/24 is all of 10.0.0.0/24"],
      ["--deny 192.0.2.77/27", "deny 192.0.2.77/27 is all of 192.0.2.64/27"],
      ["--exempt 2001:db8::1/33", "exempt 2001:db8::1/33 is all of 2001:db8::/33"],
      ["--accept-proxy ::1/0", "accept-proxy ::1/0 is all of ::/0"],
      ["--deny 0.0.0.0/0", "deny 0.0.0.0/0 refuses every IPv4 client"],
      ["--deny ::/0", "deny ::/0 refuses every IPv6 client"],
    ] as const
  ) {
    const got = warnings(...line.split(" "));
    assertEquals(got.length, 1, line);
    assertStringIncludes(got[0]!, warning);
  }
  for (
    const line of [
      "--warm 256",
      "--max-connections 8",
      "--allow 10.0.0.0/8 --allow 10.0.0.1 --allow 10.0.0.1/32",
      "--deny ::1/128 --exempt 2001:db8::/32 --allow 0.0.0.0/0",
    ]
  ) {
    assertEquals(warnings(...line.split(" ")), [], line);
  }
});

Deno.test("a warning is one line of the log, and the server serves", async () => {
  await using spawnd = await Spawnd.start("--allow", "127.0.0.1/8", "--", "cat");
  const { level } = await spawnd.record({ message: /^allow 127\.0\.0\.1\/8 is all of/ });
  assertEquals(level, "WARN");
});

Deno.test("what is found only at the start is one line as well", async () => {
  await using folder = await makeFolder();
  const { path } = folder;
  await Deno.mkdir(`${path}/dir.ts`);
  await Deno.writeTextFile(`${path}/a.ts`, "");
  await Deno.mkdir(`${path}/sub`);
  await Deno.writeTextFile(`${path}/sub/b.ts`, "this is not ts");
  const granted = ["--allow-net", "--allow-run"];
  const any = ["--listen", "127.0.0.1:0"];
  const port = ["--listen", "127.0.0.1:9527"];
  const rows: [flags: string[], args: string[], code: number, message: string][] = [
    [granted, [...any, `${path}/dir.ts`], 1, 'dir.ts": it is a folder'],
    [granted, ["--check", `${path}/dir.ts`], 2, 'dir.ts": it is a folder'],
    [granted, [...any, `file://${path}/sub`], 1, 'sub": it is a folder'],
    [granted, [...any, `${path}/?.ts`], 1, "Module not found"],
    [granted, [...any, `${path}/*.ts`], 1, "Module not found"],
    [granted, [...any, `${path}/[a].ts`], 1, "Module not found"],
    [granted, [...any, "--", path], 1, "it is a folder"],
    [
      ["--allow-run", "--allow-net=127.0.0.1:80"],
      port,
      1,
      "listening on 127.0.0.1:9527: add --allow-net, or 127.0.0.1:9527 to its list",
    ],
    [[...granted, "--deny-net=127.0.0.1:9527"], port, 1, "remove its --deny-net"],
    [granted, ["--host", "::1%lo"], 1, "only a link-local address (fe80::/10) has a zone"],
    [granted, ["--host", "fe80::1%nosuch"], 1, "this machine does not have that zone"],
    [granted, ["--unix", "x".repeat(108)], 2, "the path has 108 bytes, and may have 107"],
  ];
  for (const [flags, args, code, message] of rows) {
    await using spawnd = Spawnd.runWith(flags, ...args);
    assertEquals((await spawnd.ended()).code, code, args.join(" "));
    const lines = spawnd.lines.filter((line) => line !== "Try --help for all options.");
    assertEquals(lines.length, 1, spawnd.lines.join("\n"));
    assertStringIncludes(lines[0]!, message);
  }
});
