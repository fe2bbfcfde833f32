import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  longestStopMs,
  optionsIn,
  read,
  README,
  ROOT,
  settingsOf,
  UNIT,
  valuesOf,
} from "./_deploy.ts";
import { descriptorsOf } from "./_processes.ts";
import { makeFolder, run, serve } from "./_service.ts";
import { receive, send } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";
import { until } from "./_waiting.ts";

const PER_CORE = await read("per_core.conf");
const UNIT_COMMAND = valuesOf(UNIT, "ExecStart")[0]!.split(" ");

/** The unit with the paths of this machine. */
function installed(unit: string): string {
  return unit.replaceAll("/usr/local/bin/deno", Deno.execPath()).replaceAll("/opt/spawnd/", ROOT);
}

/** Has systemd verify a unit, and asserts that it reports nothing. */
async function verify(unit: string): Promise<void> {
  const command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit];
  assertEquals(await run(command), { code: 0, stdout: "", stderr: "" });
}

testWith(
  "systemd-analyze",
  "procps systemd",
  "systemd accepts the unit and rates its exposure as low",
  async () => {
    await using folder = await makeFolder();
    const unit = `${folder.path}/spawnd.service`;
    await Deno.writeTextFile(unit, installed(UNIT));
    await verify(unit);
    const command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", unit];
    const { code, stdout } = await run(command);
    assertEquals(code, 0, stdout);
    // This would lower the exposure further, but V8 compiles at run time and could not start.
    assert(!/^MemoryDenyWriteExecute=/m.test(UNIT));
  },
);

testWith(
  "systemd-analyze",
  "procps systemd",
  "systemd accepts the unit as a template with one server per core",
  async () => {
    await using folder = await makeFolder();
    const template = `${folder.path}/spawnd@.service`;
    await Deno.writeTextFile(template, installed(UNIT));
    await Deno.mkdir(`${template}.d`);
    await Deno.writeTextFile(`${template}.d/per_core.conf`, installed(PER_CORE));
    await verify(template.replace("@", "@2"));

    const [reset, command] = valuesOf(PER_CORE, "ExecStart");
    assertEquals(reset, "");
    const [one, two] = ["1", "2"].map((instance) =>
      settingsOf(optionsIn(command!.replaceAll("%i", instance).split(" ")))
    );
    assertEquals([one!.reusePort, one!.port], [true, two!.port]);
    assertEquals([one!.statusPort, two!.statusPort], [9531, 9532]);
  },
);

Deno.test("the unit's limits cover everything its options allow", async () => {
  const settings = settingsOf(optionsIn(UNIT_COMMAND));
  const { maxConnections, queue, warm } = settings;
  assert(README.includes(`http://127.0.0.1:${settings.statusPort}/metrics`));
  const [stop] = valuesOf(UNIT, "TimeoutStopSec");
  assertMatch(stop!, /^\d+s$/);
  assert(parseInt(stop!) * 1000 > longestStopMs(settings), stop);

  const module = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(
    module,
    `for await (const chunk of Deno.stdin.readable) await Deno.stdout.write(chunk);`,
  );
  await using spawnd = await Spawnd.start(module);
  using conn = await spawnd.connect();
  await send(conn, "a");
  await receive(conn, 1);
  const { pid } = await spawnd.record({ message: "open" });
  const threadsOf = (pid: number) => [...Deno.readDirSync(`/proc/${pid}/task`)].length;
  const threads = (maxConnections + warm) * threadsOf(Number(pid)) + threadsOf(spawnd.pid);
  assert(Number(valuesOf(UNIT, "TasksMax")[0]) > threads, `${threads} threads`);
  // A TLS connection takes six.
  const descriptors = 6 * (maxConnections + queue) + 3 * warm + descriptorsOf(spawnd.pid);
  assert(Number(valuesOf(UNIT, "LimitNOFILE")[0]) > descriptors, `${descriptors} descriptors`);
  await Deno.remove(module);
});

/** Returns a function that expands a name in a filter, if it is a set of systemd's. */
async function systemCalls(): Promise<(set: string) => string[]> {
  const { stdout } = await run(["systemd-analyze", "syscall-filter"]);
  const sets = new Map<string, string[]>();
  for (const [, set, lines] of stdout.matchAll(/^(@[\w-]+)\n((?: .*\n?)+)/gm)) {
    sets.set(
      set!,
      lines!.split("\n").map((line) => line.trim()).filter((line) => /^[@\w]/.test(line)),
    );
  }
  const expand = (name: string): string[] =>
    name.startsWith("@") ? sets.get(name)!.flatMap(expand) : [name];
  return expand;
}

testWith(
  "strace systemd-analyze",
  "strace systemd",
  "the unit allows every system call of the server and its children",
  async () => {
    const expand = await systemCalls();
    const allowed = new Set<string>();
    for (const filter of valuesOf(UNIT, "SystemCallFilter")) {
      for (const name of filter.replace(/^~/, "").split(" ").flatMap(expand)) {
        if (filter.startsWith("~")) allowed.delete(name);
        else allowed.add(name);
      }
    }
    // Deno's cache uses SQLite, which calls this only as root.
    if (Deno.uid() === 0) allowed.add("fchown");

    await using folder = await makeFolder();
    const trace = `${folder.path}/trace`;
    const command = UNIT_COMMAND.map((word) => installed(word).replace(/^9528$/, "0"));
    await serve(["strace", "-D", "-f", "-q", "-o", trace, ...command], {});
    const calls = await until("the trace's end", async () => {
      const calls = await Deno.readTextFile(trace);
      return /\+\+\+ exited with 0 \+\+\+\n$/.test(calls) && calls;
    });
    const made = new Set([...calls.matchAll(/^\d+ +([a-z]\w*)\(/gm)].map((match) => match[1]!));
    assert(made.has("execve") && made.has("accept4"));
    assertEquals([...made.difference(allowed)], []);
    const families = new Set([...calls.matchAll(/\bsocket\((AF_\w+)/g)].map((match) => match[1]!));
    const restricted = new Set(valuesOf(UNIT, "RestrictAddressFamilies")[0]!.split(" "));
    assertEquals([...families.difference(restricted)], []);
  },
);
