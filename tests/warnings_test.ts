/** What a start and `--check` warn of: the same, each once, with the service where there are several. */

import { assertEquals, assertMatch } from "@std/assert";
import { Certificates, testTls } from "./_certificates.ts";
import { makeFolder } from "./_service.ts";
import { ConfiguredSpawnd } from "./_services.ts";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";
import { until } from "./_waiting.ts";

/** What becomes a server that may have so many descriptors. */
const limited = (limit: number) => ["sh", "-c", `ulimit -n ${limit}; exec "$@"`, "sh"];

const ODD = {
  warm: 3,
  "max-connections": 2,
  deny: ["10.0.0.1/8", "0.0.0.0/0"],
};
const ODD_WARNINGS = [
  "warm is 3, but only max-connections, 2, can have a client: lower warm, or raise max-connections",
  "deny 10.0.0.1/8 is all of 10.0.0.0/8: write that, or one address alone",
  "deny 0.0.0.0/0 refuses every IPv4 client: to admit some, give them with allow alone",
];

Deno.test("--check warns of what a start warns of, and exits 0", async () => {
  const args = "--warm 3 --max-connections 2 --deny 10.0.0.1/8 --deny 0.0.0.0/0 -- cat".split(" ");
  await using started = await Spawnd.start(...args);
  const logged = await until("the warnings", () => {
    const records = started.records({ level: "WARN" });
    return records.length === 3 && records.map(({ message }) => message);
  });
  assertEquals(logged, ODD_WARNINGS);
  await using checked = Spawnd.run("--check", ...args);
  assertEquals((await checked.ended()).code, 0);
  assertEquals(checked.lines, ODD_WARNINGS.map((text) => `spawnd: warning: ${text}`));
  assertMatch(checked.stdout, /^cat\n/);
});

testTls("warnings of a start and a reload name their service, and so does --check", async () => {
  await using certificates = await Certificates.make();
  const { cert, key } = await certificates.issue("localhost", { days: -1 });
  const services = {
    odd: { listen: "127.0.0.1:0", command: ["cat"], ...ODD },
    old: { listen: "127.0.0.1:0", command: ["cat"], cert, key },
  };
  await using configured = await ConfiguredSpawnd.start(services);
  const { spawnd, folder } = configured;
  const warned = () =>
    spawnd.records({ level: "WARN" }).map(({ service, message }) => `${service}: ${message}`);
  const expected = [
    ...ODD_WARNINGS.map((text) => `odd: ${text}`),
    "old: the certificate is not valid today",
  ];
  assertEquals(warned(), expected);
  await configured.reload(services);
  assertEquals(warned(), [...expected, ...expected]);
  await using checked = Spawnd.configured(`${folder}/spawnd.jsonc`, [], "--check");
  assertEquals((await checked.ended()).code, 0);
  const lines = checked.lines.map((line) => line.replace("spawnd: warning: ", ""));
  assertEquals(lines.map((line) => line.replace(/ file=.* from=\S+ to=\S+$/, "")), expected);
});

testWith("prlimit", "util-linux", "a failed accept names its service", async () => {
  const command = ["cat"];
  await using configured = await ConfiguredSpawnd.start({
    a: { listen: "127.0.0.1:0", command },
    b: { listen: "127.0.0.1:0", command, "max-connections": 1 },
  });
  const { spawnd } = configured;
  const port = await configured.port("b");
  const args = ["--pid", `${spawnd.pid}`, "--nofile=40:40"];
  await new Deno.Command("prlimit", { args }).output();
  const conns = await Promise.all(
    Array.from({ length: 50 }, () => Deno.connect({ hostname: "127.0.0.1", port })),
  );
  assertEquals((await spawnd.record({ message: "cannot accept" })).service, "b");
  for (const conn of conns) conn.close();
  assertEquals((await spawnd.record({ message: "accepting again" })).service, "b");
});

/** The warnings of a start with so few descriptors. */
async function warningsAt(limit: number, ...args: string[]): Promise<string[]> {
  await using spawnd = Spawnd.startingVia(limited(limit), {}, "--port", "0", ...args);
  await spawnd.record({ message: "listening" });
  return spawnd.records({ level: "WARN" }).map(({ message }) => message);
}

Deno.test("a limit of descriptors that may not suffice is warned of, with what is needed", async () => {
  const options = "--host 127.0.0.1 --max-connections 10 --queue 5 --warm 2 -- cat".split(" ");
  const warning = (limit: number, needed: number) =>
    `the system allows ${limit} descriptors, but ${needed} are needed for all clients and children that may be there at once: ` +
    "raise the limit (ulimit -n, or LimitNOFILE= in a unit), or lower max-connections";
  // 32, and 1 listener, 10 clients with a child, 5 waiting, 2 warm children
  assertEquals(await warningsAt(84, ...options), []);
  assertEquals(await warningsAt(83, ...options), [warning(83, 84)]);
  assertEquals(await warningsAt(95, "--stderr", "log", ...options), [warning(95, 96)]);
  await using checked = Spawnd.startingVia(limited(83), {}, "--check", ...options);
  await checked.ended();
  assertEquals(checked.lines, [`spawnd: warning: ${warning(83, 84)}`]);
});

Deno.test("the descriptors of several services add up, within max-children", async () => {
  const service = { listen: "127.0.0.1:0", command: ["cat"], "max-connections": 20, queue: 1 };
  const services = { a: service, b: service };
  for (const [top, needed] of [[{}, 32 + 2 * 82], [{ "max-children": 10 }, 32 + 4 + 40]] as const) {
    await using enough = await ConfiguredSpawnd.start(services, { via: limited(needed), ...top });
    assertEquals(enough.spawnd.records({ level: "WARN" }), []);
    const via = limited(needed - 1);
    await using short = await ConfiguredSpawnd.start(services, { via, ...top });
    const { spawnd } = short;
    const [warning, ...others] = spawnd.records({ level: "WARN" });
    assertMatch(warning!.message, new RegExp(`but ${needed} are needed`));
    assertEquals([warning!.service, others], [undefined, []]);
  }
});

Deno.test("as many descriptors as it takes do suffice", async () => {
  const options = "--host 127.0.0.1 --max-connections 10 --queue 5 --warm 2 -- cat".split(" ");
  await using spawnd = Spawnd.startingVia(limited(84), {}, "--port", "0", ...options);
  await spawnd.listening();
  const conns = await Promise.all(Array.from({ length: 15 }, () => spawnd.connect()));
  const isFull = async () => {
    const { active, waiting, warm } = await spawnd.status();
    return active === 10 && waiting === 5 && warm === 2;
  };
  await until("all to be there", isFull);
  assertEquals(spawnd.records({ message: /^cannot/ }), []);
  for (const conn of conns) conn.close();
});

Deno.test("what looks like an option of spawnd after a module is warned of, and goes to it", async () => {
  await using folder = await makeFolder();
  const module = `${folder.path}/a.ts`;
  await Deno.writeTextFile(module, "console.log(...Deno.args);");
  const args = ["--warm", "0", module, "--port", "7000", "--warm=2", "--other", "--", "--queue"];
  await using started = await Spawnd.start(...args);
  const warned = started.records({ level: "WARN" }).map(({ message }) => message);
  assertEquals(
    warned,
    ["--port", "--warm"].map((option) =>
      `${option} goes to ${module}: options of spawnd come before the module`
    ),
  );
  assertEquals(text(await ask(started.port, "")), `${args.slice(3).join(" ")}\n`);
  await using checked = Spawnd.run("--check", ...args);
  assertEquals((await checked.ended()).code, 0);
  assertEquals(checked.lines, warned.map((text) => `spawnd: warning: ${text}`));
});
