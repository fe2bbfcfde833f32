/** Permissions of Deno that are missing: all are named at once, with what gives them. */

import { assertEquals } from "@std/assert";
import { makeFolder } from "./_service.ts";
import { Spawnd } from "./_spawnd.ts";
import { until } from "./_waiting.ts";

const DENO = Deno.execPath();

/** The services of a file, as text. */
const textOf = (services: Record<string, unknown>, top = {}) =>
  JSON.stringify({ ...top, services });

/** What a start with these permissions, and those for the file, complains of. */
async function complaints(permissions: string[], text: string): Promise<string[]> {
  await using folder = await makeFolder();
  const file = `${folder.path}/spawnd.jsonc`;
  await Deno.writeTextFile(file, text);
  const allowed = [...permissions, `--allow-read=${file}`];
  const lines = [];
  for (const check of [[], ["--check"]]) {
    await using spawnd = Spawnd.startingVia(
      [],
      { permissions: allowed },
      "--config",
      file,
      ...check,
    );
    assertEquals((await spawnd.ended()).code, check.length === 0 ? 1 : 2);
    lines.push(spawnd.lines.filter((line) => line !== "Try --help for all options."));
  }
  assertEquals(lines[0], lines[1]);
  return lines[0]!.map((line) =>
    line.replaceAll(`${folder.path}/`, "").replace("spawnd: ", "").replace(
      "Deno does not allow ",
      "",
    )
  );
}

Deno.test("permissions that services lack are named at once, with the services", async () => {
  const text = textOf({
    a: { port: 7001 },
    b: { port: 7002 },
    c: {
      listen: ["unix:/x.sock", "ws://unix:/y.sock:/"],
      command: ["cat"],
      cert: "c.pem",
      key: "k.pem",
    },
  }, { status: 7003 });
  assertEquals(await complaints([], text), [
    "a: listening on 0.0.0.0:7001: add --allow-net, or 0.0.0.0:7001 to its list",
    `a, b: running ${DENO}: add --allow-run, or ${DENO} to its list`,
    "b: listening on 0.0.0.0:7002: add --allow-net, or 0.0.0.0:7002 to its list",
    "c: listening on unix:/x.sock: add --allow-net, or unix:/x.sock to its list",
    "c: reading /x.sock: add --allow-read=/x.sock",
    "c: writing /x.sock: add --allow-write=/x.sock",
    "c: listening on unix:/y.sock: add --allow-net, or unix:/y.sock to its list",
    "c: reading /y.sock: add --allow-read=/y.sock",
    "c: writing /y.sock: add --allow-write=/y.sock",
    "c: running cat: add --allow-run, or cat to its list",
    "c: reading c.pem: add --allow-read=c.pem",
    "c: reading k.pem: add --allow-read=k.pem",
    "serving its status on 127.0.0.1:7003: add --allow-net, or 127.0.0.1:7003 to its list",
  ]);
});

Deno.test("a Unix socket takes a place in the list of --allow-net", async () => {
  await using folder = await makeFolder();
  const path = `${folder.path}/s`;
  const file = ["--allow-read", "--allow-write"].map((flag) => `${flag}=${path}`);
  for (const listed of [path, `${path}2`]) {
    const permissions = ["--allow-run=cat", `--allow-net=unix:${listed}`, ...file];
    await using spawnd = Spawnd.startingVia([], { permissions }, "--unix", path, "--", "cat");
    if (listed === path) {
      await spawnd.listening();
    } else {
      assertEquals((await spawnd.ended()).code, 1);
      assertEquals(spawnd.lines, [
        `spawnd: Deno does not allow listening on unix:${path}: ` +
        `add --allow-net, or unix:${path} to its list`,
      ]);
    }
  }
});

Deno.test("where a flag has a list, what it lacks is named", async () => {
  const text = textOf({
    a: { port: 7001, command: ["cat"] },
    b: { port: 7002, command: ["tr", "a", "b"], "stderr": "client" },
  });
  assertEquals(await complaints(["--allow-net=0.0.0.0:7001", "--allow-run=cat"], text), [
    "b: listening on 0.0.0.0:7002: add 0.0.0.0:7002 to the list of --allow-net",
    "b: running tr: add tr to the list of --allow-run",
    "b: running sh: add sh to the list of --allow-run",
  ]);
  assertEquals(await complaints(["--allow-net", "--deny-run=tr", "--allow-run=cat,sh"], text), [
    "b: running tr: remove its --deny-run",
  ]);
});

Deno.test("a reload that lacks a permission changes nothing, and says what to add", async () => {
  await using folder = await makeFolder();
  const file = `${folder.path}/spawnd.jsonc`;
  const a = { listen: "127.0.0.1:0", command: ["cat"] };
  await Deno.writeTextFile(file, textOf({ a }));
  const permissions = [`--allow-read=${file}`, "--allow-net=127.0.0.1", "--allow-run=cat"];
  await using spawnd = Spawnd.startingVia([], { permissions }, "--config", file);
  await spawnd.listening();
  const b = { listen: ["[::1]:7009", "unix:/x.sock"], command: ["tr", "a", "b"] };
  await Deno.writeTextFile(file, textOf({ a, b }));
  spawnd.kill("SIGHUP");
  const message = "cannot reload: nothing has changed";
  const records = await until("all problems", () => {
    const records = spawnd.records({ level: "ERROR", message });
    return records.length === 5 && records;
  });
  assertEquals(records.map(({ error }) => error), [
    "b: Deno does not allow listening on [::1]:7009: add [::1]:7009 to the list of --allow-net",
    "b: Deno does not allow listening on unix:/x.sock: add unix:/x.sock to the list of --allow-net",
    "b: Deno does not allow reading /x.sock: add --allow-read=/x.sock",
    "b: Deno does not allow writing /x.sock: add --allow-write=/x.sock",
    "b: Deno does not allow running tr: add tr to the list of --allow-run",
  ]);
  await Deno.writeTextFile(file, textOf({ a }));
  spawnd.kill("SIGHUP");
  await spawnd.record({ message: "reloaded" });
});
