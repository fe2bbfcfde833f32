/**
 * The programs in docs/traps: each goes wrong as docs/model.md says, and holds when it is fixed.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { text } from "./_sockets.ts";
import { testWith } from "./_test_with.ts";
import { until, within } from "./_waiting.ts";

const DOCS = new URL("../docs/", import.meta.url).pathname;
const MODEL = await Deno.readTextFile(`${DOCS}model.md`);

/** The rows of the table of traps. */
const TRAPS = [
  ...MODEL.matchAll(
    /^\| \[(.+?)\]\(#(\S+)\) +\| \[(\w+)\]\(traps\/\3\.c\) +\| (.+?) +\| (.+?) +\|$/gm,
  ),
].map(([, heading, anchor, name, broken, fixed]) => ({
  heading: heading!,
  anchor: anchor!,
  name: name!,
  broken: broken!,
  fixed: fixed!,
}));

/** What run.sh in `folder` prints for one trap, and its exit code. */
async function run(
  name: string,
  folder = `${DOCS}traps`,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const temporary = await Deno.makeTempDir();
  try {
    const command = new Deno.Command(`${folder}/run.sh`, {
      args: [name],
      env: { LC_ALL: "C", TMPDIR: temporary },
    });
    const { code, stdout, stderr } = await within(name, command.output());
    await until(`all processes of ${name} to end`, () => !isRunningIn(temporary));
    assertEquals([...Deno.readDirSync(temporary)], []);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

/** Whether a process runs a program of that folder (Linux: proc(5)). */
function isRunningIn(folder: string): boolean {
  return [...Deno.readDirSync("/proc")].some(({ name }) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return Deno.readTextFileSync(`/proc/${name}/cmdline`).startsWith(`${folder}/`);
    } catch {
      return false; // ended in the meantime
    }
  });
}

Deno.test("docs/model.md lists every program in docs/traps, and every trap has a program", () => {
  const programs = [...Deno.readDirSync(`${DOCS}traps`)].map(({ name }) => name)
    .filter((name) => name.endsWith(".c"));
  assertEquals(TRAPS.map(({ name }) => `${name}.c`).sort(), programs.sort());
  const [, chapter] = /^## The traps.*?\n(.*?)^## /ms.exec(MODEL)!;
  const headings = [...chapter!.matchAll(/^### (.+)$/gm)].map(([, heading]) => heading);
  assertEquals([...new Set(TRAPS.map(({ heading }) => heading))], headings);
  for (const { heading, anchor } of TRAPS) {
    assertEquals(anchor, heading.toLowerCase().replace(/[^\w -]/g, "").replaceAll(" ", "-"));
  }
});

for (const { name, broken, fixed } of TRAPS) {
  testWith(
    "cc",
    "gcc libc6-dev",
    `the trap ${name} goes wrong as docs/model.md says, and holds when it is fixed`,
    async () => {
      const { code, stdout, stderr } = await run(name);
      const lines = stdout.trimEnd().split("\n").map((line) => line.split(/  +/));
      assertEquals(lines, [[name, "broken", broken], [name, "fixed", fixed]]);
      assertEquals([code, stderr], [0, ""]);
    },
  );
}

testWith(
  "cc",
  "gcc libc6-dev",
  "docs/traps/run.sh reports a trap that holds although it is broken, or goes wrong although it is fixed",
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      for (const { name } of Deno.readDirSync(`${DOCS}traps`)) {
        await Deno.copyFile(`${DOCS}traps/${name}`, `${folder}/${name}`);
      }
      const source = await Deno.readTextFile(`${folder}/one_read.c`);
      await Deno.writeTextFile(`${folder}/one_read.c`, source.replace("#ifdef", "#ifndef"));
      const { code, stdout } = await run("one_read", folder);
      assertEquals(code, 1);
      assertMatch(stdout, /^one_read +broken +UNEXPECTED .*\none_read +fixed +UNEXPECTED .*\n$/);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
