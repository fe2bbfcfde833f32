import { assert, assertEquals } from "@std/assert";
import {
  CMD,
  INSTRUCTIONS,
  optionsIn,
  read,
  README,
  ROOT,
  settingsOf,
  UNIT,
  valuesOf,
} from "./_deploy.ts";

Deno.test("the commands in deploy/README.md match the files beside it", async () => {
  const commands = [...README.matchAll(/^ {4}(?: {2})?(\S.*)$/gm)].map((match) =>
    match[1]!.split(" ")
  );
  const commandsOf = (...start: string[]) =>
    commands.filter((words) => start.every((word, index) => words[index] === word));

  const paths = commands.flat().filter((word) => word.startsWith("deploy/"));
  const links = [...README.matchAll(/\]\((\w[\w.]*)\)/g)].map((match) => `deploy/${match[1]}`);
  for (const path of [...paths, ...links]) await Deno.stat(ROOT + path);
  const copied = INSTRUCTIONS.filter(([name]) => name === "COPY")
    .flatMap(([, rest]) => rest.split(" ").slice(0, -1)).map((path) => path.replace(/\/$/, ""));
  assertEquals(commandsOf("cp", "-r"), [["cp", "-r", ...copied, "/opt/spawnd/"]]);

  // A drop-in goes into a folder that is there, beside a unit that is.
  const system = "/etc/systemd/system/";
  const installed = commandsOf("cp").map(([, file, to]) =>
    to!.endsWith("/") ? to + file!.replace("deploy/", "") : to!
  );
  for (
    const path of installed.filter((path) => path.endsWith(".conf") && path.startsWith(system))
  ) {
    const [, folder, unit] = /^((.*)\.d)\//.exec(path)!;
    assert(commandsOf("mkdir", "-p", folder!).length > 0, path);
    assert(installed.includes(unit!), path);
  }

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
