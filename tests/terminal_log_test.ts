/** The log on a terminal: short lines, local time, colour where it is wanted. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { terminalFormatter } from "../lib/base/terminal_line.ts";
import { ask } from "./_sockets.ts";
import { Terminal } from "./_terminal.ts";
import { testWith } from "./_test_with.ts";

/** Serves one client on a terminal, and resolves to the lines of the log. */
async function linesOf(...[words, env, flags]: ConstructorParameters<typeof Terminal>) {
  const terminal = new Terminal(words, env, flags);
  const [, port] = await terminal.untilShown(/spawnd listening on \S+:(\d+)\r\n/);
  await ask(Number(port), "hello");
  await terminal.untilShown(/\bend\b.*\r\n/);
  return await terminal.end();
}

const NO_COLOR = { NO_COLOR: "1" };

function testTerminal(name: string, fn: () => Promise<void>): void {
  testWith("script stty", "bsdutils coreutils", name, fn);
}

testTerminal("on a terminal of 80 columns no line about a connection wraps", async () => {
  const lines = await linesOf("--log-format text -- cat", NO_COLOR);
  const time = String.raw`\d\d:\d\d:\d\d`;
  const client = String.raw`#1 127\.0\.0\.1:\d+`;
  const expected = [
    String.raw`\d{4}-\d\d-\d\d ${time} listening 127\.0\.0\.1:\d+ handler=cat warm=0 pid=\d+`,
    `${time} open ${client} start=cold pid=\\d+`,
    `${time} end ${client} client-closed \\d[\\d.]*s in=5 out=5 exit=0`,
    `${time} draining active=0 waiting=0`,
    `${time} stopped accepted=1 ended=1 failed=0 cut=0`,
  ];
  assertEquals(lines.length, expected.length, lines.join("\n"));
  for (const [index, pattern] of expected.entries()) {
    assertMatch(lines[index]!, new RegExp(`^${pattern}$`));
    assert(lines[index]!.length <= 80, lines[index]);
  }
});

testTerminal("a terminal has the local time", async () => {
  const hourIn = async (TZ: string) => {
    const [first] = await linesOf("-- cat", { ...NO_COLOR, TZ });
    return Number(/^\S+ (\d\d):/.exec(first!)![1]);
  };
  const [east, west] = [await hourIn("Etc/GMT-9"), await hourIn("Etc/GMT+3")];
  assert([12, 11].includes((east - west + 24) % 24), `${east} and ${west}`); // an hour may end
});

testTerminal(
  "a terminal gets colour, except with NO_COLOR, and a dumb one that is known",
  async () => {
    const hasColor = async (env: Record<string, string>, flags = "") =>
      (await linesOf("", env, flags)).some((line) => line.includes("\x1b["));
    assert(await hasColor({}));
    assert(!await hasColor(NO_COLOR));
    assert(!await hasColor({ TERM: "dumb" }, "--allow-env=TERM"));
  },
);

testTerminal("a terminal shows a handler's arguments, and other logs do not", async () => {
  const command = `-- sh -c 'cat; : "a secret"'`;
  const [shown] = await linesOf(command, NO_COLOR);
  assertMatch(shown!, / handler="sh -c 'cat; : \\"a secret\\"'" warm=0 pid=\d+$/);
  for (const format of ["json", "journal"]) {
    const [kept] = await linesOf(`--log-format ${format} ${command}`);
    assertMatch(kept!, /handler"?[=:]"?sh\b/);
    assert(!kept!.includes("secret"));
  }
});

/** A line of the formatter, of a record at this time. */
function lineOf(
  format: ReturnType<typeof terminalFormatter>,
  properties: Record<string, unknown>,
  { level = "info", message = "event", at = new Date(2026, 0, 2, 3, 4, 5) } = {},
) {
  return format({
    category: ["spawnd"],
    level: level as "info",
    message: [message],
    rawMessage: message,
    timestamp: at.getTime(),
    properties,
  });
}

Deno.test("the date is shown at the start and when it changes", () => {
  const format = terminalFormatter(false);
  const at = (day: number) => lineOf(format, {}, { at: new Date(2026, 0, day, 3, 4, 5) });
  assertEquals([at(2), at(2), at(3), at(3)], [
    "2026-01-02 03:04:05 event\n",
    "03:04:05 event\n",
    "2026-01-03 03:04:05 event\n",
    "03:04:05 event\n",
  ]);
});

Deno.test("a line on a terminal names the service, the connection and the level, and dims the rest", () => {
  const [plain, coloured] = [terminalFormatter(false), terminalFormatter(true)];
  const facts = { service: "a", id: 3, client: "[::1]:9", pid: 5, reason: "busy" };
  assertEquals(
    lineOf(plain, facts, { level: "warning" }),
    "2026-01-02 03:04:05 warn a: event #3 [::1]:9 busy pid=5\n",
  );
  assertEquals(
    lineOf(coloured, facts, { level: "warning" }),
    "\x1b[2m2026-01-02 03:04:05\x1b[0m \x1b[33mwarn\x1b[0m a: event #3 [::1]:9 busy\x1b[2m pid=5\x1b[0m\n",
  );
});

Deno.test("trouble and what a child says are not dimmed", () => {
  const format = terminalFormatter(true);
  lineOf(format, {});
  const at = "\x1b[2m03:04:05\x1b[0m event #1";
  assertEquals(
    lineOf(format, { id: 1, in: 5, exit: 3, error: "it took too long" }),
    `${at} error="it took too long" exit=3\x1b[2m in=5\x1b[0m\n`,
  );
  assertEquals(lineOf(format, { id: 1, pid: 5, line: "x" }), `${at} line=x\x1b[2m pid=5\x1b[0m\n`);
  assertEquals(lineOf(format, { id: 1, in: 5, exit: 0 }), `${at}\x1b[2m in=5 exit=0\x1b[0m\n`);
});

Deno.test("nothing that a client sends controls the terminal or forges a line", () => {
  const bad = "\x1b[2J\r\n\x9b\u202e";
  const line = lineOf(
    terminalFormatter(false),
    { service: bad, id: 1, client: bad, address: bad, reason: bad, line: bad },
    { message: `x${bad}` },
  );
  assertMatch(line, /^[^\p{C}\p{Zl}\p{Zp}]+\n$/u);
});
