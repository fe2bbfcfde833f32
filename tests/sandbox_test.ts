import { assertEquals, assertMatch } from "@std/assert";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";

/** What needs a permission that a module handler does not have. */
const FORBIDDEN = {
  "read a file": `Deno.readTextFileSync("/etc/passwd")`,
  "read its own source": `Deno.readTextFileSync(new URL(import.meta.url))`,
  "import a file it computes": `await import(["file:///etc/", "passwd"].join(""))`,
  "write a file": `Deno.writeTextFileSync("/tmp/spawnd-was-here", "")`,
  "read the environment": `Deno.env.get("PATH") ?? Deno.env.toObject()`,
  "read the environment as Node does": `(await import("node:process")).default.env.PATH.length`,
  "listen on a port": `Deno.listen({ port: 0 })`,
  "connect to its own server": `await Deno.connect({ port: Number(Deno.args[0]) })`,
  "fetch": `await fetch("http://127.0.0.1:9999")`,
  "resolve a name": `await Deno.resolveDns("localhost", "A")`,
  "run a program": `new Deno.Command("true").outputSync()`,
  "run a program as Node does": `(await import("node:child_process")).execFileSync("true")`,
  "signal its parent": `Deno.kill(Deno.ppid, "SIGTERM")`,
  "learn the host's name": `Deno.hostname()`,
  "load a library": `Deno.dlopen("libc.so.6", {})`,
  "ask for permission": `(() => {
    const { state } = Deno.permissions.requestSync({ name: "read" });
    if (state !== "granted") throw new Deno.errors.NotCapable(state);
  })()`,
};

/** Reads the first line of a file through the source map of a forged error. */
const READ_BY_SOURCE_MAP = `import(
  "data:text/javascript,export const e=new Error()%0A//%23 sourceMappingURL=data:application/json;base64," +
  btoa(JSON.stringify({ version: 3, sources: ["file:///etc/passwd"], names: [], mappings: "AAAA" }))
).then((m) => Deno[Deno.internal].core.destructureError(m.e).sourceLine)`;

/** What Deno allows without a permission, and the error that it ends with in a module handler. */
const CLOSED: Record<string, [code: string, error: RegExp]> = {
  "fetch by an import": [
    `import(["https://esm.sh/", "secret"].join(""))`,
    /^TypeError: Specifier not found in cache/,
  ],
  "ask npm for a package": [`import(["npm:", "secret-x9"].join(""))`, /^TypeError: Failed loading/],
  "ask jsr for a package": [
    `import(["jsr:@secret/", "x"].join(""))`,
    /^TypeError: JSR package manifest .* not found in cache/,
  ],
  "keep a value for the next client": [
    `localStorage.setItem("a", "b")`,
    /^ReferenceError: localStorage/,
  ],
  "make a storage of its own": [`new Storage(true).setItem("a", "b")`, /^ReferenceError: Storage/],
  "make one of sessionStorage": [
    `new sessionStorage.constructor(true)`,
    /^ReferenceError: sessionStorage/,
  ],
  "take one from the prototype of its globals": [
    `Object.getPrototypeOf(globalThis).localStorage.setItem("a", "b")`,
    /^TypeError: Cannot read properties of undefined/,
  ],
  "keep a response for the next client": [
    `caches.open("v").then((v) => v.put("http://a/b", new Response("c")))`,
    /^Error: .*UserAbsoluteUriRequired/,
  ],
  "find a response of an earlier client": [
    `caches.open("v").then((v) => v.match("http://a/b"))`,
    /^Error: .*UserAbsoluteUriRequired/,
  ],
  "start a worker": [`new Worker("data:text/javascript,", { type: "module" })`, /^ReferenceError/],
  "read a file by a source map": [READ_BY_SOURCE_MAP, /^TypeError: .*'core'/],
  "look up a name for the inspector": [
    `import("node:inspector").then((m) => m.open(9229, "secret.example.com"))`,
    /^Error: Invalid inspector host/,
  ],
};

/** What the attempts of a module handler come to, by name; warm or cold. */
async function outcomesOf(
  attempts: Record<string, string>,
  warm: string,
): Promise<Record<string, string>> {
  const module = await Deno.makeTempFile({ suffix: ".ts" });
  const functions = Object.entries(attempts).map(([name, code]) =>
    `${JSON.stringify(name)}: async () => ${code},`
  );
  await Deno.writeTextFile(
    module,
    `// @ts-nocheck: names that are gone are tried too
    const attempts = { ${functions.join("\n")} };
    const outcomes = {};
    await Array.fromAsync(Deno.stdin.readable);
    for (const [name, attempt] of Object.entries(attempts)) {
      outcomes[name] = await attempt().then(() => "possible", (error) => String(error));
    }
    console.log(JSON.stringify(outcomes));
    `,
  );
  await using spawnd = await Spawnd.start("--warm", warm, module, "9");
  const outcomes = text(await ask(spawnd.port, ""));
  await Deno.remove(module);
  return JSON.parse(outcomes);
}

for (const [kind, warm] of [["warm", "1"], ["cold", "0"]] as const) {
  Deno.test(`a ${kind} module handler cannot use files, the environment, the network or programs`, async () => {
    const outcomes = await outcomesOf(FORBIDDEN, warm);
    assertEquals(Object.keys(outcomes), Object.keys(FORBIDDEN));
    for (const [name, outcome] of Object.entries(outcomes)) {
      assertMatch(
        outcome,
        /^(NotCapable|TypeError): .*Requires|^NotCapable: (denied|prompt)/,
        name,
      );
    }
  });

  Deno.test(`a ${kind} module handler cannot use what Deno allows without a permission`, async () => {
    const attempts = Object.entries(CLOSED).map(([name, [code]]) => [name, code]);
    const outcomes = await outcomesOf(Object.fromEntries(attempts), warm);
    for (const [name, [, error]] of Object.entries(CLOSED)) {
      assertMatch(outcomes[name]!, error, name);
    }
  });
}

Deno.test("a module handler with packages, JSON and lazy imports runs in the sandbox", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/deno.json`, `{ "imports": { "own": "./own.ts" } }`);
  await Deno.writeTextFile(`${folder}/own.ts`, `export const own = "own";`);
  await Deno.writeTextFile(`${folder}/data.json`, `{ "data": "data" }`);
  await Deno.writeTextFile(
    `${folder}/handler.ts`,
    `import { own } from "own";
    import { Buffer } from "node:buffer";
    import json from "./data.json" with { type: "json" };
    import { assert } from "npm:deno-std@^1.4.0/assert/mod.js";
    const lazy = await import("npm:deno-std@^1.4.0/text/closest_string.js");
    assert(true);
    console.log(own, json.data, Buffer.from("node").toString(), lazy.closestString("a", ["ab"]));`,
  );
  await using spawnd = await Spawnd.start("--warm", "0", `${folder}/handler.ts`);
  assertEquals(text(await ask(spawnd.port, "")), "own data node ab\n");
  await Deno.remove(folder, { recursive: true });
});
