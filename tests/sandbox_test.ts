import { assertEquals } from "@std/assert";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";

/** What a child must not be able to do; the child prints the outcome of each. */
const ATTEMPTS = {
  "read a file": `Deno.readTextFileSync("/etc/passwd")`,
  "read its own source": `Deno.readTextFileSync(new URL(import.meta.url))`,
  "write a file": `Deno.writeTextFileSync("/tmp/spawnd-was-here", "")`,
  "read the environment": `Deno.env.get("PATH") ?? Deno.env.toObject()`,
  "read the environment as Node does": `(await import("node:process")).default.env.PATH.length`,
  "listen on a port": `Deno.listen({ port: 0 })`,
  "connect to its own server": `await Deno.connect({ port: Number(Deno.args[0]) })`,
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

Deno.test("a module handler cannot use files, the environment, the network or programs", async () => {
  const module = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(
    module,
    `const attempts = {
      ${
      Object.entries(ATTEMPTS).map(([name, code]) =>
        `${JSON.stringify(name)}: async () => ${code},`
      ).join("\n")
    }
    };
    for (const [name, attempt] of Object.entries(attempts)) {
      const outcome = await attempt().then(() => "possible", (error) => error.name);
      console.log(name + ": " + outcome);
    }
    `,
  );
  await using spawnd = await Spawnd.start("--warm", "0", module, "9");
  const outcomes = text(await ask(spawnd.port, "")).trimEnd().split("\n");
  await Deno.remove(module);
  assertEquals(outcomes, Object.keys(ATTEMPTS).map((name) => `${name}: NotCapable`));
});
