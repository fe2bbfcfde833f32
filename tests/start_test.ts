/** Signals and waits during the start, and what a reload may break. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { childrenOf, isAlive, waitsForInput } from "./_processes.ts";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { until } from "./_waiting.ts";

/** A module whose check hangs: it imports a package from a registry that never answers. */
async function slowModule() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns: Deno.Conn[] = [];
  const accepting = (async () => {
    for await (const conn of listener) conns.push(conn);
  })();
  const folder = await Deno.makeTempDir();
  const registry = `registry=http://127.0.0.1:${listener.addr.port}/\n`;
  await Deno.writeTextFile(`${folder}/.npmrc`, registry);
  await Deno.writeTextFile(`${folder}/deno.json`, "{}");
  await Deno.writeTextFile(`${folder}/handler.ts`, `import "npm:never";`);
  return {
    path: `${folder}/handler.ts`,
    isFetching: () => conns.length > 0,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      for (const conn of conns) conn.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** Starts a server with this module, and waits until its imports are being fetched. */
async function starting(module: Awaited<ReturnType<typeof slowModule>>): Promise<Spawnd> {
  const spawnd = Spawnd.starting(module.path);
  await until("the fetch of an import", module.isFetching);
  return spawnd;
}

for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2"] as const) {
  Deno.test(`${signal} during the start changes nothing`, async () => {
    await using module = await slowModule();
    await using spawnd = await starting(module);
    spawnd.kill(signal);
    await spawnd.record({ message: /^still fetching/ });
    assertEquals(spawnd.exited, undefined);
    assertEquals((await spawnd.stop("SIGTERM")).code, 0);
  });
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`${signal} during the start ends it, and what it is fetching`, async () => {
    await using module = await slowModule();
    await using spawnd = await starting(module);
    const children = childrenOf(spawnd.pid);
    assert(children.length > 0);
    assertEquals((await spawnd.stop(signal)).code, 0);
    await until("the fetch to end", () => !children.some(isAlive));
    assertEquals(spawnd.lines, []);
  });
}

Deno.test("an unknown fault at the start is told with its place, and the exit code is 1", async () => {
  const fault = 'Deno.addSignalListener = () => { throw new RangeError("odd"); };';
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--allow-net", "--allow-run", `--preload=data:text/javascript,${fault}`],
      ...["main.ts", "--port", "0"],
    ],
    cwd: new URL("../", import.meta.url),
  }).output();
  assertEquals(code, 1);
  assertMatch(text(stderr), /^spawnd: internal error: RangeError: odd\n(?:.*\n)*.*main\.ts:\d+/);
});

Deno.test("a start that takes longer than two seconds says what it is waiting for", async () => {
  await using module = await slowModule();
  await using spawnd = await starting(module);
  assertEquals((await spawnd.record({ message: /^still fetching/ })).handler, module.path);
});

Deno.test("of several services, the one whose start takes longer is named", async () => {
  await using module = await slowModule();
  const config = `${module.path}.jsonc`;
  const listen = "127.0.0.1:0";
  const services = { a: { listen, command: ["cat"] }, b: { listen, module: module.path } };
  await Deno.writeTextFile(config, JSON.stringify({ services }));
  await using spawnd = Spawnd.configured(config, []);
  assertEquals((await spawnd.record({ message: /^still fetching/ })).service, "b");
  assertEquals((await spawnd.stop()).code, 0);
});

Deno.test("SIGHUP with a module that no longer compiles keeps the warm children", async () => {
  const module = await Deno.makeTempFile({ suffix: ".ts" });
  const write = (answer: string) =>
    Deno.writeTextFile(
      module,
      `Deno.stdin.readSync(new Uint8Array(9)); console.log("${answer}");`,
    );
  await write("old");
  await using spawnd = await Spawnd.start("--warm", "1", module);
  const isLoaded = () => childrenOf(spawnd.pid).some(waitsForInput);
  await until("a warm child that has loaded it", isLoaded);
  await Deno.writeTextFile(module, "const = 1;");
  spawnd.kill("SIGHUP");
  const { error } = await spawnd.record({ level: "ERROR", message: /^cannot reload/ });
  assertMatch(String(error), new RegExp(`^Cannot start .*${module}:1:7`));
  assertEquals(text(await ask(spawnd.port, "hi")), "old\n");
  assertEquals(spawnd.records({ message: "reloaded" }), []);

  await write("new");
  spawnd.kill("SIGHUP");
  await spawnd.record({ message: "reloaded" });
  await until("new code", async () => text(await ask(spawnd.port, "hi")) === "new\n");
  assertEquals(spawnd.records({ message: "reloaded" }).length, 1);
  await Deno.remove(module);
});

Deno.test("SIGTERM ends the check of a reload, and of reloads meanwhile only one is checked", async () => {
  await using module = await slowModule();
  const imports = await Deno.readTextFile(module.path);
  await Deno.writeTextFile(module.path, `Deno.stdin.readSync(new Uint8Array(9));`);
  await using spawnd = await Spawnd.start("--warm", "0", module.path);
  await Deno.writeTextFile(module.path, imports);
  for (let i = 0; i < 3; i++) {
    spawnd.kill("SIGHUP");
    // It fetches the packages and reads the module graph at once.
    await until("one check", () => childrenOf(spawnd.pid).filter(isAlive).length === 2);
  }
  const children = childrenOf(spawnd.pid);
  assertEquals((await spawnd.stop()).code, 0);
  await until("the check to end", () => !children.some(isAlive));
});
