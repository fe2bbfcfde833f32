/**
 * Builds the folder of the npm package, for `npm pack`: the sources, which Deno runs as they are, and
 * the modules that a handler imports as JavaScript, because Deno takes no TypeScript from a
 * node_modules folder (2.9.6).
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };

const ROOT = new URL("../", import.meta.url).pathname;
const SOURCES = ["main.ts", "child.ts", "deno.json", "lib", "LICENSE"];
/** What README.md leads to. */
const PAGES = ["README", "ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "SECURITY"]
  .map((name) => `${name}.md`).concat("docs", "examples", "deploy", "bench");
/** The exports that run in a handler's process, or in its tests. */
const HANDLER_EXPORTS = ["./handler", "./testing"] as const;

const description = "A TCP super-server: every connection gets a process of its own";

/** The package.json: what deno.json says, in npm's words. */
function manifest() {
  const exports = HANDLER_EXPORTS.map((name) => {
    const types = config.exports[name];
    return [name, { types, default: types.replace(/\.ts$/, ".js") }] as const;
  });
  return {
    name: config.name,
    version: config.version,
    description,
    license: config.license,
    type: "module",
    bin: { spawnd: "bin.cjs" },
    man: "docs/spawnd.1",
    exports: Object.fromEntries(exports),
    engines: { node: ">=18" },
    dependencies: { deno: "^2.9.6" },
  };
}

async function run(...[command, ...args]: string[]): Promise<void> {
  const { success } = await new Deno.Command(command!, { args, cwd: ROOT, stdout: "null" })
    .output();
  if (!success) throw new Error(`${args.join(" ")} failed`);
}

/** Writes JavaScript beside every module in lib/handler. */
async function transpileHandlers(folder: string): Promise<void> {
  const modules = [...Deno.readDirSync(`${ROOT}lib/handler`)].map(({ name }) =>
    `lib/handler/${name}`
  );
  await run(Deno.execPath(), "transpile", "--no-check", "--outdir", folder, ...modules);
  for (const module of modules) {
    const file = `${folder}/${module.replace(/\.ts$/, ".js")}`;
    const code = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, code.replaceAll(/( from "\.\/\w+)\.ts"/g, '$1.js"'));
  }
}

/** Makes an empty folder, in place of one of an earlier build; any other is left alone. */
async function makeEmpty(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  if ([...Deno.readDirSync(folder)].length === 0) return;
  const found = await Deno.readTextFile(`${folder}/package.json`).catch(() => "");
  if (!found.includes(`"name": "${config.name}"`)) {
    console.error(`${folder} has other files in it: choose a folder of its own`);
    Deno.exit(1);
  }
  await Deno.remove(folder, { recursive: true });
  await Deno.mkdir(folder);
}

const folder = Deno.args[0] ?? `${ROOT}npm/package`;
await makeEmpty(folder);
await run("cp", "-r", ...SOURCES, ...PAGES, "npm/bin.cjs", folder);
await Deno.writeTextFile(`${folder}/package.json`, JSON.stringify(manifest(), null, 2) + "\n");
await transpileHandlers(folder);
