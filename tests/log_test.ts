import { assert, assertEquals, assertMatch } from "@std/assert";
import { ask, connectToReset, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { testAsRoot } from "./_test_with.ts";
import { until, within } from "./_waiting.ts";

/** Serves one connection with `sh -c script`; returns the server's log as text lines. */
async function textLog(script: string, ...options: string[]): Promise<string[]> {
  await using spawnd = await Spawnd.start(
    "--log-format",
    "text",
    ...options,
    "--",
    "sh",
    "-c",
    script,
  );
  await ask(spawnd.port, "hello");
  await until("the record", () => spawnd.lines.some((line) => / end /.test(line)));
  await spawnd.stop();
  return spawnd.lines;
}

const TIME = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;

Deno.test("a connection is logged once when it opens and once when it ends", async () => {
  const lines = await textLog("cat; exit 7");
  const facts = String.raw`id=1 client=127\.0\.0\.1:\d+ pid=\d+`;
  assertEquals(lines.length, 5);
  assertMatch(
    lines[0]!,
    new RegExp(`^${TIME} info  listening address=127.0.0.1:\\d+ handler=sh warm=0 pid=\\d+$`),
  );
  assertMatch(lines[1]!, new RegExp(`^${TIME} info  open ${facts} start=cold$`));
  assertMatch(
    lines[2]!,
    new RegExp(
      `^${TIME} info  end ${facts} in=5 out=5 seconds=\\d[\\d.]* exit=7 reason=client-closed$`,
    ),
  );
  assertMatch(lines[3]!, new RegExp(`^${TIME} info  draining active=0 waiting=0$`));
  assertMatch(lines[4]!, new RegExp(`^${TIME} info  stopped accepted=1 ended=1 failed=0 cut=0$`));
});

/** The lines that a program logged before it was killed. */
async function linesBy(body: string, format = "text", level = "info"): Promise<string[]> {
  const program = `
    import { configureLog, log } from "${new URL("../lib/base/log.ts", import.meta.url)}";
    configureLog({ level: "${level}", format: "${format}" });
    ${body}
    Deno.kill(Deno.pid, "SIGKILL");`;
  const { stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--allow-run", "--config=deno.json"],
      `data:application/typescript,${encodeURIComponent(program)}`,
    ],
    cwd: new URL("../", import.meta.url),
  }).output();
  return text(stderr).trim().split("\n");
}

/** The last word of each of them. */
async function loggedBy(body: string): Promise<(string | undefined)[]> {
  return (await linesBy(body)).map((line) => line.split(" ").at(-1));
}

Deno.test("lines are written in order, a moment later", async () => {
  const pause = "await new Promise((resolve) => setTimeout(resolve, 100));";
  const lines = `log.info("first"); log.warn("second"); log.info("third"); ${pause}`;
  assertEquals(await loggedBy(lines), ["first", "second", "third"]);
  assertEquals(await loggedBy(`log.info("in-time"); ${pause}`), ["in-time"]);
});

Deno.test("a JSON line has nothing in it that ends or reorders a line", async () => {
  const program = `
    import { configureLog, flushLog, log } from "${new URL("../lib/base/log.ts", import.meta.url)}";
    configureLog({ level: "info", format: "json" });
    log.info("stderr", { line: "a\\u2028b\\u2029c\\u202ed\\u{e0001}é\\ud800" });
    await flushLog(5000);`;
  const { stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", "--config=deno.json", program],
    cwd: new URL("../", import.meta.url),
  }).output();
  assertMatch(text(stderr), /^[^\p{C}\p{Zl}\p{Zp}]+\n$/u);
  assertEquals(JSON.parse(text(stderr)).line, "a\u2028b\u2029c\u202ed\u{e0001}é\ud800");
});

Deno.test("a line for the journal has a priority and no time, and is always one line", async () => {
  const lines = await linesBy(
    `
    log.debug("a", { b: 1 });
    log.info("c", { d: "e\\n<0>f" });
    log.warn("g");
    log.error("h", { stack: "i\\n  j" });
    await new Promise((resolve) => setTimeout(resolve, 100));`,
    "journal",
    "debug",
  );
  assertEquals(lines, [
    "<7>a b=1",
    String.raw`<6>c d="e\n<0>f"`,
    "<4>g",
    String.raw`<3>h stack="i\n  j"`,
  ]);
});

/** What a server writes to stderr that starts with this JOURNAL_STREAM, a word of sh(1), and stops. */
async function stderrIn(stream: string, permissions: string, ...args: string[]): Promise<string> {
  const script =
    `JOURNAL_STREAM=${stream} exec "$0" run --allow-net --allow-run ${permissions} "$@"`;
  const server = new Deno.Command("sh", {
    args: ["-c", script, Deno.execPath(), "main.ts", "--host", "127.0.0.1", "--port", "0", ...args],
    cwd: new URL("../", import.meta.url),
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdout = server.stdout.getReader();
  const { done } = await within("its address", stdout.read());
  if (!done) server.kill("SIGTERM");
  await stdout.cancel();
  const stderr = text(await within("its end", new Response(server.stderr).bytes()));
  await within("its exit", server.status);
  return stderr;
}

Deno.test("where stderr is the journal, the log is made for it by itself", async () => {
  const [ours, other] = ["$(stat --dereference --format %d:%i /proc/self/fd/2)", "8:1"];
  const allowed = "--allow-env=JOURNAL_STREAM";
  const formatOf = async (...args: Parameters<typeof stderrIn>) =>
    /^(?:(<6>)|(\d{4}-)|({))/.exec(await stderrIn(...args))!.slice(1).findIndex(Boolean);
  const [journal, plain, json] = [0, 1, 2];
  assertEquals(await formatOf(ours, allowed, "--", "cat"), journal);
  assertEquals(await formatOf(other, allowed, "--", "cat"), plain);
  assertEquals(await formatOf("", allowed, "--", "cat"), plain);
  assertEquals(await formatOf(ours, "", "--", "cat"), plain);
  assertEquals(await formatOf(ours, allowed, "--log-format", "json", "--", "cat"), json);
  assertEquals(await formatOf(other, "", "--log-format", "journal", "--", "cat"), journal);

  assertMatch(
    await stderrIn(ours, allowed, "--por"),
    /^<3>spawnd: unknown .*\n<3>Try --help .*\n$/,
  );
  assertMatch(await stderrIn(ours, allowed, "--", "no-such-program"), /^<3>spawnd: Cannot .*\n$/);
});

Deno.test("JSON lines carry the same facts as values", async () => {
  await using spawnd = await Spawnd.start("--", "cat");
  await ask(spawnd.port, "hello");
  const open = await spawnd.record({ message: "open" });
  const end = await spawnd.record({ message: "end" });
  assertEquals([open.id, open.client, open.pid, open.start], [1, end.client, end.pid, "cold"]);
  assertEquals([end.id, end.in, end.out, end.exit], [1, 5, 5, 0]);
  assertEquals([typeof end.seconds, end.level, end.reason], ["number", "INFO", "client-closed"]);
  assertMatch(String(end["@timestamp"]), new RegExp(`^${TIME}$`));
});

Deno.test("--log-level leaves out less important records", async () => {
  assertEquals(await levelsAt("info"), ["INFO", "WARN"]);
  assertEquals(await levelsAt("warn"), ["WARN"]);
  assertEquals(await levelsAt("error"), []);
});

/** The levels in the log of a server that logs a warning. */
async function levelsAt(level: string): Promise<unknown[]> {
  await using spawnd = await Spawnd.start(
    "--log-level",
    level,
    "--deny",
    "127.0.0.1",
    "--",
    "cat",
  );
  await ask(spawnd.port, ""); // refused, which is a warning
  await spawnd.stop();
  return [...new Set(spawnd.log.map(({ level }) => level))].sort();
}

Deno.test("the log has no colour except on a terminal", async () => {
  for (const line of await textLog("cat")) assert(!line.includes("\x1b"), line);
});

Deno.test("a child's stderr goes where --stderr says", async () => {
  const script = "cat; echo told >&2";
  assert((await textLog(script)).includes("told"));
  assert(!(await textLog(script, "--stderr", "null")).some((line) => line.includes("told")));
  const logged = (await textLog(script, "--stderr", "log")).filter((line) => line.includes("told"));
  assertEquals(logged.length, 1);
  assertMatch(logged[0]!, new RegExp(`^${TIME} info  stderr id=1 pid=\\d+ line=told$`));
});

Deno.test("a child's stderr can neither forge a log line nor control the terminal", async () => {
  await using spawnd = await Spawnd.start(
    "--log-format",
    "text",
    "--stderr",
    "log",
    "--",
    "sh",
    "-c",
    "cat >&2",
  );
  await ask(
    spawnd.port,
    '\x1b[2J\x1b]0;x\x07\r2026-01-01T00:00:00.000Z error forged\u2028\u202e \x9b {id}\nb="c"',
  );
  await until("the record", () => spawnd.lines.some((line) => / end /.test(line)));
  const lines = spawnd.lines.filter((line) => / stderr /.test(line));
  assertEquals(lines.length, 2);
  for (const line of spawnd.lines) {
    assertMatch(line, new RegExp(`^${TIME} info  [^\\p{C}\\p{Zl}\\p{Zp}]+$`, "u"));
  }
  assert(lines[0]!.endsWith(String.raw`forged\u2028\u202e \u009b {id}"`), lines[0]);
  assert(lines[1]!.endsWith(String.raw`line="b=\"c\""`), lines[1]);
});

Deno.test("a child's stderr cannot forge a JSON line", async () => {
  await using spawnd = await Spawnd.start("--stderr", "log", "--", "sh", "-c", "cat >&2");
  const forged = '\x1b[2J\x9b\x07"}{"@timestamp":1\u202e';
  await ask(spawnd.port, forged);
  const { line } = await spawnd.record({ message: "stderr" });
  assertEquals(line, forged);
});

Deno.test("endless stderr without line breaks does not fill the memory", async () => {
  await using spawnd = await Spawnd.start(
    ..."--stderr log --log-level warn -- sh -c".split(" "),
    "head -c 50000000 /dev/zero >&2; echo done",
  );
  assertEquals(text(await ask(spawnd.port, "")), "done\n");
  const peak = /^VmHWM:\s+(\d+) kB/m.exec(Deno.readTextFileSync(`/proc/${spawnd.pid}/status`))![1];
  assert(Number(peak) < 200_000, `${peak} kB`);
});

Deno.test("a flood of warnings is limited and counted", async () => {
  const program = await Deno.makeTempFile();
  await Deno.writeTextFile(program, "#!/bin/sh\n");
  await Deno.chmod(program, 0o755);
  await using spawnd = await Spawnd.start("--no-group", "--", program);
  await Deno.remove(program);
  for (let client = 0; client < 100; client++) await ask(spawnd.port, "").catch(() => {});
  spawnd.kill("SIGUSR2");
  assertEquals((await spawnd.record({ message: "status" })).failed, 100);
  assertEquals(spawnd.records({ level: "WARN" }).length, 5);
  const summary = await until("the count, with the next warning after ten seconds", async () => {
    await ask(spawnd.port, "").catch(() => {});
    return spawnd.records({ message: "warnings were not shown" })[0];
  });
  const { "@timestamp": _, logger: __, count, ...rest } = summary;
  assert(Number(count) >= 95, String(count));
  assertEquals(rest, {
    level: "WARN",
    message: "warnings were not shown",
    event: "cannot start a child: the client is refused",
  });
});

Deno.test("what says that trouble is over is shown where its warning was", async () => {
  const lines = await linesBy(`
    import { flushLog, RECOVERIES } from "${new URL("../lib/base/log.ts", import.meta.url)}";
    log.info(RECOVERIES.warm);
    for (let i = 0; i < 20; i++) {
      log.warn("cannot accept", { i });
      log.info(RECOVERIES.accept, { i });
      log.with({ service: "cat" }).info(RECOVERIES.accept);
    }
    log.warn("full: accepting again when there is room");
    log.info(RECOVERIES.accept, { full: true });
    await flushLog(1000);`);
  const first = Array.from(
    { length: 5 },
    (_, i) => [`cannot accept i=${i}`, `accepting again i=${i}`],
  );
  assertEquals(lines.map((line) => line.replace(/^\S+ \w+ +/, "")), [
    ...first.flat(),
    "full: accepting again when there is room",
    "accepting again full=true",
    'warnings were not shown count=15 event="cannot accept"',
  ]);
});

Deno.test("how many warnings were not shown is said for each kind, however many there are", async () => {
  const lines = await linesBy(`
    import { flushLog, logOf } from "${new URL("../lib/base/log.ts", import.meta.url)}";
    const cat = logOf(() => "cat");
    for (let kind = 0; kind < 20; kind++) {
      for (let i = 0; i < 6; i++) cat.warn(\`kind\${kind}\`, { i, reason: "busy" });
    }
    await flushLog(1000);`);
  assertEquals(
    lines.map((line) => line.replace(/^\S+ /, "")).filter((line) => line.includes("not shown")),
    Array.from(
      { length: 20 },
      (_, kind) =>
        `warn  warnings were not shown service=cat count=1 event=kind${kind} reason=busy`,
    ),
  );
});

Deno.test("a client that resets at once is recorded without a warning", async () => {
  await using spawnd = await Spawnd.start("--log-level", "debug", "--", "cat");
  const reset = await connectToReset(spawnd.port);
  await spawnd.record({ message: "open" });
  await reset();
  assertEquals((await spawnd.record({ message: "end" })).reason, "client-reset");
  assertMatch(String(spawnd.records({ message: "lost" })[0]?.error), /^ConnectionReset/);
  assertEquals(spawnd.records({ level: "WARN" }), []);
});

testAsRoot(
  "on a full disk no line is glued to a part of another, and the lost are counted",
  async () => {
    const program = `
    import { configureLog, flushLog, log } from "${new URL("../lib/base/log.ts", import.meta.url)}";
    configureLog({ level: "info", format: "json" });
    const [other] = Deno.args;
    for (let i = 0; i < 200; i++) log.info("before", { i });
    await flushLog(5000);
    Deno.removeSync(other);
    for (let i = 0; i < 2; i++) {
      log.info("after", { i });
      await flushLog(5000);
    }`;
    const folder = await Deno.makeTempDir();
    const disk = `mount -t tmpfs -o size=32k none "$0" && head -c 16384 /dev/zero >"$0/other" &&
    "$@" "$0/other" 2>"$0/log"; cat "$0/log"`;
    const { stdout } = await new Deno.Command("unshare", {
      args: [
        ...["--mount", "sh", "-c", disk, folder],
        ...[Deno.execPath(), "run", "--quiet", "--allow-write", "--config=deno.json"],
        `data:application/typescript,${encodeURIComponent(program)}`,
      ],
      cwd: new URL("../", import.meta.url),
    }).output();
    await Deno.remove(folder);
    const lines = text(stdout).trimEnd().split("\n");
    const [half, ...last] = lines.splice(-4);
    const written = lines.map((line) => JSON.parse(line));
    assertEquals(written.map(({ i }) => i), Array.from(written, (_, i) => i));
    assert(written.length > 50, half);
    assertMatch(half!, /^{.*[^}]$/);
    const records = last.map((line) => JSON.parse(line));
    assertEquals(records.map(({ message }) => message), [
      "after",
      "log lines were dropped",
      "after",
    ]);
    assertEquals(records[1].count, 200 - written.length);
    assertEquals(records[1].reason, "No space left on device (os error 28)");
  },
);

Deno.test("a server whose log is no longer read keeps serving", async () => {
  const server = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-net", "--allow-run", "main.ts", "--host", "127.0.0.1", "--port", "0"],
    cwd: new URL("../", import.meta.url),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await server.stderr.cancel();
  const stdout = server.stdout.getReader();
  const { value } = await within("its address", stdout.read());
  await stdout.cancel();
  const port = Number(/:(\d+)\n$/.exec(text(value!))![1]);
  for (let client = 0; client < 3; client++) assertEquals((await ask(port, "hello")).length, 256);
  server.kill("SIGTERM");
  assertEquals((await within("its end", server.status)).code, 0);
});
