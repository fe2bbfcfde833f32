/** The commands of docs/install.md, except those of npm, which npm_test.ts runs. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { commandEnding, COMMANDS, Home, OFFLINE, ROOT } from "./_install.ts";
import { ModuleFolder } from "./_handlers.ts";
import { PublishedServer } from "./_published.ts";
import { run } from "./_service.ts";
import { within } from "./_waiting.ts";

const FLAGS = "--global --name spawnd --allow-net --allow-run";
const CHECKOUT = `deno install ${FLAGS} main.ts`;
const ADDRESS = "https://example.com/spawnd/main.ts";
const ALL = commandEnding("--unstable-net main.ts");
const SHARED = COMMANDS.filter((command) => /^export|--root /.test(command));
const DOCUMENTS = COMMANDS.filter((command) => command.startsWith("install -D"));
const RUN = "spawnd --port 7000 -- cat";

/** A handler that says what it knows of its client. */
const GREET =
  "await serve(async (client) => { await client.write(`Hello ${client.remote?.hostname}\\n`); });";

async function greeting(home: Home, ...words: string[]): Promise<string> {
  const { child, status, answer } = await home.start(...words);
  child.kill("SIGTERM");
  assertEquals(await within("its end", status), 0);
  return answer;
}

Deno.test("every command of the page is run by a test", () => {
  const known = [CHECKOUT, commandEnding(ADDRESS), commandEnding("spawnd/main"), RUN, ALL];
  assertEquals(
    COMMANDS.filter((command) =>
      !/\bnpm\b|^SPAWND_PERMISSIONS/.test(command) &&
      ![...known, ...SHARED, ...DOCUMENTS].includes(command)
    ),
    [],
  );
  assertEquals(COMMANDS.includes(CHECKOUT) && COMMANDS.includes(RUN), true);
  assertEquals(SHARED.length, 2);
});

Deno.test("README.md installs in the same way", async () => {
  const readme = await Deno.readTextFile(new URL("../README.md", import.meta.url));
  assert(readme.includes(`\n    ${CHECKOUT}\n`));
});

Deno.test("the manual page and the completions are installed where they are looked for", async () => {
  await using home = await Home.make();
  await home.run(DOCUMENTS.join("\n").replaceAll("/usr/local", `${home.path}/local`));
  for (
    const [source, target] of [
      ["spawnd.1", ".deno/share/man/man1/spawnd.1"],
      ["completions/spawnd.bash", ".local/share/bash-completion/completions/spawnd"],
      ["completions/_spawnd", "local/share/zsh/site-functions/_spawnd"],
      ["completions/spawnd.fish", ".config/fish/completions/spawnd.fish"],
    ]
  ) {
    const [a, b] = await Promise.all(
      [`${ROOT}docs/${source}`, `${home.path}/${target}`].map((path) => Deno.readTextFile(path)),
    );
    assertEquals(a, b);
  }
});

Deno.test("an installed spawnd serves from any folder, without a network, and can be removed", async () => {
  await using home = await Home.make();
  await home.run(CHECKOUT);
  assertMatch(await home.serve(["spawnd"]), /stopped accepted=\d/);
  const log = await home.serve(["spawnd"], OFFLINE);
  assert(!log.includes("Download"), log);
  const script = await Deno.readTextFile(`${home.path}/.deno/bin/spawnd`);
  assertEquals(script.match(/--(?:allow|unstable)\S*/g), ["--allow-net", "--allow-run"]);
  assertEquals(await home.run(RUN.replace("--port 7000 -- cat", "--version")), "spawnd 0.2.0\n");

  await home.run(CHECKOUT.replace("--global", "--global --force")); // updates it
  await home.run("deno uninstall --global spawnd");
  assertEquals([...Deno.readDirSync(`${home.path}/.deno/bin`)], []);
});

Deno.test("spawnd can be installed with the permissions for every option", async () => {
  await using home = await Home.make();
  await home.run(ALL);
  const file = `${home.path}/services.json`;
  const listen = [`unix:${home.path}/socket`];
  await Deno.writeTextFile(
    file,
    JSON.stringify({ services: { cat: { command: ["cat"], listen } } }),
  );
  assertMatch(await home.run(`spawnd --config ${file} --check`), /socket/);
  await home.serve(["spawnd", "--reuse-port"]);
});

Deno.test("spawnd can be installed from an address, with only what is published", async () => {
  await using home = await Home.make();
  await using server = await PublishedServer.start();
  await home.run(commandEnding(ADDRESS).replace(ADDRESS, server.addressOf("main.ts")));
  await home.serve(["spawnd"]);
  const address = server.addressOf("lib/handler/serve.ts");
  await using folder = await ModuleFolder.make(`import { serve } from "${address}";\n${GREET}`);
  const { host } = new URL(server.url);
  assertEquals(
    await greeting(home, "--grant", `import=${host}`, folder.module),
    "Hello 127.0.0.1\n",
  );
  assertEquals(server.missing, []);
  await server[Symbol.asyncDispose]();
  await home.serve(["spawnd"], OFFLINE);
});

Deno.test("spawnd can be installed from JSR, and handlers import serve() from there", async () => {
  await using home = await Home.make();
  await using server = await PublishedServer.start();
  home.env.JSR_URL = server.url;
  await home.run(commandEnding("jsr:@spawnd/spawnd/main"));
  await home.serve(["spawnd"]);
  const address = "jsr:@spawnd/spawnd/handler";
  await using folder = await ModuleFolder.make(`import { serve } from "${address}";\n${GREET}`, {});
  assertEquals(await greeting(home, folder.module), "Hello 127.0.0.1\n");
  assertEquals(server.missing, []);
});

Deno.test("another user runs it with the cache that root has filled, and cannot write", async () => {
  await using home = await Home.make();
  const local = `${home.path}/local`;
  const cache = `${local}/share/spawnd`;
  await Deno.mkdir(`${local}/share/spawnd`, { recursive: true });
  await Deno.rename(`${home.path}/cache/npm`, `${cache}/npm`);
  home.env.PATH = `${local}/bin:${home.env.PATH}`;
  await home.run(SHARED.join("\n").replaceAll("/usr/local", local));
  await home.serve(["spawnd"], { DENO_DIR: cache });
  await run(["chmod", "-R", "a-w,a+rX", home.path]);
  // Without its capabilities, root cannot write there either.
  const user = Deno.uid() === 0 ? ["--bounding-set=-all", "--inh-caps=-all"] : [];
  const log = await home.serve(["setpriv", "--no-new-privs", ...user, "spawnd"], {
    ...OFFLINE,
    DENO_DIR: cache,
    HOME: "/nonexistent",
  });
  for (const line of log.trim().split("\n")) assertMatch(line, /^\d{4}-\d\d-\d\dT|^child \d+ /);
});

Deno.test("a first start fetches no package that only tests use", async () => {
  await using home = await Home.make();
  await Deno.remove(`${home.path}/cache/npm`);
  await home.run("deno run --allow-net --allow-run main.ts --version");
  const { stdout } = await run(["find", `${home.path}/cache/npm`, "-name", "package.json"]);
  const packages = new Set(stdout.match(/(?<=npmjs\.org\/)(?:@[^/]+\/)?[^/]+/g));
  assertEquals([...packages].sort(), [
    "@logtape/logtape",
    "@opentelemetry/api",
    "bintrees",
    "deno-std",
    "jsonc-parser",
    "prom-client",
    "tdigest",
  ]);
});
