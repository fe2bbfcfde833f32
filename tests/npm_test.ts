/** The npm package: packed, installed into an empty folder, and run by Node. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ModuleFolder } from "./_handlers.ts";
import { COMMANDS, Home, ROOT } from "./_install.ts";
import { linksOf } from "./_pages.ts";
import { readPage } from "./_page_runner.ts";
import { text } from "./_sockets.ts";
import { until, within } from "./_waiting.ts";

/** Installs it as the page says, but with this Deno in place of that of npm, which is large. */
async function install(home: Home): Promise<void> {
  const [build, pack, add] = COMMANDS.slice(-3);
  const { path } = home;
  await home.run(`${build} ${path}/package`);
  await home.run(pack!.replace("./npm/package", `${path}/package --pack-destination ${path}`));
  await home.run(
    add!.replace("--global ./", `--prefix ${path} --omit=optional --ignore-scripts ${path}/`),
  );
  await Deno.symlink(Deno.execPath(), `${path}/node_modules/deno/deno`);
  home.env.PATH = `${path}/node_modules/.bin:${home.env.PATH}`;
}

Deno.test("spawnd from npm serves, passes signals on, and ends as Deno does", async (test) => {
  await using home = await Home.make();
  await install(home);

  await test.step("SIGTERM drains, and the exit code is 0", async () => {
    const { child, status, answer, logged } = await home.start("--", "cat");
    assertEquals(answer, "hello\n");
    child.kill("SIGHUP");
    await until("the reload", () => logged("reloaded"));
    child.kill("SIGTERM");
    assertEquals(await within("its end", status), 0);
    assert(logged("stopped accepted=1"));
  });

  await test.step("the second SIGINT kills, and the exit code is Deno's", async () => {
    const { port, child, status, logged } = await home.start("--", "cat");
    using client = await Deno.connect({ port });
    await client.write(new TextEncoder().encode("a\n"));
    await client.read(new Uint8Array(2));
    child.kill("SIGINT");
    await until("the drain", () => logged("draining"));
    child.kill("SIGINT");
    assertEquals(await within("its end", status), 130);
  });

  await test.step("a wrong option is an exit code of 2", async () => {
    const { code } = await new Deno.Command("env", {
      args: ["spawnd", "--no-such-option"],
      env: home.env,
      stderr: "null",
    }).output();
    assertEquals(code, 2);
  });

  await test.step("SPAWND_PERMISSIONS gives more", async () => {
    const file = `${home.path}/services.jsonc`;
    await Deno.writeTextFile(
      file,
      '{ "services": { "cat": { "command": ["cat"], "listen": ":0" } } }',
    );
    const command = COMMANDS.find((command) => command.startsWith("SPAWND_PERMISSIONS"))!;
    await home.run(command.replace("services.jsonc", `${file} --check`));
    const run = async (...args: string[]) => {
      const command = new Deno.Command("env", { args: ["spawnd", ...args], env: home.env });
      return text((await command.output()).stderr);
    };
    assertStringIncludes(
      await run("--unix", file),
      "\nspawnd: Deno's flags go into SPAWND_PERMISSIONS\n",
    );
    assertStringIncludes(
      await run("--allow-read"),
      "it is one of deno's, and goes into SPAWND_PERMISSIONS",
    );
  });

  await test.step("a handler imports serve() from it, with its types", async () => {
    await using folder = await ModuleFolder.make(
      "async (client) => await client.write(`Hello ${client.remote?.hostname}\\n`)",
      {},
    );
    await Deno.symlink(`${home.path}/node_modules`, `${folder.path}/node_modules`);
    await folder.write("package.json", '{ "dependencies": { "@spawnd/spawnd": "*" } }');
    const { child, status, answer } = await home.start("--check-types", folder.module);
    assertEquals(answer, "Hello 127.0.0.1\n");
    child.kill("SIGTERM");
    await within("its end", status);
  });
});

Deno.test("building the npm package leaves a folder alone that has other files in it", async () => {
  await using home = await Home.make();
  await Deno.mkdir(`${home.path}/mine`);
  await Deno.writeTextFile(`${home.path}/mine/file`, "mine");
  const task = `deno task npm ${home.path}/mine`;
  assertStringIncludes(await home.run(`! ${task}`), "has other files in it");
  assertEquals(await Deno.readTextFile(`${home.path}/mine/file`), "mine");
  await Deno.remove(`${home.path}/mine/file`);
  await home.run(`${task} && ${task}`);
});

Deno.test("the npm package has the version, exports and files of deno.json", async () => {
  await using home = await Home.make();
  await home.run(`deno task npm ${home.path}/package`);
  const read = async (file: string) => JSON.parse(await Deno.readTextFile(file));
  const config = await read(`${ROOT}deno.json`);
  const { name, version, exports, man } = await read(`${home.path}/package/package.json`);
  assertEquals([name, version], [config.name, config.version]);
  const links = linksOf(await readPage("README.md")).filter((link) => !link.startsWith("#"));
  for (const file of [man, ...links.map((link) => link.replace(/#.*/, ""))]) {
    await Deno.stat(`${home.path}/package/${file}`);
  }
  for (const { types, default: file } of Object.values<Record<string, string>>(exports)) {
    await Deno.stat(`${home.path}/package/${types}`);
    const code = await Deno.readTextFile(`${home.path}/package/${file}`);
    assertEquals(code.match(/^import .* from ".*\.ts";/m), null);
  }
});
