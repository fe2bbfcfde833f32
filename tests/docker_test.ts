import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  CMD,
  ENTRYPOINT,
  HEALTHCHECK,
  instruction,
  INSTRUCTIONS,
  optionsIn,
  ROOT,
  settingsOf,
} from "./_deploy.ts";
import { freePort, makeFolder, run, serve } from "./_service.ts";

/**
 * Runs the Dockerfile's steps in a folder that stands in for the image's /spawnd, with the packages
 * on this machine, and makes the folder read-only. Returns the environment.
 */
async function build(folder: string): Promise<Record<string, string>> {
  // Nothing listens there, so every download fails.
  const env: Record<string, string> = { HTTPS_PROXY: "http://127.0.0.1:9" };
  for (const pair of instruction("ENV").split(" ")) {
    const [name, value] = pair.split("=");
    env[name!] = value!.replace("/spawnd", folder);
  }
  const info = await run([Deno.execPath(), "info", "--json"], { cwd: ROOT });
  await Deno.mkdir(env.DENO_DIR!);
  await Deno.symlink(JSON.parse(info.stdout).npmCache, `${env.DENO_DIR}/npm`);

  for (const [name, rest] of INSTRUCTIONS) {
    const [first, ...words] = rest.split(" ");
    const command = {
      COPY: [
        "cp",
        "-r",
        ...[first, ...words.slice(0, -1)].map((path) => ROOT + path),
        words.at(-1)!,
      ],
      RUN: [first === "deno" ? Deno.execPath() : first!, ...words],
    }[name];
    if (command === undefined) continue;
    const { code, stderr } = await run(command, { cwd: folder, env });
    assertEquals(code, 0, stderr);
  }
  await run(["chmod", "-R", "a-w", folder]);
  return env;
}

Deno.test("what the Dockerfile copies and runs is enough to serve from a read-only folder", async () => {
  await using folder = await makeFolder();
  const env = await build(folder.path);
  for (const module of ["main.ts", "child.ts"]) {
    await Deno.stat(`${env.DENO_DIR}/gen/file${folder.path}/${module}.js`); // compiled
  }

  const status = `${freePort()}`;
  const unprivileged = Deno.uid() === 0 ? ["--bounding-set=-all", "--inh-caps=-all"] : [];
  const inside = ([deno, ...words]: readonly string[]) => {
    assertEquals(deno, "deno");
    return [
      ...["setpriv", "--no-new-privs", ...unprivileged, Deno.execPath()],
      ...words.map((word) => word.replace("/spawnd", folder.path).replace("9528", status)),
    ];
  };
  const check = async () => (await run(inside(HEALTHCHECK), { cwd: folder.path, env })).code;
  assertEquals(await check(), 1);
  assertEquals(ENTRYPOINT.slice(0, 2), ["/tini", "--"]);
  const log = await serve(inside([...ENTRYPOINT.slice(2), ...CMD]), env, async () => {
    assertEquals(await check(), 0);
  });
  // Log lines only: no complaint about a cache that cannot be written.
  for (const line of log.trim().split("\n")) assertMatch(line, /^\d{4}-\d\d-\d\dT|^child \d+ /);
});

Deno.test("the image's ports, user and signal match the program", () => {
  const { port, statusPort } = settingsOf([...optionsIn(ENTRYPOINT), ...CMD]);
  assertEquals(instruction("EXPOSE"), `${port} ${statusPort}`);
  assert(HEALTHCHECK.join(" ").includes(`:${statusPort}/healthz`));
  assertEquals(instruction("WORKDIR"), "/spawnd");
  assertMatch(instruction("USER"), /^[1-9]\d*:[1-9]\d*$/);
  assertEquals(instruction("STOPSIGNAL"), "SIGTERM");
});
