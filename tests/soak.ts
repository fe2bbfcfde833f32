/**
 * The soak test: two servers, one with a native program and one with a Deno module, under clients of
 * every kind for as long as you like. At the end nothing may have been lost, leaked or grown.
 *
 *     deno task soak 300      # seconds; 60 by default
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { childrenOf, descriptorsOf, memoryOf } from "./_processes.ts";
import { connectFrom, receive, receiveAll, send, text } from "./_sockets.ts";
import { assertAddsUp, Spawnd } from "./_spawnd.ts";
import { until, untilSteady } from "./_waiting.ts";

const CLIENTS = 10; // of each server at once
const MB = 1024 * 1024;

/** One server under test. */
interface Subject {
  readonly name: string;
  readonly spawnd: Spawnd;
  /** Sends a message and checks the answer. */
  exchange(conn: Deno.Conn, message: string): Promise<void>;
  /** How many bytes a half-closing client gets for its question. */
  answer(question: string): number;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The kinds of clients. Each rejects unless everything goes as it should. */
const KINDS: Record<string, (subject: Subject) => Promise<void>> = {
  async fast({ spawnd, exchange }) {
    using conn = await spawnd.connect();
    for (let i = 0; i < 3; i++) await exchange(conn, `message ${i}`);
    await conn.closeWrite();
    assertEquals((await receiveAll(conn)).length, 0);
  },
  async slow({ spawnd, exchange }) {
    using conn = await spawnd.connect();
    for (let i = 0; i < 3; i++) {
      await exchange(conn, "message");
      await pause(Math.random() * 300);
    }
    await conn.closeWrite();
    assertEquals((await receiveAll(conn)).length, 0);
  },
  async halfClosing({ spawnd, answer }) {
    using conn = await spawnd.connect();
    const question = "x".repeat(1 + Math.random() * 200);
    await send(conn, question);
    await conn.closeWrite();
    assertEquals((await receiveAll(conn)).length, answer(question));
  },
  async closing({ spawnd, exchange }) {
    using conn = await spawnd.connect();
    await exchange(conn, "message");
  },
  async resetting({ spawnd }) {
    const socket = await connectFrom("127.0.0.1", spawnd.port);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => {});
    socket.write("message");
    await pause(Math.random() * 20);
    socket.resetAndDestroy();
    await closed;
  },
  async idle({ spawnd, exchange }) {
    using conn = await spawnd.connect();
    await exchange(conn, "message");
    assertEquals((await receiveAll(conn)).length, 0); // the idle timeout
  },
  async refused({ spawnd }) {
    const socket = await connectFrom("127.0.0.2", spawnd.port);
    let answer = "";
    socket.on("data", (data) => answer += data).on("error", () => {});
    const closed = new Promise((resolve) => socket.once("close", resolve));
    await closed;
    assertEquals(answer, "no");
  },
};

/** How often each kind of client is picked, relative to the others. */
const WEIGHTS: Record<string, number> = {
  fast: 8,
  slow: 2,
  halfClosing: 6,
  closing: 3,
  resetting: 3,
  idle: 1,
  refused: 3,
};

function pick(): string {
  let left = Math.random() * Object.values(WEIGHTS).reduce((sum, weight) => sum + weight);
  return Object.keys(WEIGHTS).find((kind) => (left -= WEIGHTS[kind]!) < 0)!;
}

async function subjects(): Promise<Subject[]> {
  const options = [
    ...["--deny", "127.0.0.2", "--refusal", "no", "--idle-timeout", "0.5", "--stderr", "null"],
    ...["--max-connections", "8", "--queue-timeout", "60"], // so that some of them wait
    ...["--status", "0"],
  ];
  return [
    {
      name: "native",
      spawnd: await Spawnd.start(...options, "--warm", "2", "--", "cat"),
      async exchange(conn, message) {
        await send(conn, message);
        assertEquals(text(await receive(conn, message.length)), message);
      },
      answer: (question) => question.length,
    },
    {
      name: "Deno",
      spawnd: await Spawnd.start(...options),
      async exchange(conn, message) {
        await send(conn, message);
        assert(text(await receive(conn, 256)).startsWith("This is server send message:"));
      },
      answer: () => 256,
    },
  ];
}

/** Runs clients against a server until `endMs`; returns how many of each kind there were. */
async function load(subject: Subject, endMs: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const client = async () => {
    while (performance.now() < endMs) {
      const kind = pick();
      await KINDS[kind]!(subject).catch((error) => {
        throw new Error(`${subject.name}: a ${kind} client: ${error.message}`);
      });
      counts[kind] = (counts[kind] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return counts;
}

/** Fetches all of a server's status, as Prometheus and an open page do; returns the metrics. */
async function fetchStatus({ spawnd }: Subject): Promise<string> {
  const url = await spawnd.statusUrl();
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 }); // leaves no connection open
  const [, , metrics] = await Promise.all(["", "status.json", "metrics"].map(async (path) => {
    const response = await fetch(new URL(path, url), { client });
    assertEquals(response.status, 200);
    return await response.text();
  }));
  return metrics!;
}

/** The number of descriptors that a server has open once it is idle. */
async function idleDescriptors({ spawnd }: Subject): Promise<number> {
  await until("it to be idle", async () => {
    const { active, warm } = await spawnd.status();
    return active === 0 && childrenOf(spawnd.pid).length === warm && Number(warm) > 0;
  });
  return await untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
}

function median(values: number[]): number {
  return Math.round(values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN);
}

async function soak(seconds: number): Promise<void> {
  const tested = await subjects();
  for (const subject of tested) await load(subject, performance.now() + 2000);
  const before = await Promise.all(tested.map(idleDescriptors));

  const memories: number[][] = tested.map(() => []);
  const fetches: Promise<string>[] = [];
  const sampling = setInterval(() => {
    const now = tested.map(({ spawnd }, i) => {
      spawnd.log.splice(0, spawnd.log.length - 1000); // this process should stay small too
      fetches.push(fetchStatus(tested[i]!));
      memories[i]!.push(memoryOf(spawnd.pid) / MB);
      return memories[i]!.at(-1)!.toFixed(0);
    });
    if (memories[0]!.length % 10 === 0) {
      console.log(`${memories[0]!.length} s: ${now.join(", ")} MB`);
    }
  }, 1000);
  const endMs = performance.now() + seconds * 1000;
  const counts = await Promise.all(tested.map((subject) => load(subject, endMs)));
  clearInterval(sampling);
  await Promise.all(fetches);

  for (const [i, subject] of tested.entries()) {
    const { name, spawnd } = subject;
    const after = await idleDescriptors(subject);
    const { "@timestamp": _, level: _level, message: _message, logger: _logger, ...numbers } =
      await spawnd.status();
    // The heaps find their size in the first minute.
    const early = median(memories[i]!.slice(60, 120));
    const late = median(memories[i]!.slice(-60));
    console.log(name, counts[i], numbers, `memory: ${early} → ${late} MB`);
    assertAddsUp(await spawnd.status());
    assertMatch(
      await fetchStatus(subject),
      new RegExp(`^spawnd_connections_served_total ${numbers.served}$`, "m"),
    );
    assertEquals(after, before[i], "descriptors");
    assertEquals(numbers.failed, 0);
    if (seconds >= 180) assert(late < early * 1.1, `the memory of ${name} has grown`);
    assertEquals((await spawnd.stop()).code, 0);
    await spawnd[Symbol.asyncDispose]();
  }
  console.log(`ok: ${seconds} s, nothing lost, leaked or grown`);
}

await soak(Number(Deno.args[0] ?? 60));
