/** The memory of children, which cat(1) reads for the server. */

import { assert, assertEquals } from "@std/assert";
import { sumOf } from "../lib/status/children_memory.ts";
import type { Status } from "../lib/status/listener.ts";
import { childrenOf } from "./_processes.ts";
import { makeFolder } from "./_service.ts";
import { Spawnd } from "./_spawnd.ts";
import { within } from "./_waiting.ts";

const get = async (url: URL, path: string) =>
  await (await within(path, fetch(new URL(path, url)))).text();

/** The proportional set size of a process, in bytes. */
async function pssOf(pid: number): Promise<number> {
  return sumOf(await Deno.readTextFile(`/proc/${pid}/smaps_rollup`))!;
}

Deno.test("the status has the memory of all children, warm ones too", async () => {
  await using spawnd = await Spawnd.start("--status", "0", "--warm", "2", "--", "cat");
  using _conn = await spawnd.connect();
  const { pid } = await spawnd.record({ message: "open", id: 1 });
  const url = await spawnd.statusUrl();
  const { childrenMemoryBytes } = JSON.parse(await get(url, "status.json")) as Status;
  const one = await pssOf(pid as number);
  assert(childrenMemoryBytes! > one && childrenMemoryBytes! < 10 * one, `${childrenMemoryBytes}`);
  const [, metric] = /^spawnd_children_memory_bytes (.*)$/m.exec(await get(url, "metrics"))!;
  assertEquals(Number(metric), childrenMemoryBytes); // within five seconds it is not read again
});

Deno.test("without permission to run cat, the memory of children is not told", async () => {
  await using spawnd = await Spawnd.startWith(
    ["--allow-net", `--allow-run=${Deno.execPath()},sh`],
    ...["--no-group", "--status", "0"],
  );
  const url = await spawnd.statusUrl();
  assert(!("childrenMemoryBytes" in JSON.parse(await get(url, "status.json"))));
  assert(!(await get(url, "metrics")).includes("children_memory"));
});

for (
  const [what, script] of Object.entries({
    "hangs": "exec sleep 30",
    "leaves its output to another": "sleep 4 & exit",
    "writes without end": "exec yes 'Pss:  1 kB'",
    "fails": "exit 1",
    "is none": "",
  })
) {
  Deno.test(`a cat that ${what} keeps nobody from the status, and is gone soon`, async () => {
    await using folder = await makeFolder();
    const cat = `${folder.path}/cat`;
    await Deno.writeTextFile(cat, script === "" ? "" : `#!/bin/sh\n${script}\n`);
    await Deno.chmod(cat, 0o755);
    const PATH = `${folder.path}:${Deno.env.get("PATH")}`;
    await using spawnd = await Spawnd.startIn(
      { PATH },
      "--status",
      "0",
      "--no-group",
      "--",
      "sed",
      "n",
    );
    using _conn = await spawnd.connect();
    await spawnd.record({ message: "open", id: 1 });
    const status = JSON.parse(await get(await spawnd.statusUrl(), "status.json")) as Status;
    assertEquals([status.active, status.childrenMemoryBytes], [1, undefined]);
    assertEquals(childrenOf(spawnd.pid).length, 1); // sed
    assertEquals(spawnd.records({ level: "ERROR" }), []);
  });
}

Deno.test("memory is added up, and what cannot be read is left out", () => {
  assertEquals(
    sumOf("Rss:  99 kB\nPss:               3 kB\nPss_Anon: 9 kB\nPss: 4 kB\n"),
    7 * 1024,
  );
  assertEquals(sumOf(""), undefined);
});
