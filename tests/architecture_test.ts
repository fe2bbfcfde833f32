/**
 * The layers of lib/: imports run down them and never up, and nothing imports itself in a circle.
 * ARCHITECTURE.md shows the picture this test holds in place.
 */

import { assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

/** Top to bottom. A file may import from its own folder and from any layer below it. */
const LAYERS: readonly (readonly string[])[] = [
  ["main.ts", "child.ts"],
  ["lib/cli", "lib/status", "lib/systemd", "lib/mod.ts"],
  ["lib/server"],
  ["lib/child", "lib/admission"],
  ["lib/web"],
  ["lib/net"],
  ["lib/base"],
  ["lib/handler"],
];

/** Each source file of the repository with the local files it imports, paths from the root. */
type Graph = ReadonlyMap<string, readonly string[]>;

/** What `source`, the text of `file`, imports from this repository: statically, by type or lazily. */
function importsOf(file: string, source: string): string[] {
  const code = source.replaceAll(/\/\*\*.*?\*\//gs, ""); // examples in doc comments import too
  return [...code.matchAll(/\b(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+\.ts)"/g)]
    .map(([, specifier]) => new URL(specifier!, `file:///${file}`).pathname.slice(1));
}

async function readGraph(): Promise<Graph> {
  const graph = new Map<string, string[]>();
  const visit = async (folder: string) => {
    for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
      const path = folder + name;
      if (isDirectory && !name.startsWith(".")) await visit(`${path}/`);
      else if (name.endsWith(".ts")) {
        graph.set(path, importsOf(path, await Deno.readTextFile(new URL(path, ROOT))));
      }
    }
  };
  await visit("");
  return graph;
}

/** The layer and the folder of `file`, or `undefined` where it is in none. */
function placeOf(file: string): { layer: number; folder: string } | undefined {
  for (const [layer, folders] of LAYERS.entries()) {
    const folder = folders.find((folder) => file === folder || file.startsWith(`${folder}/`));
    if (folder !== undefined) return { layer, folder };
  }
}

/** Imports that leave their layer in the wrong direction, one line each. */
function violationsIn(graph: Graph): string[] {
  const violations: string[] = [];
  for (const [file, imports] of graph) {
    const from = placeOf(file);
    if (from === undefined) {
      if (file.startsWith("lib/")) violations.push(`${file} is in no layer`);
      continue;
    }
    for (const imported of imports) {
      const to = placeOf(imported);
      if (to === undefined) violations.push(`${file} imports ${imported}, which is in no layer`);
      else if (to.layer < from.layer) {
        violations.push(`${file} imports ${imported}, a layer above it`);
      } else if (to.layer === from.layer && to.folder !== from.folder) {
        violations.push(`${file} imports ${imported}, its neighbour`);
      }
    }
  }
  return violations;
}

/** Circles of imports, each as `a → b → a`, the one found first for every file in one. */
function cyclesIn(graph: Graph): string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]) => {
    const start = path.indexOf(file);
    if (start >= 0) cycles.push([...path.slice(start), file].join(" → "));
    if (start >= 0 || done.has(file)) return;
    for (const imported of graph.get(file) ?? []) visit(imported, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return cycles;
}

Deno.test("imports in lib/ run from the command line down to base, never up", async () => {
  assertEquals(violationsIn(await readGraph()), []);
});

Deno.test("what a module imports in its child shares nothing with the server", async () => {
  const isHandler = (file: string) => file.startsWith("lib/handler/");
  const shared = [...await readGraph()].flatMap(([file, imports]) =>
    imports.filter((imported) =>
      /^(?:lib\/|main)/.test(file) && isHandler(file) !== isHandler(imported)
    )
      .map((imported) => `${file} imports ${imported}`)
  );
  assertEquals(shared, []);
});

Deno.test("no file imports itself in a circle, in lib/ or elsewhere", async () => {
  assertEquals(cyclesIn(await readGraph()), []);
});

Deno.test("an import against the direction, beside it or in a circle is named", () => {
  const graph = new Map([
    ["main.ts", ["lib/base/relay.ts", "deno.ts"]],
    [
      "lib/base/relay.ts",
      importsOf("lib/base/relay.ts", 'import { type A } from "../net/tls.ts";'),
    ],
    ["lib/net/tls.ts", importsOf("lib/net/tls.ts", 'await import("../base/relay.ts")')],
    ["lib/child/pool.ts", ["lib/admission/intake.ts", "lib/child/worker.ts"]],
    ["lib/child/worker.ts", ["lib/net/tls.ts"]],
    ["lib/utils.ts", []],
    ["bench/a.ts", ["bench/a.ts"]],
  ]);
  assertEquals(violationsIn(graph), [
    "main.ts imports deno.ts, which is in no layer",
    "lib/base/relay.ts imports lib/net/tls.ts, a layer above it",
    "lib/child/pool.ts imports lib/admission/intake.ts, its neighbour",
    "lib/utils.ts is in no layer",
  ]);
  assertEquals(cyclesIn(graph), [
    "lib/base/relay.ts → lib/net/tls.ts → lib/base/relay.ts",
    "bench/a.ts → bench/a.ts",
  ]);
  assertEquals(
    importsOf("a/b.ts", '/** import "./c.ts" */ import x from "npm:d"; from "e.ts"'),
    [],
  );
});

/** What `file` loads before anything is asked for: imports at the top of it, without those of types. */
async function loadedWith(file: string, found = new Set<string>()): Promise<Set<string>> {
  if (found.has(file)) return found;
  found.add(file);
  const source = (await Deno.readTextFile(new URL(file, ROOT))).replaceAll(/\/\*\*.*?\*\//gs, "");
  const imports = /^(?:im|ex)port (?!type )((?:[{*][^}"]*\}? from )?)"(\.{1,2}\/[^"]+\.ts)"/gm;
  for (const [, names, specifier] of source.matchAll(imports)) {
    const values = names!.replaceAll(/\btype \w+(?: as \w+)?|\bfrom\b|[{}\s,]/g, "");
    if (names !== "" && values === "") continue;
    await loadedWith(new URL(specifier!, `file:///${file}`).pathname.slice(1), found);
  }
  return found;
}

Deno.test("what is off is not loaded: WebSockets, TLS, the status page and others", async () => {
  const loaded = [...await loadedWith("main.ts")];
  assertEquals(loaded.includes("lib/server/session.ts"), true, "the walk reaches the server");
  const lazy =
    /^lib\/(web|status|systemd|handler)\/|^lib\/net\/(tls|tls_\w+|http|inherited_(?!names)\w+|unix_listener)\.ts$|config_file|terminal_line|(usage|schema|manual|mdoc|completions)\.ts/;
  const due = /^lib\/net\/tls_version\.ts$/; // a list of words
  assertEquals(loaded.filter((file) => lazy.test(file) && !due.test(file)), []);
});
