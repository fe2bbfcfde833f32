import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  commandOf,
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
import { freePort, makeFolder, run, serve } from "./_service.ts";
import { ask, receive, send, text } from "./_sockets.ts";
import { NotifySocket } from "./_notify_socket.ts";
import { Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";
import {
  allowedCalls,
  callsIn,
  here,
  install,
  startAndStop,
  testUnits,
  traced,
  verify,
} from "./_units.ts";
import { until } from "./_waiting.ts";

const UNIT_COMMAND = commandOf(UNIT);

testUnits("systemd accepts the unit and rates its exposure as low", async () => {
  await using folder = await install({ "spawnd.service": "spawnd.service" });
  const unit = `${folder.path}/spawnd.service`;
  assertEquals(await verify(unit), "");
  const command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", unit];
  const { code, stdout } = await run(command);
  assertEquals(code, 0, stdout);
  // This would lower the exposure further, but V8 compiles at run time and could not start.
  assert(!/^MemoryDenyWriteExecute=/m.test(UNIT));
});

testUnits("systemd accepts the unit as a template with one server per core", async () => {
  await using folder = await install({
    "spawnd-core@.service": "spawnd.service",
    "spawnd-core@.service.d/per_core.conf": "per_core.conf",
  });
  assertEquals(await verify(`${folder.path}/spawnd-core@2.service`), "");

  const command = commandOf(UNIT, await read("per_core.conf"));
  const [one, two] = ["1", "2"].map((instance) =>
    settingsOf(optionsIn(command.map((word) => word.replaceAll("%i", instance))))
  );
  assertEquals([one!.reusePort, one!.port], [true, two!.port]);
  assertEquals([one!.statusPort, two!.statusPort], [9531, 9532]);
});

testUnits("systemd accepts the unit as a template with one server per service", async () => {
  await using folder = await install({
    "spawnd@.service": "spawnd.service",
    "spawnd@.service.d/per_service.conf": "per_service.conf",
  });
  assertEquals(await verify(`${folder.path}/spawnd@shout.service`), "");
  const command = commandOf(UNIT, await read("per_service.conf"));
  assertEquals(optionsIn(command), ["--config", "/etc/spawnd/%i.jsonc"]);
});

testUnits("systemd accepts the socket and the unit that takes it over", async () => {
  await using folder = await install({
    "spawnd.service": "spawnd.service",
    "spawnd.socket": "spawnd.socket",
    "spawnd.service.d/socket_activation.conf": "socket_activation.conf",
  });
  for (const unit of ["spawnd.service", "spawnd.socket"]) {
    assertEquals(await verify(`${folder.path}/${unit}`), "");
  }
  const { listen, port, statusPort } = settingsOf(
    optionsIn(commandOf(UNIT, await read("socket_activation.conf"))),
  );
  assertEquals(listen, ["fd:3"]);
  assertEquals(statusPort, settingsOf(optionsIn(UNIT_COMMAND)).statusPort);
  assertEquals(valuesOf(await read("spawnd.socket"), "ListenStream"), [`${port}`]);
});

testUnits("systemd accepts the unit that waits for a reload, if it is new enough", async () => {
  await using folder = await install({
    "spawnd.service": "spawnd.service",
    "spawnd.service.d/notify_reload.conf": "notify_reload.conf",
  });
  const { stdout } = await run(["systemd-analyze", "--version"]);
  const version = Number(/^systemd (\d+)/.exec(stdout)![1]);
  const report = await verify(`${folder.path}/spawnd.service`);
  if (version >= 253) assertEquals(report, "");
  else assertMatch(report, /^\S+: Failed to parse service type, ignoring: notify-reload\n$/);
});

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

Deno.test("the unit lets the server read every variable that it looks for", async () => {
  const [, allowed] = /--allow-env=([\w,]+)/.exec(UNIT)!;
  const sources = ["main", "lib/child/environment", "lib/systemd/notify"].map((name) =>
    Deno.readTextFile(`${ROOT}${name}.ts`)
  );
  const names = (await Promise.all(sources)).flatMap((source) =>
    [...source.matchAll(/readVariable\("(\w+)"\)/g)].map((match) => match[1]!)
  ).filter((name) => name !== "TERM"); // a unit has no terminal
  names.push("LISTEN_FDNAMES"); // for fd:NAME
  assertEquals([...new Set(names)].sort(), allowed!.split(",").sort());
});

testWith(
  "systemd-socket-activate",
  "systemd",
  "the unit serves the socket that it gets from systemd",
  async () => {
    await using folder = await makeFolder();
    await using manager = new NotifySocket(`${folder.path}/notify`);
    const port = freePort();
    const kept = ["NOTIFY_SOCKET", "HOME", "PATH"].map((name) => `--setenv=${name}`);
    const command = [
      ...["systemd-socket-activate", `--listen=127.0.0.1:${port}`, ...kept],
      ...here(commandOf(UNIT, await read("socket_activation.conf")), manager),
    ];
    await startAndStop(command, manager, async () => {
      const first = await until("systemd to listen", () => ask(port, "hello").catch(() => null));
      assertEquals(first.length, 256);
    });
  },
);

Deno.test("the unit serves what the file of a service says", async () => {
  await using folder = await makeFolder();
  await using manager = new NotifySocket(`${folder.path}/notify`);
  const port = freePort();
  await Deno.writeTextFile(
    `${folder.path}/shout.jsonc`,
    JSON.stringify({
      services: { shout: { host: "127.0.0.1", port, command: ["tr", "a-z", "A-Z"] } },
    }),
  );
  const command = here(commandOf(UNIT, await read("per_service.conf")), manager, folder.path)
    .map((word) => word.replace("%i", "shout"));
  await startAndStop(command, manager, async () => {
    const answer = await until("it to listen", () => ask(port, "hello").catch(() => null));
    assertEquals(text(answer), "HELLO");
  });
});

testWith(
  "strace systemd-analyze",
  "strace systemd",
  "the unit allows every system call of the server and its children",
  async () => {
    await using folder = await makeFolder();
    const trace = `${folder.path}/trace`;
    await using manager = new NotifySocket(`${folder.path}/notify`);
    const command = here(UNIT_COMMAND, manager);
    const env = { NOTIFY_SOCKET: manager.path, WATCHDOG_USEC: "100000", JOURNAL_STREAM: "9:1" };
    await serve(traced(command, trace), env, async () => {
      await manager.message("READY");
      await manager.message("WATCHDOG");
    });
    const { made, families } = await callsIn(trace);
    assert(made.has("execve") && made.has("accept4"));
    assertEquals([...made.difference(await allowedCalls(UNIT))], []);
    const restricted = new Set(valuesOf(UNIT, "RestrictAddressFamilies")[0]!.split(" "));
    assertEquals([...families.difference(restricted)], []);
  },
);
