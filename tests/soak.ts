/**
 * The soak test: a native program, a Deno module and TLS, each on a server of its own, under clients
 * of every kind for as long as you like. At the end nothing may have been lost, leaked or grown.
 *
 *     deno task soak 300      # seconds; 120 by default
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { showProgress } from "../bench/progress.ts";
import { counterBlock } from "../lib/child/counter.ts";
import { formatProxyHeader } from "../lib/net/proxy_protocol.ts";
import { readArguments } from "./_arguments.ts";
import { Certificates } from "./_certificates.ts";
import { connect, fetchStatus, pause, sendAndReset, type Target, type Way } from "./_load.ts";
import { childrenOf, descriptorsOf, memoryOf } from "./_processes.ts";
import { Random } from "../bench/random.ts";
import { assertSameBytes, type Conn, connectFrom, receive, receiveAll, send } from "./_sockets.ts";
import { assertAddsUp, Spawnd } from "./_spawnd.ts";
import { until, untilSteady, within } from "./_waiting.ts";

const USAGE = `deno task soak [SECONDS]

Puts servers under clients of every kind for SECONDS (120), and some 15 more
for starts and ends. From 120 on, their memory must not grow.`;
const CLIENTS = 7; // of each server at once
const MB = 1024 * 1024;
/** So small a heap is collected often. With the default, memory swings by half for minutes. */
const SMALL_HEAP = "--v8-flags=--max-old-space-size=32";
/** The heaps find their size in the first minute; then half a minute is compared with the last. */
const MEMORY_SECONDS = 120;

const random = new Random(Date.now());
const encoder = new TextEncoder();

/** One server under test. */
interface Subject {
  readonly name: string;
  readonly spawnd: Spawnd;
  readonly target: Target;
  /** How often each kind of client is picked, relative to the others. */
  readonly weights: Readonly<Record<string, number>>;
  /** How its next client connects. */
  way(): Way;
  /** What it answers to message number `index` of a connection. */
  answer(message: Uint8Array<ArrayBuffer>, index: number): Uint8Array<ArrayBuffer>;
  /** What a client gets whose address is denied. */
  readonly refusal: string;
}

const WEIGHTS = { fast: 8, slow: 2, halfClosing: 6, closing: 3, resetting: 3, denied: 3 };

/** Sends a message and checks the answer. */
async function exchange(conn: Conn, subject: Subject, index: number): Promise<void> {
  const message = encoder.encode(`message ${index}`);
  const answer = subject.answer(message, index);
  await send(conn, message);
  assertSameBytes(await receive(conn, answer.length), answer);
}

/** Has three exchanges, with pauses of up to `ms` milliseconds, and ends cleanly. */
async function converse(subject: Subject, ms: number): Promise<void> {
  using client = await connect(subject.target, subject.way());
  for (let index = 0; index < 3; index++) {
    await exchange(client.conn, subject, index);
    await pause(random.integer(0, ms));
  }
  await client.conn.closeWrite();
  assertEquals((await receiveAll(client.conn)).length, 0);
}

/** The kinds of clients. Each rejects unless everything goes as it should. */
const KINDS: Record<string, (subject: Subject) => Promise<void>> = {
  fast: (subject) => converse(subject, 0),
  slow: (subject) => converse(subject, 300),
  async halfClosing(subject) {
    using client = await connect(subject.target, subject.way());
    const question = encoder.encode("x".repeat(random.integer(1, 200)));
    await send(client.conn, question);
    await client.conn.closeWrite();
    assertSameBytes(await receiveAll(client.conn), subject.answer(question, 0));
  },
  async closing(subject) {
    using client = await connect(subject.target, subject.way());
    await exchange(client.conn, subject, 0);
  },
  async resetting({ way, target: { port } }) {
    const data = way().header ?? encoder.encode("message");
    await sendAndReset({ address: "127.0.0.1", port, data, ms: random.integer(0, 20) });
  },
  async denied({ refusal, target: { port } }) {
    const socket = await connectFrom("127.0.0.2", port);
    let answer = "";
    socket.on("data", (data) => answer += data).on("error", () => {});
    await within("a refusal", new Promise((resolve) => socket.once("close", resolve)));
    assertEquals(answer, refusal);
  },
  /** Stays until the idle timeout, which on a busy machine may come before the message. */
  async idle({ target, way }) {
    using client = await connect(target, way());
    await send(client.conn, "message").catch(() => {});
    await receiveAll(client.conn).catch((error) => assertMatch(error.message, /reset/i));
  },
};

/** A PROXY header in either version, for a client with any address. */
function anyHeader(): Uint8Array<ArrayBuffer> {
  const source = { hostname: `192.0.2.${random.integer(1, 200)}`, port: 1024 };
  const destination = { hostname: "192.0.2.254", port: 9527 };
  return formatProxyHeader(random.integer(1, 2), { source, destination });
}

async function startSubjects(certificates: Certificates | undefined): Promise<Subject[]> {
  const unix = await Deno.makeTempFile();
  await Deno.remove(unix);
  const start = (...args: string[]) =>
    Spawnd.startWith(
      [SMALL_HEAP, "--allow-net", "--allow-run", "--allow-read", "--allow-write"],
      // So few slots that some wait; and no timeout that a client which behaves could meet.
      ...["--max-connections", "5", "--queue-timeout", "600", "--handshake-timeout", "600"],
      ...["--eof-timeout", "600", "--deny", "127.0.0.2", "--refusal", "no", "--stderr", "null"],
      ...["--status", "0", ...args],
    );
  const echo = (message: Uint8Array<ArrayBuffer>) => message;
  const subject = (spawnd: Spawnd, rest: Partial<Subject> & Pick<Subject, "name">): Subject => ({
    target: { port: spawnd.port, unix },
    weights: WEIGHTS,
    way: () => ({ via: "tcp" }),
    answer: echo,
    refusal: "no",
    spawnd,
    ...rest,
  });
  const subjects = [
    subject(await start("--unix", unix, "--warm", "2", "--", "cat"), {
      name: "native",
      way: () => ({ via: random.pick(["tcp", "unix"]) }),
    }),
    subject(await start("--accept-proxy", "127.0.0.1"), {
      name: "Deno",
      way: () => ({ via: "tcp", header: anyHeader() }),
      answer: (_, index) => counterBlock(index),
    }),
    subject(await start("--idle-timeout", "0.5", "--warm", "1", "--", "cat"), {
      name: "impatient",
      weights: { idle: 1, resetting: 1 },
    }),
  ];
  if (certificates) {
    const { cert, key } = certificates;
    const tls = ["--cert", cert, "--key", key];
    const spawnd = await start(...tls, "--accept-proxy", "127.0.0.1", "--warm", "2", "--", "cat");
    subjects.push(subject(spawnd, {
      name: "TLS",
      target: { port: spawnd.port, cert: await Deno.readTextFile(cert) },
      way: () => ({ via: "tcp", tls: true, header: anyHeader() }),
      refusal: "", // it could be read only after a handshake
    }));
  }
  return subjects;
}

/** Runs clients against a server until `endMs`; returns how many of each kind there were. */
async function load(subject: Subject, endMs: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const client = async () => {
    while (performance.now() < endMs) {
      const kind = random.weighted(subject.weights);
      await KINDS[kind]!(subject).catch((error) => {
        throw new Error(`${subject.name}: a client that is ${kind}: ${error.message}`);
      });
      counts[kind] = (counts[kind] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return counts;
}

/** Fetches all of a server's status, as Prometheus and an open page do; returns the metrics. */
async function look({ spawnd }: Subject): Promise<string> {
  const url = await spawnd.statusUrl();
  const pages = ["", "status.json", "healthz", "metrics"].map((path) => fetchStatus(url, path));
  const answers = await Promise.all(pages);
  assertEquals(answers.map(({ status }) => status), [200, 200, 200, 200]);
  return answers.at(-1)!.body;
}

/** Looks at the servers every second until `endMs`; returns the memory of each, in MB. */
async function watch(subjects: readonly Subject[], endMs: number): Promise<number[][]> {
  const memories: number[][] = subjects.map(() => []);
  while (performance.now() < endMs) {
    for (const [i, { spawnd }] of subjects.entries()) {
      spawnd.log.splice(0, spawnd.log.length - 1000); // this process should stay small too
      memories[i]!.push(memoryOf(spawnd.pid) / MB);
    }
    const now = subjects.map(({ name }, i) => `${name} ${memories[i]!.at(-1)!.toFixed(0)} MB`);
    showProgress(`${Math.ceil((endMs - performance.now()) / 1000)} s left: ${now.join(", ")}`);
    await Promise.all([...subjects.map(look), pause(1000)]);
  }
  showProgress("");
  return memories;
}

/** The number of descriptors that a server has open once it is idle. */
async function idleDescriptors({ spawnd }: Subject): Promise<number> {
  await until("it to be idle", async () => {
    const { active, warm } = await spawnd.status();
    return active === 0 && childrenOf(spawnd.pid).length === warm && Number(warm) > 0;
  });
  return await untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
}

function median(values: readonly number[]): number {
  return Math.round(values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!);
}

/** Asserts that a server's memory has not grown; a short run cannot tell. */
function compareMemory(name: string, memories: readonly number[], seconds: number): string {
  if (seconds < MEMORY_SECONDS) return `memory: not compared in less than ${MEMORY_SECONDS} s`;
  const early = median(memories.slice(60, 90));
  const late = median(memories.slice(-30));
  assert(late < early * 1.1, `the memory of ${name} has grown from ${early} to ${late} MB`);
  return `memory: ${early} → ${late} MB`;
}

async function soak(seconds: number): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const certificates = await Certificates.make().catch(() => undefined);
  if (certificates) stack.use(certificates);
  else console.log("without TLS: openssl is not installed");
  const subjects = await startSubjects(certificates);
  for (const { spawnd } of subjects) stack.use(spawnd);

  for (const subject of subjects) await load(subject, performance.now() + 2000);
  const before: number[] = [];
  for (const subject of subjects) before.push(await idleDescriptors(subject));

  const endMs = performance.now() + seconds * 1000;
  const watching = watch(subjects, endMs);
  const counts = await Promise.all(subjects.map((subject) => load(subject, endMs)));
  const memories = await watching;

  for (const [i, subject] of subjects.entries()) {
    const { name, spawnd } = subject;
    const after = await idleDescriptors(subject);
    const numbers = await spawnd.status();
    const { "@timestamp": _, level: _level, message: _message, logger: _logger, ...shown } =
      numbers;
    console.log(name, counts[i], shown, compareMemory(name, memories[i]!, seconds));
    assertAddsUp(numbers);
    const ended = new RegExp(`^spawnd_session_duration_seconds_count ${numbers.ended}$`, "m");
    assertMatch(await look(subject), ended);
    assertEquals(after, before[i], "descriptors");
    assertEquals(numbers.failed, 0);
    assertEquals((await spawnd.stop()).code, 0);
  }
  const findings = seconds < MEMORY_SECONDS ? "lost or leaked" : "lost, leaked or grown";
  console.log(`ok: ${seconds} s, nothing ${findings}`);
}

const [seconds] = readArguments(USAGE, [["SECONDS", 1, 120]]) as [number];
await soak(seconds);
