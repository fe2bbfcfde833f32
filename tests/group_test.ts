/**
 * What a child starts ends with it. Every process of a test is known by a variable in its
 * environment, so what is compared is the process table.
 */

import { assert, assertEquals } from "@std/assert";
import { descriptorsOf, isAlive, processesWith } from "./_processes.ts";
import { ask, connectToReset, receive, send, text } from "./_sockets.ts";
import { serveScript, Spawnd } from "./_spawnd.ts";
import { until, untilSteady, within } from "./_waiting.ts";

const MAIN = new URL("../main.ts", import.meta.url).pathname;

/** A variable that no other test sets; what still has it at the end is killed. */
class Mark implements Disposable {
  readonly variable = `SPAWND_TEST=${crypto.randomUUID()}`;

  get processes(): number[] {
    return processesWith(this.variable);
  }

  async untilNoneIsLeft(): Promise<void> {
    await until("no process to be left", () => this.processes.length === 0);
  }

  [Symbol.dispose](): void {
    for (const pid of this.processes) Deno.kill(pid, "SIGKILL");
  }
}

/** Scripts that leave something behind, each in another way, and say so. */
const LEAVING = [
  "echo ready; sleep 300 | cat",
  "echo ready; read -r line; sleep 300",
  "echo ready; (sleep 300); true",
  "sleep 300 & echo ready",
  "sleep 300 >/dev/null 2>&1 & echo ready; cat",
  "(trap '' TERM HUP; echo ready; sleep 300; sleep 300) & wait",
];

/** Ways in which all connections of a server end, with the options that this takes. */
const WAYS: Readonly<Record<string, [...string[]]>> = {
  "eof-timeout": ["--eof-timeout", "0.2"],
  "idle-timeout": ["--idle-timeout", "0.3"],
  "session-timeout": ["--session-timeout", "0.3"],
  "drain-timeout": ["--drain-timeout", "0.1"],
  "killed": ["--kill-timeout", "3"],
};

for (const [way, options] of Object.entries(WAYS)) {
  Deno.test(`nothing that a child has started outlives a connection: ${way}`, async () => {
    using mark = new Mark();
    const args = [...options, "--", "sh", "-c", 'read -r script; eval "$script"'];
    const grace = way === "killed" ? [] : ["--kill-timeout", "0.2"];
    await using spawnd = await Spawnd.start(...grace, "--env", mark.variable, ...args);
    const clients = await Promise.all(LEAVING.map(async (script) => {
      const conn = await spawnd.connect();
      await send(conn, `${script}\n`);
      assertEquals(text(await receive(conn, 6)), "ready\n");
      return conn;
    }));
    assert(mark.processes.length >= LEAVING.length);
    if (way === "eof-timeout") { for (const conn of clients) await conn.closeWrite(); }
    if (way === "drain-timeout" || way === "killed") spawnd.kill("SIGTERM");
    if (way === "killed") {
      await spawnd.record({ message: "draining" });
      spawnd.kill("SIGTERM");
    }
    await mark.untilNoneIsLeft();
    await until("the records", () => spawnd.records({ message: "end" }).length === LEAVING.length);
    assert(spawnd.records({ message: "end", reason: way }).length >= 4);
    for (const conn of clients) conn.close();
  });
}

Deno.test("nothing that a child has started outlives a client's reset", async () => {
  using mark = new Mark();
  const args = ["--kill-timeout", "0.2", "--env", mark.variable];
  await using spawnd = await serveScript('read -r script; eval "$script"', ...args);
  const resets = await Promise.all(
    LEAVING.map((script) => connectToReset(spawnd.port, `${script}\n`, "ready\n")),
  );
  assert(mark.processes.length >= LEAVING.length);
  for (const reset of resets) await reset();
  await mark.untilNoneIsLeft();
});

Deno.test("a handler that kills its process group ends neither the server nor another child", async () => {
  await using spawnd = await serveScript(
    `read -r line; [ "$line" = stay ] && exec cat; trap "kill 0" EXIT; echo "$line"`,
  );
  using other = await spawnd.connect();
  await send(other, "stay\n");
  assertEquals(text(await ask(spawnd.port, "bye\n")), "bye\n");
  assertEquals((await spawnd.record({ message: "end" })).exit, "SIGTERM");
  await send(other, "still here");
  assertEquals(text(await receive(other, 10)), "still here");
});

Deno.test("what a child leaves may finish its output, until the kill timeout", async () => {
  using mark = new Mark();
  await using spawnd = await serveScript(
    "(echo one; sleep 0.2; echo two; exec sleep 300) & exit 0",
    ...["--env", mark.variable, "--kill-timeout", "0.8"],
  );
  const answer = text(await ask(spawnd.port, ""));
  assertEquals(answer, "one\ntwo\n");
  await mark.untilNoneIsLeft();
  const end = await spawnd.record({ message: "end" });
  assertEquals([end.exit, end.reason], [0, "client-closed"]);
});

Deno.test("--leave keeps what a child leaves, and so does setsid in the child", async () => {
  for (
    const [options, script] of [
      [["--leave"], "sleep 300 >/dev/null 2>&1 & echo $!"],
      [[], "setsid sleep 300 >/dev/null 2>&1 & echo $!"],
    ] as const
  ) {
    using mark = new Mark();
    await using spawnd = await serveScript(script, "--env", mark.variable, ...options);
    const pid = Number(text(await ask(spawnd.port, "")));
    await spawnd.record({ message: "end" });
    assertEquals((await spawnd.stop()).code, 0);
    assert(isAlive(pid));
    for (const left of mark.processes) Deno.kill(left, "SIGKILL");
  }
});

Deno.test("--leave leaves nothing that a child still runs when it is stopped", async () => {
  using mark = new Mark();
  await using spawnd = await serveScript(
    "echo ready; sleep 300; echo never",
    ...["--leave", "--env", mark.variable, "--session-timeout", "0.3", "--kill-timeout", "0.2"],
  );
  assertEquals(text(await ask(spawnd.port, "")), "ready\n");
  assertEquals((await spawnd.record({ message: "end" })).reason, "session-timeout");
  await mark.untilNoneIsLeft();
});

Deno.test("with --no-group the child is in the server's group, and is stopped alone", async () => {
  using mark = new Mark();
  const script = "sleep 300 >/dev/null 2>&1 & exec cat";
  await using spawnd = await serveScript(script, "--env", mark.variable, "--no-group");
  const reset = await connectToReset(spawnd.port);
  await until("two processes", () => mark.processes.length === 2);
  const groups = new Set([spawnd.pid, ...mark.processes].map(groupOf));
  assertEquals(groups.size, 1);
  await reset();
  await spawnd.record({ message: "end" });
  const left = mark.processes;
  assertEquals(left.length, 1);
  Deno.kill(left[0]!, "SIGKILL");
});

for (
  const [programs, warning, groups] of [
    ["sh,cat", /^children share the server's process group/, 1],
    ["sh,setsid,cat", /^only the children themselves are stopped/, 2],
    ["cat", /^children share the server's process group/, 1],
  ] as const
) {
  Deno.test(`with --allow-run=${programs} the child alone is stopped, and a line says so`, async () => {
    await using spawnd = await Spawnd.startWith(
      ["--allow-net", `--allow-run=${programs}`],
      ...["--", "cat"],
    );
    assertEquals(spawnd.records({ level: "WARN" }).map(({ message }) => warning.test(message)), [
      true,
    ]);
    using conn = await spawnd.connect();
    const { pid } = await spawnd.record({ message: "open" });
    await send(conn, "x");
    await receive(conn, 1);
    assertEquals(new Set([spawnd.pid, Number(pid)].map(groupOf)).size, groups);
    conn.close();
    assertEquals((await spawnd.record({ message: "end" })).exit, 0);
  });
}

Deno.test("a module needs no group, unless it may start processes", async () => {
  const module = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(
    module,
    `const { stdin, Command } = Deno;
     try { new Command("sleep", { args: ["300"], stdout: "null", stderr: "null" }).spawn().unref(); } catch {}
     for await (const chunk of stdin.readable) await Deno.stdout.write(chunk);`,
  );
  for (const [grants, groups] of [[[], 1], [["--grant", "run=sleep"], 2]] as const) {
    using mark = new Mark();
    await using spawnd = await Spawnd.start(
      "--env",
      mark.variable,
      "--warm",
      "0",
      ...grants,
      module,
    );
    assertEquals(text(await ask(spawnd.port, "x")), "x");
    await mark.untilNoneIsLeft();
    using conn = await spawnd.connect();
    await send(conn, "x");
    await receive(conn, 1);
    assertEquals(new Set([spawnd.pid, ...mark.processes].map(groupOf)).size, groups);
  }
  await Deno.remove(module);
});

Deno.test("what a warm child leaves when it dies is ended too", async () => {
  using mark = new Mark();
  await using spawnd = await serveScript(
    "sleep 300 >/dev/null 2>&1 & sleep 0.3; exit 3",
    ...["--env", mark.variable, "--warm", "1", "--kill-timeout", "0.2"],
  );
  await spawnd.record({ level: "WARN", message: /^warm children fail/ });
  assertEquals((await spawnd.stop()).code, 0);
  assertEquals(mark.processes, []);
});

Deno.test("when the server is killed, a child that reads its stdin ends", async () => {
  using mark = new Mark();
  await using spawnd = await serveScript("cat", "--env", mark.variable);
  using conn = await spawnd.connect();
  await send(conn, "x");
  await receive(conn, 1);
  await spawnd.stop("SIGKILL");
  await mark.untilNoneIsLeft();
});

Deno.test("a process that has left the group keeps no descriptor of the server", async () => {
  using mark = new Mark();
  for (const stderr of ["inherit", "log"]) {
    await using spawnd = await serveScript(
      "exec 3<&0; setsid sleep 300 <&3 3<&- & echo bye",
      ...[
        "--env",
        mark.variable,
        "--stderr",
        stderr,
        "--kill-timeout",
        "0.1",
        "--eof-timeout",
        "0.3",
      ],
    );
    const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
    const before = await descriptors();
    await Promise.all(Array.from({ length: 20 }, async () => {
      assertEquals(text(await ask(spawnd.port, "hello\n")), "bye\n");
    }));
    await until("the records", () => spawnd.records({ message: "end" }).length === 20);
    await until("the descriptors to be released", () => descriptorsOf(spawnd.pid) <= before);
    const left = mark.processes;
    assertEquals(left.length, 20);
    for (const pid of left) Deno.kill(pid, "SIGKILL");
  }
});

Deno.test("2,000 connections that each leave a process leave not one, and no descriptor", async () => {
  using mark = new Mark();
  await using spawnd = await serveScript(
    "sleep 300 & echo bye",
    ...["--env", mark.variable, "--kill-timeout", "0.05", "--max-connections", "64"],
  );
  const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
  const before = await descriptors();
  let clients = 0;
  await Promise.all(Array.from({ length: 64 }, async () => {
    while (clients++ < 2000) assertEquals(text(await ask(spawnd.port, "x")), "bye\n");
  }));
  await mark.untilNoneIsLeft();
  await until("the descriptors to be released", () => descriptorsOf(spawnd.pid) <= before);
  assertEquals((await spawnd.status()).ended, 2000);
});

Deno.test({
  name: "as process 1 it asks for an init, and still frees a slot whose orphans nobody reaps",
  ignore: Deno.uid() !== 0, // a PID namespace takes root
  async fn() {
    const serve = `${Deno.execPath()} run --allow-net --allow-run ${MAIN} --host 127.0.0.1 ` +
      "--port 0 --log-format json --kill-timeout 0.1 -- sh -c 'sleep 300 & echo bye'";
    const process = new Deno.Command("unshare", {
      args: ["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", `exec ${serve}`],
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let log = "";
    const reading = (async () => {
      for await (const text of process.stderr.pipeThrough(new TextDecoderStream())) log += text;
    })();
    const stdout = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const [, port] = /:(\d+)\n/.exec((await within("the port", stdout.read())).value ?? "")!;
    assert(log.includes("run it under an init"), log);
    for (let i = 0; i < 3; i++) assertEquals(text(await ask(Number(port), "")), "bye\n");
    await until("three records", () => log.match(/"message":"end"/g)?.length === 3);
    process.kill("SIGKILL");
    await Promise.all([process.status, reading, stdout.cancel()]);
  },
});

/** The process group of a process (Linux: proc(5)). */
function groupOf(pid: number): string {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(")")).split(" ")[3]!;
}
