import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { Load } from "../bench/load.ts";
import { LoadProcess } from "../bench/load_process.ts";
import { type Measured, percentile, pictureOf, summaryOf, tableOf } from "../bench/report.ts";
import { ROWS } from "../bench/rows.ts";
import { childrenOf } from "./_processes.ts";
import { text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { within } from "./_waiting.ts";

const ROOT = new URL("../", import.meta.url).pathname;

async function samplesOf(load: Load): Promise<number[]> {
  await using process = new LoadProcess(load);
  return await within(load.measure, process.receive<number[]>());
}

/** A server that answers the first bytes of every connection and closes it. */
function serveOnce(answer: (received: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const conn of listener) {
      const buffer = new Uint8Array(65_536);
      const length = await conn.read(buffer) ?? 0;
      await conn.write(answer(buffer.subarray(0, length)));
      conn.close();
    }
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
    },
  };
}

Deno.test("every load returns its samples for a correct server", async () => {
  await using counter = await Spawnd.start("--stderr", "null");
  await using echo = await Spawnd.start("--", "cat");
  const target = (load: Omit<Load, "port" | "service">): Load =>
    load.measure === "bulk"
      ? { ...load, port: echo.port, service: "echo" }
      : { ...load, port: counter.port, service: "counter" };
  const loads: [Omit<Load, "port" | "service">, number][] = [
    [{ measure: "first", clients: 3 }, 3],
    [{ measure: "burst", clients: 3 }, 1],
    [{ measure: "steady", clients: 3, rate: 50 }, 3],
    [{ measure: "rtt", clients: 30 }, 30],
    [{ measure: "rate", clients: 20 }, 1],
    [{ measure: "bulk", clients: 2, megabytes: 2 }, 1],
  ];
  for (const [load, count] of loads) {
    const samples = await samplesOf(target(load));
    assertEquals([load.measure, samples.length], [load.measure, count]);
    assert(samples.every((sample) => sample > 0), `${load.measure}: ${samples}`);
  }
});

Deno.test("a wrong byte and a lost connection are failures, not fast answers", async () => {
  await using wrong = serveOnce((received) => received.map((byte) => byte ^ 1));
  await using short = serveOnce((received) => received.subarray(1));
  for (const measure of ["first", "burst", "steady", "rtt", "rate", "bulk"] as const) {
    const load = { measure, service: "echo", clients: 2, rate: 50, megabytes: 1 } as const;
    for (const [name, { port }] of Object.entries({ wrong, short })) {
      const { message } = await assertRejects(() => samplesOf({ ...load, port }), Error);
      assertMatch(message, /byte|ended|reset|Broken pipe/i, `${measure}, ${name}: ${message}`);
    }
  }
});

Deno.test("the bench measures what it is asked for, names missing peers, and leaves no process", async () => {
  const folder = await Deno.makeTempDir(); // a PATH without peers
  for (const program of ["sh", "cat"]) {
    await Deno.symlink(`/bin/${program}`, `${folder}/${program}`);
  }
  const bench = new Deno.Command(Deno.execPath(), {
    args: ["task", "bench", "--only", "rtt", "--rounds", "1", "--json"],
    cwd: ROOT,
    env: { PATH: folder, NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const { code, stdout, stderr } = await within("the bench", bench.output());
  assertEquals(code, 0, text(stderr));
  assertMatch(text(stderr), /^not installed: tcpserver \(apt-get install ucspi-tcp\)$/m);
  const { caption, all } = JSON.parse(text(stdout));
  assertMatch(caption, /cores of .*Deno \d/);
  assertEquals(all.length, 1);
  const [{ server, rounds: [samples] }] = all[0].results;
  assertEquals([server, samples.length], ["spawnd", 2000]);
  assertEquals(childrenOf(bench.pid), []);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("percentile() picks from the sorted samples by share", () => {
  const samples = Array.from({ length: 100 }, (_, i) => 99 - i);
  assertEquals([0, 0.5, 0.99, 1].map((share) => percentile(samples, share)), [0, 50, 99, 99]);
});

const row = (group: string) => ROWS.find((row) => row.group === group)!;
const MEASURED: Measured[] = [
  {
    row: row("first"),
    results: [
      { server: "spawnd", rounds: [[1, 2, 3], [1, 2, 3], [90, 90, 90]] },
      { server: "tcpserver", rounds: [[20, 20, 20]] },
      { server: "socat", rounds: [[10, 10, 60]] },
      { server: "ncat", rounds: [[1]], error: "byte 3 is <wrong>" },
      { server: "fork server in C", rounds: [[1, 1, 1]] },
    ],
  },
  {
    row: row("bulk"),
    results: [{ server: "spawnd", rounds: [[600]] }, { server: "tcpserver", rounds: [[1200]] }],
  },
];

Deno.test("the summary has the best peer of each row, but never a failed one", () => {
  const [, , first, tail, bulk] = summaryOf(MEASURED).split("\n");
  assertMatch(first!, /^\| first reply.* \| 2 \| 10 socat \| 0\.20 \| 1 \| 2\.0 \|$/);
  assertMatch(tail!, /99th percentile.* \| 3 \| 20 tcpserver \| 0\.15 \|/);
  assertMatch(bulk!, /\| 600 \| 1,200 tcpserver \| 0\.50 \|\s+\|\s+\|$/);
  assertMatch(tableOf(MEASURED[0]!), /^\| ncat \| failed: byte 3 is <wrong> \| \| \|$/m);
});

Deno.test("the chart marks every server that did not fail, slower ones left of spawnd", () => {
  const picture = pictureOf(MEASURED, "2 cores & more");
  assertEquals(picture.match(/<path /g)!.length, 5 + 3 + 1); // the legend, then the two rows
  assertMatch(picture, /2 cores &amp; more/);
  const line = Number(/class="own" x1="([\d.]+)"/.exec(picture)![1]);
  const marks = [...picture.matchAll(/translate\(([\d.]+) /g)].map(([, x]) => Number(x)).slice(5);
  assertEquals(marks.map((x) => x < line), [true, true, false, false]);
});

Deno.test("the README shows the table that the bench wrote", async () => {
  const [readme, results] = await Promise.all(
    ["README.md", "bench/results.md"].map((name) => Deno.readTextFile(ROOT + name)),
  );
  const flat = (text: string) => text.replace(/-+/g, "-").replace(/\s+/g, " ").trim(); // as deno fmt leaves it
  const [table, machine] = results!.split("\n\n").map(flat);
  assert(flat(readme!).includes(table!), "the tables differ");
  assert(flat(readme!).includes(machine!), "the machine, a version or the date differs");
});
