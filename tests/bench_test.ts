import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { makeCertificate } from "../bench/certificate.ts";
import type { Load } from "../bench/load.ts";
import { countBelow } from "../bench/processes.ts";
import { pictureOf } from "../bench/picture.ts";
import {
  capacityOf,
  type Measured,
  notesOf,
  percentile,
  type Result,
  summaryOf,
  tableOf,
} from "../bench/report.ts";
import { CAPACITY, ROWS } from "../bench/rows.ts";
import { Running } from "../bench/running.ts";
import { findServers, FORK_SERVER, MINIMAL_RELAY } from "../bench/servers.ts";
import { samplesOf } from "./_bench.ts";
import { Certificates, testTls } from "./_certificates.ts";
import { childrenOf } from "./_processes.ts";
import { withFolder } from "./_programs.ts";
import { ask, connectToReset, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { until, within } from "./_waiting.ts";

const ROOT = new URL("../", import.meta.url).pathname;

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
    load.measure === "bulk" || load.bytes !== undefined
      ? { ...load, port: echo.port, service: "echo" }
      : { ...load, port: counter.port, service: "counter" };
  const loads: [Omit<Load, "port" | "service">, number][] = [
    [{ measure: "first", clients: 3 }, 3],
    [{ measure: "burst", clients: 3 }, 3],
    [{ measure: "last", clients: 3 }, 1],
    [{ measure: "arrivals", clients: 3, rate: 50 }, 3],
    [{ measure: "rtt", clients: 30 }, 30],
    [{ measure: "rtt", clients: 3, bytes: 100_000 }, 3],
    [{ measure: "messages", clients: 30 }, 1],
    [{ measure: "rate", clients: 20 }, 1],
    [{ measure: "bulk", clients: 2, megabytes: 2 }, 1],
  ];
  for (const [load, count] of loads) {
    const samples = await samplesOf(target(load));
    assertEquals([load.measure, samples.length], [load.measure, count]);
    assert(samples.every((s) => s > 0 && s < Infinity), `${load.measure}: ${samples}`);
  }
});

testTls("a load over TLS checks the server's certificate, and every byte", async () => {
  await using certificates = await Certificates.make();
  await using server = await certificates.serve("--", "cat");
  const certificate = await Deno.readTextFile(certificates.cert);
  const target = { port: server.port, service: "echo" } as const;
  const load = { ...target, measure: "rtt", clients: 3, bytes: 32_768 } as const;
  assertEquals((await samplesOf({ ...load, certificate })).length, 3);
  const bulk = { ...target, measure: "bulk", clients: 2, megabytes: 2 } as const;
  assertEquals((await samplesOf({ ...bulk, certificate })).length, 1);
  await certificates.renew("second");
  const other = await Deno.readTextFile(certificates.cert);
  const { message } = await assertRejects(() => samplesOf({ ...load, certificate: other }), Error);
  assertMatch(message, /certificate/);
});

Deno.test("a wrong byte and a lost connection are failures, not fast answers", async () => {
  await using wrong = serveOnce((received) => received.map((byte) => byte ^ 1));
  await using short = serveOnce((received) => received.subarray(1));
  for (const measure of ["first", "burst", "last", "rtt", "rate", "bulk"] as const) {
    const load = { measure, service: "echo", clients: 2, rate: 50, megabytes: 1 } as const;
    for (const [name, { port }] of Object.entries({ wrong, short })) {
      const { message } = await assertRejects(() => samplesOf({ ...load, port }), Error);
      assertMatch(message, /byte|ended|reset|Broken pipe/i, `${measure}, ${name}: ${message}`);
    }
  }
});

Deno.test("arrivals count the clients that are not answered, and fail at a wrong byte", async () => {
  await using wrong = serveOnce((received) => received.map((byte) => byte ^ 1));
  await using lost = serveOnce((received) => received.subarray(1));
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 }); // its backlog takes all clients
  const load = {
    measure: "arrivals",
    service: "echo",
    clients: 4,
    rate: 50,
    answerMs: 200,
  } as const;
  const { message } = await assertRejects(() => samplesOf({ ...load, port: wrong.port }), Error);
  assertMatch(message, /^byte 0 is/);
  for (const { port } of [lost, silent.addr]) {
    assertEquals(await samplesOf({ ...load, port }), Array(4).fill(Infinity));
  }
});

Deno.test("every server that is here serves what the bench asks of it, in each of its ways", async () => {
  await withFolder(async (folder) => {
    const { servers } = await findServers(folder);
    const certificate = await makeCertificate(folder);
    for (const server of servers) {
      const ways = {
        ...(server.command && { "over TCP": {} }),
        ...(server.tlsCommand && certificate && { "over TLS": { certificate } }),
        ...(server.webSocketCommand && { "over WebSockets": { isWebSocket: true } }),
      };
      for (const [way, more] of Object.entries(ways)) {
        const name = `${server.name} ${way}`;
        const options = { handler: "native", options: [], ...more } as const;
        await using running = await within(name, Running.start(server, options));
        assertEquals(running.target.certificate !== undefined, way === "over TLS", name);
        assertEquals(running.target.isWebSocket, way === "over WebSockets", name);
        const load = { ...running.target, measure: "rate", clients: 20 } as const;
        assertEquals((await samplesOf(load)).length, 1, name);
        await until(`the programs of ${name} to end`, () => countBelow(running.pid) === 0);
      }
    }
  });
});

Deno.test("the minimal relay half-closes both ways, and outlives clients that reset", async () => {
  await withFolder(async (folder) => {
    const { servers } = await findServers(folder);
    const server = servers.find(({ name }) => name === MINIMAL_RELAY)!;
    await using relay = await Running.start(server, { handler: "native", options: [] });
    const { port } = relay.target;
    await (await connectToReset(port))();
    const question = "a question ".repeat(100_000);
    assertEquals(text(await ask(port, question)), question);
    await until("its programs to end", () => countBelow(relay.pid) === 0);
  });
});

Deno.test("the bench measures what it is asked for, names missing peers, and leaves no process", async () => {
  const folder = await Deno.makeTempDir(); // a PATH without peers
  for (const program of ["sh", "cat"]) {
    await Deno.symlink(`/bin/${program}`, `${folder}/${program}`);
  }
  const bench = new Deno.Command(Deno.execPath(), {
    args: "task bench --only rtt --rounds 1 --json --save".split(" ").concat(`${folder}/report`),
    cwd: ROOT,
    env: { PATH: folder, NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const { code, stdout, stderr } = await within("the bench", bench.output());
  assertEquals(code, 0, text(stderr));
  assertMatch(text(stderr), /^not installed: tcpserver \(apt-get install ucspi-tcp\)$/m);
  assertMatch(text(stderr), /^not installed: openssl/m);
  const { caption, all } = JSON.parse(text(stdout));
  assertMatch(caption, /cores of .*Deno \d/);
  const measured = all.map(({ results }: Measured) =>
    results.map(({ server, rounds: [samples] }) => [server, samples!.length])
  );
  assertEquals(measured, [
    [["spawnd", 2000]],
    [["spawnd", 2000], [MINIMAL_RELAY, 2000]],
  ]);
  assertEquals(childrenOf(bench.pid), []);
  const report = await Deno.readTextFile(`${folder}/report/results.md`);
  assertMatch(
    report,
    /^\| round trip, cat \(µs\) \| [\d.,]+ \| .* minimal Deno relay \| [\d.]+ \|$/m,
  );
  assertMatch(await Deno.readTextFile(`${folder}/report/results.svg`), /<\/svg>\n$/);
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
      { server: FORK_SERVER, rounds: [[1, 1, 1]] },
    ],
  },
  {
    row: row("bulk"),
    results: [{ server: "spawnd", rounds: [[600]] }, { server: "tcpserver", rounds: [[1200]] }],
  },
  {
    row: row("load"),
    results: [
      { server: "spawnd", rounds: [[2, 4, 6]] },
      { server: "tcpserver", rounds: [[8, 8, Infinity]] },
      { server: "socat", rounds: [[Infinity, Infinity, Infinity], [9, 9, 9]] },
    ],
  },
];

Deno.test("the summary has the best peer of each figure, but never a failed one", () => {
  const [, , first, tail, bulk, load, loadTail] = summaryOf(MEASURED).split("\n");
  assertMatch(
    first!,
    /^\| first reply.* \(ms\) \| 2 \| 10 socat \| 0\.20 \| 1 fork server in C \| 2\.0 \|$/,
  );
  assertMatch(tail!, /, p99 .* \| 3 \| 20 tcpserver \| 0\.15 \|/);
  assertMatch(bulk!, /\| 600 \| 1,200 tcpserver \| 0\.50 \|\s+\|\s+\|$/);
  assertMatch(load!, /\| 4 \| 8 tcpserver \| 0\.50 \|/);
  assertMatch(loadTail!, /\| 6 \| > 10,000 tcpserver \|\s+\|/);
  assertMatch(tableOf(MEASURED[0]!), /^\| ncat \| failed: byte 3 is <wrong> \| \| \|$/m);
});

const capacity = (rates: Record<string, number>): Measured => ({
  row: CAPACITY,
  results: Object.entries(rates).map(([server, rate]): Result => ({ server, rounds: [[rate]] })),
});

Deno.test("the capacity is tcpserver's, else the best peer's, else spawnd's", () => {
  const rates = { spawnd: 108, socat: 101, ncat: 102, tcpserver: 100, [FORK_SERVER]: 5000 };
  assertEquals(capacityOf([...MEASURED, capacity(rates)]), { server: "tcpserver", perSecond: 100 });
  const { tcpserver: _, ...others } = rates;
  assertEquals(capacityOf([capacity(others)]), { server: "ncat", perSecond: 102 });
  assertEquals(capacityOf([capacity({ spawnd: 108, [FORK_SERVER]: 5000 })])?.server, "spawnd");
  assertEquals(capacityOf(MEASURED), undefined);
});

Deno.test("the notes have the capacity, the clients without an answer, and the failures", () => {
  const measured = [capacity({ spawnd: 108, tcpserver: 100.4 }), ...MEASURED];
  const title = row("load").title;
  assertEquals(
    notesOf(measured),
    "The capacity is what tcpserver sustains: 100 connections/s. " +
      `Clients without a reply within 10 s: tcpserver 1 of 3 (${title}); socat 3 of 6 (${title}). ` +
      "Failed: ncat (first reply, Deno handler: byte 3 is <wrong>).",
  );
  const answered = [measured[0]!, { row: row("load"), results: MEASURED[0]!.results.slice(0, 1) }];
  assertMatch(notesOf(answered), /Every client had a reply within 10 s\.$/);
  assertEquals(notesOf(MEASURED.slice(1, 2)), "");
});

Deno.test("the chart marks every server that did not fail, slower ones left of spawnd", () => {
  const picture = pictureOf(MEASURED, "2 cores & more");
  assertMatch(picture, /2 cores &amp; more/);
  const line = Number(/class="own" x1="([\d.]+)"/.exec(picture)![1]);
  const marks = [...picture.matchAll(/translate\(([\d.]+) ([\d.]+)\)/g)].slice(10) // the legend
    .map(([, x, y]) => [Number(y), Math.sign(Number(x) - line)] as const);
  assertEquals(
    [...Map.groupBy(marks, ([y]) => y).values()].map((marks) => marks.map(([, side]) => side)),
    [[-1, -1, 1], [-1, -1, 1], [1], [-1, -1], [-1, -1]], // median and p99, bulk, median and p99
  );
});

Deno.test("docs/performance.md shows what the bench wrote", async () => {
  const [page, results] = await Promise.all(
    ["docs/performance.md", "bench/results.md"].map((name) => Deno.readTextFile(ROOT + name)),
  );
  const flat = (text: string) => text.replace(/-+/g, "-").replace(/\s+/g, " ").trim(); // as deno fmt leaves it
  for (const part of results!.split("\n\n")) {
    assert(flat(page!).includes(flat(part)), `docs/performance.md does not have: ${part}`);
  }
});
