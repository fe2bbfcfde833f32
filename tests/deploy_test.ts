import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseAll } from "@std/yaml";
import { LINGER_MS } from "../lib/net/connection.ts";
import { parseCommandLine } from "../lib/cli/command_line.ts";
import { resolveSettings, type Settings } from "../lib/server/settings.ts";
import {
  ask,
  descriptorsOf,
  receive,
  send,
  Spawnd,
  testWith,
  text,
  until,
  within,
} from "./_spawnd.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const read = (name: string) => Deno.readTextFile(`${ROOT}deploy/${name}`);
const UNIT = await read("spawnd.service");
const PER_CORE = await read("per_core.conf");
const DOCKERFILE = await read("Dockerfile");
const KUBERNETES = await read("kubernetes.yaml");
const README = await read("README.md");

/** Runs a command to completion. */
async function run(
  [command, ...args]: readonly string[],
  options: Deno.CommandOptions = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, ...output } = await new Deno.Command(command!, { ...options, args }).output();
  return { code, stdout: text(output.stdout), stderr: text(output.stderr) };
}

/** A temporary folder, removed on disposal even if it has become read-only. */
async function makeFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempDir();
  return {
    path,
    async [Symbol.asyncDispose]() {
      await run(["chmod", "-R", "u+w", path]);
      await Deno.remove(path, { recursive: true });
    },
  };
}

/** A port that is free now. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/**
 * Starts the counter service with this command as a service manager would, calls `use`, and stops the
 * service with SIGTERM. Returns what it wrote to stderr.
 */
async function serve(
  [command, ...args]: readonly string[],
  env: Record<string, string>,
  use: () => Promise<void> = async () => {},
): Promise<string> {
  const port = freePort();
  const child = new Deno.Command(command!, {
    args: [...args, "--host", "127.0.0.1", "--port", `${port}`],
    cwd: "/",
    env,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const stderr = new Response(child.stderr).text();
  let exited = false;
  const status = child.status.finally(() => exited = true);
  try {
    const answer = await until("a first reply", async () => {
      assert(!exited, exited ? await stderr : "");
      return await ask(port, "hello").catch(() => null);
    });
    assertMatch(text(answer), /^This is server send message:0\0/);
    await use();
    child.kill("SIGTERM");
    assertEquals((await within("its end", status)).code, 0);
    return await stderr;
  } finally {
    if (!exited) child.kill("SIGKILL");
    await status;
  }
}

/** The settings that these options resolve to. Throws where the program itself would exit. */
function settingsOf(options: readonly string[]): Settings & { statusPort: number | undefined } {
  const { server, status } = parseCommandLine(options);
  return { ...resolveSettings(server), statusPort: status?.port };
}

/** The options in a command: the words after main.ts. */
function optionsIn(words: readonly string[]): readonly string[] {
  const at = words.findIndex((word) => /(^|\/)main\.ts$/.test(word));
  assert(at >= 0, words.join(" "));
  return words.slice(at + 1);
}

/** The longest that a shutdown can take: drain, stop ladder and linger. */
function longestStopMs({ drainTimeoutMs, killTimeoutMs }: Settings): number {
  return drainTimeoutMs + 2 * killTimeoutMs + LINGER_MS;
}

/** The values of a key in a unit file. */
function valuesOf(unit: string, key: string): string[] {
  const values = [...unit.matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].map((match) => match[1]!);
  assert(values.length > 0, `there is no ${key}=`);
  return values;
}

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

/** The Dockerfile's instructions, in order. */
const INSTRUCTIONS = DOCKERFILE.replaceAll("\\\n", " ").split("\n")
  .filter((line) => /^[A-Z]/.test(line))
  .map((line) => /^([A-Z]+) +(.*)$/.exec(line)!.slice(1) as [name: string, rest: string]);

/** The arguments of the Dockerfile's only instruction of this name. */
function instruction(name: string): string {
  const found = INSTRUCTIONS.filter((instruction) => instruction[0] === name);
  assertEquals(found.length, 1, name);
  return found[0]![1];
}

/** The commands, which are in exec form. */
const CMD: string[] = JSON.parse(instruction("CMD"));
const ENTRYPOINT: string[] = JSON.parse(instruction("ENTRYPOINT"));
const HEALTHCHECK: string[] = JSON.parse(/ CMD (\[.*\])$/.exec(instruction("HEALTHCHECK"))![1]!);

/**
 * Runs the Dockerfile's steps in a folder that stands in for the image's /spawnd, with the packages
 * on this machine, and makes the folder read-only. Returns the environment.
 */
async function build(folder: string): Promise<Record<string, string>> {
  // Nothing listens there, so every download fails.
  const env: Record<string, string> = { HTTPS_PROXY: "http://127.0.0.1:9" };
  for (const pair of instruction("ENV").split(" ")) {
    const [name, value] = pair.split("=");
    env[name!] = value!.replace("/spawnd", folder);
  }
  const info = await run([Deno.execPath(), "info", "--json"], { cwd: ROOT });
  await Deno.mkdir(env.DENO_DIR!);
  await Deno.symlink(JSON.parse(info.stdout).npmCache, `${env.DENO_DIR}/npm`);

  for (const [name, rest] of INSTRUCTIONS) {
    const [first, ...words] = rest.split(" ");
    const command = {
      COPY: [
        "cp",
        "-r",
        ...[first, ...words.slice(0, -1)].map((path) => ROOT + path),
        words.at(-1)!,
      ],
      RUN: [first === "deno" ? Deno.execPath() : first!, ...words],
    }[name];
    if (command === undefined) continue;
    const { code, stderr } = await run(command, { cwd: folder, env });
    assertEquals(code, 0, stderr);
  }
  await run(["chmod", "-R", "a-w", folder]);
  return env;
}

Deno.test("what the Dockerfile copies and runs is enough to serve from a read-only folder", async () => {
  await using folder = await makeFolder();
  const env = await build(folder.path);
  for (const module of ["main.ts", "child.ts"]) {
    await Deno.stat(`${env.DENO_DIR}/gen/file${folder.path}/${module}.js`); // compiled
  }

  const status = `${freePort()}`;
  const unprivileged = Deno.uid() === 0 ? ["--bounding-set=-all", "--inh-caps=-all"] : [];
  const inside = ([deno, ...words]: readonly string[]) => {
    assertEquals(deno, "deno");
    return [
      ...["setpriv", "--no-new-privs", ...unprivileged, Deno.execPath()],
      ...words.map((word) => word.replace("/spawnd", folder.path).replace("9528", status)),
    ];
  };
  const check = async () => (await run(inside(HEALTHCHECK), { cwd: folder.path, env })).code;
  assertEquals(await check(), 1);
  assertEquals(ENTRYPOINT.slice(0, 2), ["/tini", "--"]);
  const log = await serve(inside([...ENTRYPOINT.slice(2), ...CMD]), env, async () => {
    assertEquals(await check(), 0);
  });
  // Log lines only: no complaint about a cache that cannot be written.
  for (const line of log.trim().split("\n")) assertMatch(line, /^\d{4}-\d\d-\d\dT|^child \d+ /);
});

Deno.test("the image's ports, user and signal match the program", () => {
  const { port, statusPort } = settingsOf([...optionsIn(ENTRYPOINT), ...CMD]);
  assertEquals(instruction("EXPOSE"), `${port} ${statusPort}`);
  assert(HEALTHCHECK.join(" ").includes(`:${statusPort}/healthz`));
  assertEquals(instruction("WORKDIR"), "/spawnd");
  assertMatch(instruction("USER"), /^[1-9]\d*:[1-9]\d*$/);
  assertEquals(instruction("STOPSIGNAL"), "SIGTERM");
});

Deno.test("the Kubernetes manifest agrees with itself and the program", async () => {
  const documents = parseAll(KUBERNETES);
  const [deployment, service, autoscaler, budget] = documents;
  assertEquals(documents.length, 4);
  assertEquals([deployment, service, autoscaler, budget].map(({ kind }) => kind), [
    "Deployment",
    "Service",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
  ]);
  const { metadata, spec: pod } = deployment.spec.template;
  assertEquals(pod.containers.length, 1);
  const [container] = pod.containers;
  const settings = settingsOf(container.args);
  const { maxConnections, port, statusPort, warm } = settings;

  for (const selector of [deployment, budget].map(({ spec }) => spec.selector)) {
    assertEquals(selector, { matchLabels: metadata.labels });
  }
  assertEquals(service.spec.selector, metadata.labels);
  const { kind, name, apiVersion } = autoscaler.spec.scaleTargetRef;
  assertEquals([kind, name, apiVersion], [
    deployment.kind,
    deployment.metadata.name,
    deployment.apiVersion,
  ]);
  assertEquals(deployment.spec.replicas, undefined);

  assertEquals(container.ports, [
    { name: "clients", containerPort: port },
    { name: "status", containerPort: statusPort },
  ]);
  assertEquals(service.spec.ports, [{ name: "clients", port, targetPort: "clients" }]);
  assertEquals(container.livenessProbe.httpGet, { path: "/healthz", port: "status" });
  assertEquals(container.readinessProbe.httpGet, { path: "/readyz", port: "status" });
  assertEquals(metadata.annotations["prometheus.io/port"], `${statusPort}`);
  // The kubelet and Prometheus connect from outside the pod.
  assertEquals(parseCommandLine(container.args).status?.hostname, "0.0.0.0");

  const [sleep, seconds] = container.lifecycle.preStop.exec.command;
  assertEquals(sleep, "sleep");
  const graceMs = pod.terminationGracePeriodSeconds * 1000;
  assert(graceMs > Number(seconds) * 1000 + longestStopMs(settings), `${graceMs}`);

  const [user, group] = instruction("USER").split(":").map(Number);
  assertEquals(pod.securityContext, {
    runAsNonRoot: true,
    runAsUser: user,
    runAsGroup: group,
    seccompProfile: { type: "RuntimeDefault" },
  });
  assertEquals(container.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });

  const [, megabytes] = /A Deno process takes about (\d+) MB/.exec(
    await Deno.readTextFile(`${ROOT}README.md`),
  )!;
  const { requests, limits } = container.resources;
  assertEquals([requests.memory, limits.memory], ["1Gi", "1Gi"]);
  assert(2 ** 30 > ((maxConnections + warm) * Number(megabytes) + 200) * 1e6);

  const { metrics: [{ pods }], minReplicas, maxReplicas } = autoscaler.spec;
  const target = Number(pods.target.averageValue);
  assertEquals(target, Math.round(0.7 * maxConnections));
  assert(1 < minReplicas && minReplicas < maxReplicas);
  assertEquals(pods.metric.name, "spawnd_connections_active");
});

Deno.test("the server exports the metric that the autoscaler uses", async () => {
  const port = freePort();
  await using spawnd = await Spawnd.start("--status", `${port}`);
  using _conn = await spawnd.connect();
  await spawnd.record({ message: "open" });
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const [, name] = /\bname: (spawnd_\w+)/.exec(KUBERNETES)!;
  assertMatch(metrics, new RegExp(`^# TYPE ${name} gauge\\n${name} 1$`, "m"));
});

Deno.test("the commands in deploy/README.md match the files beside it", async () => {
  const commands = [...README.matchAll(/^ {4}(\S.*)$/gm)].map((match) => match[1]!.split(" "));
  const commandsOf = (...start: string[]) =>
    commands.filter((words) => start.every((word, index) => words[index] === word));

  const paths = commands.flat().filter((word) => word.startsWith("deploy/"));
  const links = [...README.matchAll(/\]\((\w[\w.]*)\)/g)].map((match) => `deploy/${match[1]}`);
  for (const path of [...paths, ...links]) await Deno.stat(ROOT + path);
  const copied = INSTRUCTIONS.filter(([name]) => name === "COPY")
    .flatMap(([, rest]) => rest.split(" ").slice(0, -1)).map((path) => path.replace(/\/$/, ""));
  assertEquals(commandsOf("cp", "-r"), [["cp", "-r", ...copied, "/opt/spawnd/"]]);

  const [server] = commandsOf("deno");
  settingsOf(optionsIn(server!));
  const [, variant] = /`(--host .* --port 900%i .*)` in/.exec(README)!;
  const HAPROXY = await read("haproxy.cfg");
  for (const instance of ["1", "2"]) {
    assert(HAPROXY.includes(`main.ts ${variant!.replace("%i", instance)}\n`), variant);
  }

  const containers = commandsOf("docker", "run");
  assertEquals(containers.length, 2);
  for (const words of containers) {
    const valueOf = (option: string) => words[words.indexOf(option) + 1];
    assertEquals([`${valueOf("--stop-timeout")}s`], valuesOf(UNIT, "TimeoutStopSec"));
    const { port, statusPort } = settingsOf(words.slice(words.lastIndexOf("spawnd") + 1));
    assertEquals(valueOf("--publish"), `${port}:${port}`);
    const hasOptions = words.at(-1) !== "spawnd";
    assertEquals(statusPort, hasOptions ? settingsOf(CMD).statusPort : undefined);
  }
  const valueOf = (option: string) => containers[0]![containers[0]!.indexOf(option) + 1];
  assertEquals([valueOf("--pids-limit")], valuesOf(UNIT, "TasksMax"));
  assertEquals([valueOf("--ulimit")], valuesOf(UNIT, "LimitNOFILE").map((n) => `nofile=${n}`));
});
