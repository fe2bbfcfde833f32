/**
 * The tools that are run by hand: their arguments, and that a fuzz is repeatable and sees faults.
 */

import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { readNumbers } from "./_arguments.ts";
import { assertAllRecorded } from "./_fuzz_checks.ts";
import { payload } from "./_fuzz_clients.ts";
import { type HandlerName, HANDLERS } from "./_fuzz_handlers.ts";
import { describePlan, planRound } from "./_fuzz_plan.ts";
import { concat, text } from "./_sockets.ts";
import type { LogRecord } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";
import { within } from "./_waiting.ts";
import { counterBlock } from "../lib/child/counter.ts";

const ROOT = new URL("../", import.meta.url).pathname;

async function run(
  tool: string,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await within(
    tool,
    new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", `${ROOT}${tool}`, ...args],
      env: { NO_COLOR: "1" },
    }).output(),
  );
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

const WRONG: Record<string, [args: string[], message: RegExp][]> = {
  "tests/fuzz.ts": [[["60", "x"], /^SEED is a whole number from 0, got "x"$/m]],
  "tests/soak.ts": [[["10x"], /^SECONDS is a whole number from 1, got "10x"$/m]],
  "bench/bench.ts": [
    [["--only", "speed"], /^--only takes first,/m],
    [["--rounds", "0"], /^--rounds takes a number from 1$/m],
    [["--round", "3"], /^unknown argument "--round"$/m],
  ],
};

for (const [tool, wrong] of Object.entries(WRONG)) {
  Deno.test(`${tool} prints its usage and starts nothing when it is asked for help`, async () => {
    for (const option of ["--help", "-h"]) {
      const { code, stdout, stderr } = await run(tool, option);
      assertEquals([code, stderr], [0, ""]);
      assertMatch(stdout, /^deno task (fuzz|soak|bench) \[/);
    }
  });

  Deno.test(`${tool} says what is wrong with its arguments and exits with code 2`, async () => {
    for (const [args, message] of wrong) {
      const { code, stdout, stderr } = await run(tool, ...args);
      assertEquals([code, stdout], [2, ""]);
      assertMatch(stderr, message);
      assertMatch(stderr, /^deno task (fuzz|soak|bench) \[/m);
    }
  });
}

Deno.test("the arguments of fuzz and soak are whole numbers in range, and not too many", () => {
  const numbers = [["SECONDS", 1, 60], ["SEED", 0, 7]] as const;
  assertEquals(readNumbers(numbers, []), [60, 7]);
  assertEquals(readNumbers(numbers, ["10", "0"]), [10, 0]);
  for (const args of [["abc"], ["10x"], ["-5"], ["0"], ["1.5"], [""], ["1e3"], ["1", "2", "3"]]) {
    assertThrows(() => readNumbers(numbers, args), RangeError);
  }
});

testWith("script", "bsdutils", "progress is one line, and on a terminal only", async () => {
  const code = `import { showProgress } from "${ROOT}bench/progress.ts";
    showProgress("x".repeat(500)); showProgress("");`;
  const evaluate = [Deno.execPath(), "eval", code];
  const quoted = evaluate.map((word) => `'${word}'`).join(" ");
  const output = async (command: string, ...args: string[]) => {
    const { stdout, stderr } = await new Deno.Command(command, { args, stdin: "null" }).output();
    return text(stdout) + text(stderr);
  };
  const [before, line, after] = (await output("script", "-qec", quoted, "/dev/null"))
    .split("\r\x1b[K");
  assertEquals([before, after], ["", ""]);
  assertMatch(line!, /^x{20,499}$/); // as wide as the terminal at most
  assertEquals(await output(evaluate[0]!, ...evaluate.slice(1)), "");
});

Deno.test("a seed and a round decide the whole plan", () => {
  assertEquals(planRound(5, 3), planRound(5, 3));
  assertNotEquals(planRound(5, 3), planRound(5, 4));
  assertNotEquals(planRound(5, 3), planRound(6, 3));
  const plans = Array.from({ length: 300 }, (_, round) => planRound(1, round));
  assertEquals(new Set(plans.map(({ handler }) => handler)).size, Object.keys(HANDLERS).length);
  assertEquals(new Set(plans.map(describePlan)).size, 300);
});

Deno.test("a fuzz prints its seed and its plan, and ends well", async () => {
  const { code, stdout, stderr } = await run("tests/fuzz.ts", "1", "1899");
  assertEquals([code, stderr], [0, ""], stderr);
  const lines = stdout.trimEnd().split("\n").filter((line) => !line.startsWith("without TLS"));
  assertEquals(lines.slice(0, 2), ["seed 1899", describePlan(planRound(1899, 1))]);
  assertMatch(lines[2]!, /^ok: rounds 1 to 1, \d+ connections/);
});

/** A log of records that have just what the check looks at. */
function logOf(...records: [message: string, id?: number, reason?: string][]): LogRecord[] {
  return records.map(([message, id, reason]) => ({ message, level: "INFO", id, reason }));
}

Deno.test("the fuzz misses no connection without its record, and none with two", () => {
  const numbers = (rest: Record<string, number>): LogRecord => ({
    message: "stopped",
    level: "INFO",
    accepted: 2,
    ended: 1,
    ...rest,
  });
  const served = logOf(["open", 1], ["end", 1]);
  const good = [...served, ...logOf(["refused", 2, "busy"])];
  assertAllRecorded(good, numbers({ busy: 1 }));
  const many = Array.from({ length: 5 }, (_, i) => logOf(["refused", 2 + i, "busy"])).flat();
  const told = (count: number, event = "refused", reason = "busy"): LogRecord[] => [
    { message: "warnings were not shown", level: "WARN", count, event, reason },
  ];
  assertAllRecorded([...served, ...many, ...told(2)], numbers({ accepted: 9, busy: 8 }));
  for (const other of [told(4, "cannot accept"), told(4, "refused", "other")]) {
    assertAllRecorded([...served, ...many, ...other], numbers({ accepted: 9, busy: 8 }));
  }

  const bad: [LogRecord[], Record<string, number>][] = [
    [served, { busy: 1 }],
    [good, { denied: 1 }],
    [good, { accepted: 3, busy: 2 }],
    [[...good, ...logOf(["end", 1])], { busy: 1 }],
    [[...logOf(["open", 1]), ...good.slice(1)], { accepted: 1, ended: 0 }],
    [logOf(["open", 1], ["refused", 2, "busy"]), { ended: 0, busy: 1 }],
    [logOf(["open", 1], ["end", 1], ["open", 2], ["left", 2]), { left: 1 }],
    [logOf(["end", 1], ["refused", 2, "busy"]), { busy: 1 }],
    [[...served, ...many, ...told(2)], { accepted: 7, busy: 6 }],
  ];
  for (const [index, [log, rest]] of bad.entries()) {
    assertThrows(() => assertAllRecorded(log, numbers(rest)), Error, "", `log ${index}`);
  }
});

Deno.test("the fuzz tells a whole answer from a part and from a wrong one", () => {
  const judge = (name: HandlerName, received: Uint8Array, given: Uint8Array) =>
    HANDLERS[name].judge!(received, given);
  const given = payload(600);
  assertEquals(judge("cat", given, given), "whole");
  assertEquals(judge("cat", given.subarray(0, 599), given), "part");
  assertEquals(judge("cat", payload(601), given), "wrong");
  assertEquals(judge("cat", payload(600, 1), given), "wrong");
  const blocks = concat([counterBlock(0), counterBlock(1), counterBlock(2)]);
  assertEquals(judge("counter", blocks, given), "whole");
  assertEquals(judge("counter", blocks.subarray(0, 700), given), "part");
  assertEquals(judge("counter", blocks.subarray(0, 512), given), "part");
  assertEquals(judge("counter", blocks.subarray(256), given), "wrong");
  assertEquals(judge("counter", blocks, payload(2)), "wrong");
  assert(judge("date", new TextEncoder().encode("now\n"), given) === "whole");
});
