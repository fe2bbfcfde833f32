/**
 * The units in deploy/, as far as they can be tried without systemd as the service manager: what it
 * says about them, and what their commands do here.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { read, ROOT, valuesOf } from "./_deploy.ts";
import type { NotifySocket } from "./_notify_socket.ts";
import { makeFolder, run } from "./_service.ts";
import { testWith } from "./_test_with.ts";
import { until, within } from "./_waiting.ts";

const NOTIFY_SOCKET = "/run/systemd/notify";

/** A folder with these files of deploy/, by where they go, with the paths of this machine. */
export async function install(files: Record<string, string>): ReturnType<typeof makeFolder> {
  const folder = await makeFolder();
  for (const [path, name] of Object.entries(files)) {
    const text = (await read(name)).replaceAll("/usr/local/bin/deno", Deno.execPath())
      .replaceAll("/opt/spawnd/", ROOT);
    await Deno.mkdir(`${folder.path}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeTextFile(`${folder.path}/${path}`, text);
  }
  return folder;
}

/** Has systemd verify a unit; returns what it reports. */
export async function verify(unit: string): Promise<string> {
  const command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit];
  const { stdout, stderr } = await run(command);
  return stdout + stderr;
}

/** Declares a test of what systemd says about units. */
export function testUnits(name: string, fn: () => Promise<void>): void {
  testWith("systemd-analyze", "procps systemd", name, fn);
}

/** The words of a unit's command with this machine's paths, and its status on a free port. */
export function here(
  command: readonly string[],
  manager: NotifySocket,
  folder = "/etc/spawnd",
): string[] {
  return command.map((word) =>
    word.replace("/usr/local/bin/deno", Deno.execPath()).replace("/opt/spawnd/", ROOT)
      .replace(NOTIFY_SOCKET, manager.path).replace(/^9528$/, "0")
      .replaceAll(/\/(etc|run)\/spawnd/g, folder)
  );
}

/** Starts a service, calls `use`, and stops it; it must say that it is ready and that it stops. */
export async function startAndStop(
  [command, ...args]: readonly string[],
  manager: NotifySocket,
  use: () => Promise<void>,
): Promise<void> {
  const child = new Deno.Command(command!, {
    args,
    env: { NOTIFY_SOCKET: manager.path },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let exited = false;
  const status = child.status.finally(() => exited = true);
  try {
    await use();
    await manager.message("READY");
    child.kill("SIGTERM");
    await manager.message("STOPPING");
    assertEquals((await within("its end", status)).code, 0);
  } finally {
    if (!exited) child.kill("SIGKILL");
    await status;
  }
}

/** The system calls that a unit allows. */
export async function allowedCalls(unit: string): Promise<Set<string>> {
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
  const allowed = new Set<string>();
  for (const filter of valuesOf(unit, "SystemCallFilter")) {
    for (const name of filter.replace(/^~/, "").split(" ").flatMap(expand)) {
      if (filter.startsWith("~")) allowed.delete(name);
      else allowed.add(name);
    }
  }
  // Deno's cache uses SQLite, which calls this only as root, and goes on if it fails.
  if (Deno.uid() === 0) allowed.add("fchown");
  return allowed;
}

/** The command, with the system calls of its process and that one's children in a file. */
export function traced(command: readonly string[], file: string): string[] {
  return ["strace", "-D", "-f", "-q", "-o", file, ...command];
}

/** The system calls and socket families in a trace, once its last process has ended. */
export async function callsIn(
  file: string,
): Promise<{ made: Set<string>; families: Set<string> }> {
  const trace = await until("the trace's end", async () => {
    const trace = await Deno.readTextFile(file);
    return /\+\+\+ exited with 0 \+\+\+\n$/.test(trace) && trace;
  });
  const all = (pattern: RegExp) => new Set([...trace.matchAll(pattern)].map((match) => match[1]!));
  return { made: all(/^\d+ +([a-z]\w*)\(/gm), families: all(/\bsocket\((AF_\w+)/g) };
}
