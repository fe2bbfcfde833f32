/**
 * The README from top to bottom on machines that have no more than it asks for: Node.js or Deno or
 * both, root or another user, OpenBSD's netcat or Ncat as `nc`.
 */

import { assert } from "@std/assert";
import { CHECKOUT, ownFolders, readPage, runPage } from "./_page_runner.ts";
import { run } from "./_service.ts";
import { testWith } from "./_test_with.ts";

/** What a machine has on its PATH besides. */
const PROGRAMS =
  "bash bc cat echo env getent git grep id kill mktemp rm sed setpriv setsid sh sleep tail tr true";

/** A machine; every value is there, and those that meet in a command meet here. */
interface Machine {
  has: readonly ("node" | "deno")[];
  isRoot: boolean;
  nc: "nc.openbsd" | "ncat";
}

const MACHINES: readonly Machine[] = [
  { has: ["node"], isRoot: false, nc: "ncat" },
  { has: ["node"], isRoot: true, nc: "nc.openbsd" },
  { has: ["deno"], isRoot: false, nc: "nc.openbsd" },
  { has: ["deno"], isRoot: true, nc: "ncat" },
  { has: ["node", "deno"], isRoot: false, nc: "nc.openbsd" },
];

/** Fills npm's cache, so that `npx -y deno` needs no network on the machines. */
async function fillCache(folder: string): Promise<void> {
  const { code, stderr } = await run(["npx", "-y", "deno", "--version"], {
    cwd: folder,
    env: { npm_config_cache: folder },
  });
  assert(code === 0, stderr);
}

/** The words of bwrap(1) that make a machine; its programs are links in a folder of the checkout. */
async function wordsOf({ has, isRoot, nc }: Machine, copy: string, cache: string) {
  const programs = [
    ...PROGRAMS.split(" "),
    ...(has.includes("node") ? ["node", "npm", "npx"] : []),
  ];
  await Deno.mkdir(`${copy}/.bin`);
  for (const [name, program] of [...programs.map((name) => [name, name]), ["nc", nc]]) {
    const { code, stdout } = await run(["sh", "-c", `command -v ${program}`]);
    assert(code === 0, `there is no ${program}`);
    await Deno.symlink(stdout.trim(), `${copy}/.bin/${name}`);
  }
  // deno-fmt-ignore
  return [
    ...ownFolders(copy), "--setenv", "PATH", `${CHECKOUT}/.bin`,
    ...(has.includes("deno") ? ["--ro-bind", Deno.execPath(), `${CHECKOUT}/.bin/deno`] : []),
    ...(has.includes("node") ? ["--bind", cache, "/tmp/npm"] : []),
    "--setenv", "npm_config_cache", "/tmp/npm", "--setenv", "npm_config_offline", "true",
    "--unshare-user", ...(isRoot ? ["--uid", "0", "--gid", "0"] : ["--uid", "1000", "--gid", "1000"]),
  ];
}

/** The command as it is typed on a machine, or `undefined` where the README has another one for it. */
function adapted({ has, nc }: Machine, command: string): string | undefined {
  if (!has.includes("node") && command.startsWith("npx ")) return undefined;
  return command
    .replace(/^deno /, has.includes("deno") ? "$&" : "npx -y $&")
    .replaceAll("nc -N ", nc === "ncat" ? "nc " : "$&");
}

for (const machine of MACHINES) {
  const { has, isRoot, nc } = machine;
  const who = isRoot ? "root" : "another user";
  testWith(
    "bwrap npx nc.openbsd ncat bc",
    "bubblewrap npm netcat-openbsd ncat bc",
    `the README holds from top to bottom for ${who} with ${has.join(" and ")}, and ${nc} as nc`,
    async () => {
      const cache = await Deno.makeTempDir();
      try {
        if (has.includes("node")) await fillCache(cache);
        await runPage("README.md", await readPage("README.md"), {
          adapt: (command) => adapted(machine, command),
          machine: (copy) => wordsOf(machine, copy, cache),
        });
      } finally {
        await Deno.remove(cache, { recursive: true });
      }
    },
  );
}
