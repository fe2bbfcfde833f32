/** The ways in which a module finds `@spawnd/spawnd/handler`, and an editor its types. */

import { assert, assertEquals } from "@std/assert";
import { SERVE, usesServe } from "../lib/child/module_graph.ts";
import { GREET, ModuleFolder } from "./_handlers.ts";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** What `deno check` says of a module, in its folder. */
async function check(cwd: string, module: string): Promise<[success: boolean, stderr: string]> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", module],
    cwd,
    env: { NO_COLOR: "1" },
  }).output();
  return [success, text(stderr)];
}

/** Asserts that a module knows its client, and that its types are checked. */
async function assertWorks(cwd: string, module: string): Promise<void> {
  await using spawnd = await Spawnd.start("--warm", "1", `${cwd}/${module}`);
  const answer = text(await ask(spawnd.port, ""));
  assert(answer.startsWith("Hello 127.0.0.1"), answer + spawnd.lines.join("\n"));
  assertEquals((await check(cwd, module))[0], true);
  const source = await Deno.readTextFile(`${cwd}/${module}`);
  await Deno.writeTextFile(`${cwd}/${module}`, source.replace("client.remote", "client.remot"));
  const [success, stderr] = await check(cwd, module);
  assertEquals(success, false);
  assert(stderr.includes("Property 'remot' does not exist on type 'Client'"), stderr);
}

Deno.test("a module in the checkout imports it by name", async () => {
  const name = `_handler_${crypto.randomUUID()}.tmp.ts`;
  const module = `${ROOT}tests/${name}`;
  const code = `import { serve } from "@spawnd/spawnd/handler";\nawait serve(${GREET});\n`;
  await Deno.writeTextFile(module, code);
  try {
    await assertWorks(`${ROOT}tests`, name);
  } finally {
    await Deno.remove(module);
  }
});

Deno.test("a module elsewhere imports it by name, with the file in its own deno.json", async () => {
  await using folder = await ModuleFolder.make(GREET);
  await assertWorks(folder.path, "handler.ts");
});

Deno.test("a module elsewhere imports all of it by name, with the checkout in its own deno.json", async () => {
  const imports = { "@spawnd/spawnd/": `${ROOT}lib/handler/` };
  await using folder = await ModuleFolder.make(
    `import { serve } from "@spawnd/spawnd/serve.ts";\nawait serve(${GREET});\n`,
    { imports },
  );
  await assertWorks(folder.path, "handler.ts");
});

Deno.test("a module elsewhere imports it by its path", async () => {
  await using folder = await ModuleFolder.make(
    `import { serve } from "${ROOT}lib/handler/serve.ts";\nawait serve(${GREET});\n`,
    {},
  );
  await assertWorks(folder.path, "handler.ts");
});

/** A graph whose root imports `specifier` from `address`. */
function graphOf(address: string, kind: "code" | "type", redirects = {}): string {
  const root = "file:///a/handler.ts";
  const dependencies = [{ specifier: "x" }, { specifier: "y", [kind]: { specifier: address } }];
  const modules = [{ specifier: root, dependencies }, { specifier: address }];
  return JSON.stringify({ roots: [root], redirects, modules });
}

Deno.test("serve() is recognised in a copy from elsewhere, and behind a redirect", () => {
  for (
    const address of [
      SERVE,
      "https://jsr.io/@spawnd/spawnd/0.2.0/lib/handler/serve.ts",
      "https://raw.githubusercontent.com/someone/spawnd/v1/lib/handler/serve.ts",
      "file:///home/me/spawnd/lib/handler/serve.ts",
      "file:///home/me/node_modules/@spawnd/spawnd/lib/handler/serve.js",
      "npm:/@spawnd/spawnd@0.2.0/handler",
    ]
  ) {
    assertEquals(usesServe(graphOf(address, "code")), true, address);
    assertEquals(usesServe(graphOf(address, "type")), false, address);
    const redirects = { "jsr:@spawnd/spawnd/handler": address };
    assertEquals(usesServe(graphOf("jsr:@spawnd/spawnd/handler", "code", redirects)), true);
  }
});

Deno.test("other modules of such a name are not taken for serve()", () => {
  for (
    const address of [
      "file:///home/me/lib/handler/serve.ts",
      "file:///home/me/spawnd/lib/handler/testing.ts",
      "file:///home/me/spawnd/lib/handler/serve.ts.txt",
      "jsr:@spawnd/spawnd",
      "npm:/@spawnd/spawnd@0.2.0/testing",
      "npm:/@spawnd/spawnd-tools@0.2.0/handler",
    ]
  ) assertEquals(usesServe(graphOf(address, "code")), false, address);
});

Deno.test("a graph in which modules import each other is walked once", () => {
  const [a, b] = ["file:///a.ts", "file:///b.ts"];
  const module = (specifier: string, other: string) => ({
    specifier,
    dependencies: [{ code: { specifier: other } }, { code: {} }],
  });
  const graph = { roots: [a], modules: [module(a, b), module(b, a)] };
  assertEquals(usesServe(JSON.stringify(graph)), false);
});
