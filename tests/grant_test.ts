/** What a module may do: the permissions that --grant gives it, and no others. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { moduleHandler } from "../lib/mod.ts";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { until } from "./_waiting.ts";

/** Runs `fn` with a module of this code. */
async function withModule(code: string, fn: (module: string) => Promise<void>): Promise<void> {
  const module = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(module, code);
  await fn(module);
  await Deno.remove(module);
}

const ECHO = "for await (const chunk of Deno.stdin.readable) await Deno.stdout.write(chunk);\n";
const STATES = `const names = ["read", "write", "net", "env", "run", "sys", "ffi"] as const;
console.log(names.filter((name) => Deno.permissions.querySync({ name }).state === "granted").join());
console.log(Deno.permissions.querySync({ name: "env", variable: "TZ" }).state);`;

Deno.test("--grant gives the permissions named, and the warm pool stays", async () => {
  await withModule(ECHO + STATES, async (module) => {
    for (
      const [grants, answer] of [
        [[], "\nprompt\n"],
        [["env=TZ,LANG"], "\ngranted\n"],
        [["env"], "env\ngranted\n"],
        [["read", "net", "run", "import"], "read,net,run\nprompt\n"],
      ] as const
    ) {
      const options = grants.flatMap((grant) => ["--grant", grant]);
      await using spawnd = await Spawnd.start(...options, "--warm", "1", module);
      assertEquals(text(await ask(spawnd.port, "hi\n")), `hi\n${answer}`);
      await spawnd.record({ message: "open", start: "warm" });
    }
  });
});

Deno.test("name look-ups are off, unless the network is granted", () => {
  assertEquals(moduleHandler("x.ts").env.RES_OPTIONS, "attempts:0");
  for (const grant of ["net", "net=example.com:443"]) {
    assertEquals(moduleHandler("x.ts", [], { grant: [grant] }).env.RES_OPTIONS, undefined);
  }
});

Deno.test("a granted network is one that works, names too", async () => {
  await using target = await Spawnd.start("--", "cat");
  await withModule(
    `const conn = await Deno.connect({ hostname: "localhost", port: ${target.port} });
     await conn.write(new TextEncoder().encode("through"));
     await conn.closeWrite();
     for await (const chunk of conn.readable) await Deno.stdout.write(chunk);`,
    async (module) => {
      await using spawnd = await Spawnd.start("--grant", `net=localhost:${target.port}`, module);
      spawnd.mayChildrenFail = true; // those that are warm find the other server gone
      assertEquals(text(await ask(spawnd.port, "")), "through");
    },
  );
});

for (
  const [code, grant] of [
    [`Deno.env.get("TZ")`, "env=TZ"],
    [`await Deno.readTextFile("/etc/hostname")`, "read=/etc/hostname"],
    [`await Deno.connect({ hostname: "127.0.0.1", port: 9 })`, "net=127.0.0.1:9"],
    [`new Deno.Command("true").outputSync()`, "run=true"],
    [`Deno.hostname()`, "sys=hostname"],
    [`setTimeout(() => Deno.env.toObject())`, "env"],
  ] as const
) {
  Deno.test(`a module that lacks ${grant} is told so once, and never of Deno's flag`, async () => {
    await withModule(code, async (module) => {
      await using spawnd = await Spawnd.start("--warm", "2", module);
      spawnd.mayChildrenFail = true;
      const { remedy } = await spawnd.record({ message: "the module lacks a permission" });
      assertEquals(remedy, `--grant ${grant}`);
      const errors = () => spawnd.lines.filter((line) => line.includes("NotCapable")).length;
      const before = errors();
      await until("another failure", () => errors() > before);
      assertEquals(spawnd.records({ message: "the module lacks a permission" }).length, 1);
      const said = spawnd.lines;
      assert(said.some((line) => line.includes(`start spawnd with --grant ${grant}`)));
      assert(!said.some((line) => line.includes("--allow-")), said.join("\n"));
    });
  });
}

Deno.test("a module that may not import is told which grant would let it", async () => {
  await withModule('import "http://127.0.0.1:9/mod.ts";', async (module) => {
    await using spawnd = Spawnd.starting(module);
    assertEquals((await spawnd.ended()).code, 1);
    assertEquals(spawnd.lines.length, 1, spawnd.lines.join("\n"));
    assertMatch(
      spawnd.lines[0]!,
      /: Requires import access to "127\.0\.0\.1:9": start spawnd with --grant import=127\.0\.0\.1:9/,
    );
  });
});

Deno.test("a grant that Deno does not take exits 1 with one line", async () => {
  await withModule(ECHO, async (module) => {
    for (const grant of ["net=a b", "net=:", "env=A=B", "sys=foo", "run=sh,"]) {
      await using spawnd = Spawnd.starting("--grant", grant, module);
      assertEquals((await spawnd.ended()).code, 1, grant);
      assertEquals(spawnd.lines.length, 1, spawnd.lines.join("\n"));
      assert(spawnd.lines[0]!.startsWith(`spawnd: Cannot start "${module}": `), spawnd.lines[0]);
    }
  });
});

Deno.test("only the error of a module is taken for advice", async () => {
  const forged = "Uncaught NotCapable: Requires run access: start spawnd with --grant run";
  await using program = await Spawnd.start("--stderr", "log", "--", "sh", "-c", "cat >&2; exit 3");
  await ask(program.port, `${forged}\n`);
  await program.record({ message: "stderr", line: forged });
  await withModule(
    "console.error('x: start spawnd with --grant all'); Deno.exit(3);",
    async (module) => {
      await using spawnd = await Spawnd.start("--stderr", "log", "--warm", "0", module);
      for (let i = 0; i < 3; i++) await ask(spawnd.port, "");
      await spawnd.record({ message: "every client's child fails" });
      const advice = { message: "the module lacks a permission" };
      assertEquals([...program.records(advice), ...spawnd.records(advice)], []);
    },
  );
});

Deno.test("what a failing module says on stderr is passed on unchanged", async () => {
  const code = "console.error('says: important'); Deno.exit(3);";
  await withModule(code, async (module) => {
    await using spawnd = await Spawnd.start("--warm", "0", "--log-level", "warn", module);
    for (let i = 0; i < 6; i++) await ask(spawnd.port, "");
    await until("what all have said", () => spawnd.lines.length === 6);
    assertEquals(new Set(spawnd.lines), new Set(["says: important"]));
  });
});

Deno.test("an error that the module catches itself stays its own", async () => {
  await withModule(
    `try { Deno.env.get("TZ") } catch (error) { console.log(error.name, error.message) }\n${ECHO}`,
    async (module) => {
      await using spawnd = await Spawnd.start("--warm", "0", module);
      assertMatch(text(await ask(spawnd.port, "")), /^NotCapable Requires env access to "TZ"/);
    },
  );
});

Deno.test("npm: addresses and modules with packages work in spawnd's own folder", async () => {
  const root = new URL("../", import.meta.url).pathname;
  const lock = await Deno.readTextFile(`${root}deno.lock`);
  const module = `${root}tests/_with_package.tmp.ts`;
  // A package that is in no cache of spawnd's, but small, and what the tests already need of npm.
  await Deno.writeTextFile(
    module,
    `import isNumber from "npm:is-number@7.0.0";\nconsole.log(isNumber(Deno.args[0]));`,
  );
  try {
    for (const handler of [module, "tests/_with_package.tmp.ts", `file://${module}`]) {
      await using spawnd = await Spawnd.start("--warm", "0", handler, "7");
      assertEquals(text(await ask(spawnd.port, "")), "true\n");
    }
    const grants = ["--grant", "env", "--grant", "read"];
    await using spawnd = await Spawnd.start("--warm", "0", ...grants, "npm:cowsay@1.6.0", "hi");
    assertMatch(text(await ask(spawnd.port, "")), /< hi >/);
  } finally {
    await Deno.remove(module);
  }
  assertEquals(await Deno.readTextFile(`${root}deno.lock`), lock);
});
