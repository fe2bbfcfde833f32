/**
 * The challenge host, examples/challenge.sh, with a shell as its program: what players do to it once
 * they have taken it over.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { receiveLine, ROOT, start } from "./_examples.ts";
import { send } from "./_sockets.ts";
import type { Spawnd } from "./_spawnd.ts";

/** Where a challenge runs: its jail, and the user that starts it. */
export interface Setting {
  readonly jail: "bwrap" | "unshare";
  /** The Debian package that the jail is in. */
  readonly debianPackage: string;
  /** Whether root starts it, so that each player is a user of its own. */
  readonly byRoot: boolean;
}

const USERS = Deno.uid() === 0 ? [true, false] : [false];
const SETTINGS: readonly Setting[] = USERS.flatMap((byRoot): Setting[] => [
  { jail: "bwrap", debianPackage: "bubblewrap", byRoot },
  { jail: "unshare", debianPackage: "util-linux", byRoot },
]);

/** A challenge host whose program is a shell, in a folder that everybody may read. */
export class ShellChallenge implements AsyncDisposable {
  private constructor(readonly spawnd: Spawnd, readonly folder: string) {}

  static async start({ jail, byRoot }: Setting, program = "sh"): Promise<ShellChallenge> {
    const folder = await Deno.makeTempDir();
    await Deno.chmod(folder, 0o755);
    await Deno.copyFile(`${ROOT}examples/challenge.sh`, `${folder}/challenge.sh`);
    await Deno.writeTextFile(`${folder}/run`, "#!/bin/sh\ncat flag\necho changed >flag\n");
    await Deno.chmod(`${folder}/run`, 0o755);
    await Deno.writeTextFile(`${folder}/flag`, "the flag\n");
    // Only bwrap protects what the player's user may write.
    if (jail === "bwrap") await Deno.chmod(`${folder}/flag`, 0o666);
    const user = byRoot || Deno.uid() !== 0 ? "" : "--uid 65534 --gid 65534 ";
    const spawnd = await start("examples/challenge.sh", {
      "-- examples/challenge.sh busybox bc":
        `${user}-- env SECRET=secret JAIL=${jail} ${folder}/challenge.sh ` +
        program.replace("./", `${folder}/`),
      "--max-per-source 2 ": "",
      "--eof-timeout 5 --kill-timeout 1": "--eof-timeout 1 --kill-timeout 0.5",
    });
    return new ShellChallenge(spawnd, folder);
  }

  async connect(): Promise<Player> {
    return new Player(await this.spawnd.connect());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.spawnd[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** A player who types into the shell. */
export class Player implements Disposable {
  constructor(readonly conn: Deno.TcpConn) {}

  /** Runs a command in the shell itself, and resolves to the lines it prints. */
  async run(command: string): Promise<string[]> {
    await this.type(`${command}\necho done`);
    const lines: string[] = [];
    for (;;) {
      const line = await receiveLine(this.conn);
      if (line === "done") return lines;
      lines.push(line);
    }
  }

  async type(command: string): Promise<void> {
    await send(this.conn, `${command}\n`);
  }

  /** Asserts that the shell still serves this player, and can start processes. */
  async assertPlays(): Promise<void> {
    assertEquals(await this.run("echo one | cat | cat"), ["one"]);
  }

  /** The pid namespace that the shell is in, as proc(5) names it. */
  async namespace(): Promise<string> {
    const [name] = await this.run("readlink /proc/self/ns/pid");
    assert(name !== Deno.readLinkSync("/proc/self/ns/pid"));
    return name!;
  }

  [Symbol.dispose](): void {
    try {
      this.conn.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error; // already closed
    }
  }
}

/** The names of the processes in a pid namespace, zombies excluded (Linux: proc(5)). */
export function processesIn(namespace: string): string[] {
  return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
    try {
      if (!/^\d+$/.test(name) || Deno.readLinkSync(`/proc/${name}/ns/pid`) !== namespace) return [];
      return [Deno.readTextFileSync(`/proc/${name}/comm`).trim()];
    } catch {
      return []; // it has ended, or belongs to somebody else
    }
  });
}

/** Whether a jail can be had here, and busybox, which the tests run in it. */
export function works(jail: string): boolean {
  return new Deno.Command(`${ROOT}examples/challenge.sh`, {
    args: ["busybox", "true"],
    env: { JAIL: jail },
    stderr: "null",
  }).outputSync().success;
}

/** Declares a test for every jail and user. Without the jail, it is ignored and its name says why. */
export function testJails(
  name: string,
  fn: (setting: Setting) => Promise<void>,
  { jails = /./ }: { jails?: RegExp } = {},
): void {
  for (const setting of SETTINGS.filter(({ jail }) => jails.test(jail))) {
    const { jail, debianPackage, byRoot } = setting;
    Deno.test({
      name: `${jail}, ${byRoot ? "as root" : "not root"}: ${name} ` +
        `(needs user namespaces: apt-get install busybox ${debianPackage})`,
      ignore: !works(jail),
      fn: () => fn(setting),
    });
  }
}
