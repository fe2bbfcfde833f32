/**
 * Support for the end-to-end tests: a real server in its own process, real sockets, and waits for
 * conditions with a deadline. Nothing here sleeps to synchronise.
 *
 * @module
 */

import { assert } from "@std/assert";
import net from "node:net";

const ROOT = new URL("../", import.meta.url).pathname;
/** The permissions that the README's first command grants. */
const PERMISSIONS = ["--allow-net", "--allow-run"];
const OPTIONS = ["--host", "127.0.0.1", "--port", "0", "--log-format", "json"];
/** Long enough for a busy machine; a test that passes never waits this long. */
const DEADLINE_MS = 20_000;

/** Settles as `promise` does, or rejects after the deadline with an error that names `what`. */
export async function within<T>(what: string, promise: Promise<T>, ms = DEADLINE_MS): Promise<T> {
  let timer;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}

/** Calls `probe` until it returns something truthy, and resolves to that. */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  ms = DEADLINE_MS,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + ms;
  for (;;) {
    const value = await probe();
    if (value) return value as Exclude<T, false | null | undefined>;
    if (performance.now() > deadline) throw new Error(`Waited ${ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Calls `probe` until its value is truthy and has not changed for 300 ms; resolves to it. */
export async function untilSteady<T>(what: string, probe: () => T): Promise<T> {
  let [value, since] = [probe(), performance.now()];
  await until(`${what} to stay the same`, () => {
    const now = probe();
    if (now !== value) [value, since] = [now, performance.now()];
    return value && performance.now() - since > 300;
  });
  return value;
}

/** A record of the server's log, parsed from a JSON line. */
export type LogRecord = Record<string, unknown> & { message: string; level: string };

/** A running server. */
export class Spawnd implements AsyncDisposable {
  /** Lines on stderr that are not log records, such as the children's output. */
  readonly lines: string[] = [];
  /** The log records so far. */
  readonly log: LogRecord[] = [];
  /** The output on stdout so far. */
  stdout = "";
  port = 0;
  readonly #process: Deno.ChildProcess;
  readonly #output: Promise<unknown>;
  exited: Deno.CommandStatus | undefined;

  private constructor(
    permissions: readonly string[],
    args: readonly string[],
    env: Record<string, string> = {},
  ) {
    this.#process = new Deno.Command(Deno.execPath(), {
      env,
      args: ["run", ...permissions, `${ROOT}main.ts`, ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#process.status.then((status) => this.exited = status);
    this.#output = Promise.all([
      readText(this.#process.stdout, (text) => this.stdout += text),
      readLines(this.#process.stderr, (line) => {
        if (line.startsWith('{"@timestamp"')) this.log.push(JSON.parse(line));
        else this.lines.push(line);
      }),
    ]);
  }

  /** Runs a command line as it is, usually one that is not expected to serve. */
  static run(...args: string[]): Spawnd {
    return Spawnd.runWith(PERMISSIONS, ...args);
  }

  /** As {@linkcode Spawnd.run}, with these permissions. */
  static runWith(permissions: readonly string[], ...args: string[]): Spawnd {
    return new Spawnd(permissions, args);
  }

  /** Starts a server on a free loopback port and waits until it listens. */
  static start(...args: string[]): Promise<Spawnd> {
    return Spawnd.startWith(PERMISSIONS, ...args);
  }

  /** As {@linkcode Spawnd.start}, with these permissions. */
  static startWith(permissions: readonly string[], ...args: string[]): Promise<Spawnd> {
    return Spawnd.#listening(new Spawnd(permissions, [...OPTIONS, ...args]));
  }

  /** As {@linkcode Spawnd.start}, with these variables in its environment. */
  static startIn(env: Record<string, string>, ...args: string[]): Promise<Spawnd> {
    return Spawnd.#listening(new Spawnd(PERMISSIONS, [...OPTIONS, ...args], env));
  }

  static async #listening(spawnd: Spawnd): Promise<Spawnd> {
    await until("the server to listen", () => {
      assert(!spawnd.exited, `it exited: ${spawnd.lines.join("\n")}`);
      return spawnd.stdout.endsWith("\n");
    });
    spawnd.port = Number(/:(\d+)(?= and |\n)/.exec(spawnd.stdout)![1]);
    return spawnd;
  }

  /** The URL of its status listener; needs `--status`. */
  async statusUrl(): Promise<URL> {
    const line = /^spawnd status on (.+)$/m;
    const [, url] = await until("its status", () => line.exec(this.stdout));
    return new URL(url!);
  }

  get pid(): number {
    return this.#process.pid;
  }

  kill(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /** Waits for a record with all of these facts; a `RegExp` is matched against the value. */
  record(facts: Record<string, unknown>): Promise<LogRecord> {
    return until(
      `a record with ${Deno.inspect(facts)}`,
      () => this.records(facts)[0],
    );
  }

  /** The records so far with all of these facts. */
  records(facts: Record<string, unknown>): LogRecord[] {
    return this.log.filter((record) =>
      Object.entries(facts).every(([key, value]) =>
        value instanceof RegExp ? value.test(String(record[key])) : record[key] === value
      )
    );
  }

  /** The server's current counters; a refusal reason that never occurred is absent. */
  async status(): Promise<LogRecord> {
    const count = this.records({ message: "status" }).length;
    this.kill("SIGUSR2");
    return await until("its counters", () => this.records({ message: "status" })[count]);
  }

  /** Resolves to the exit status once all output has been read. */
  async ended(): Promise<Deno.CommandStatus> {
    const status = await within("the server to end", this.#process.status);
    await this.#output;
    return status;
  }

  /** Sends a signal and waits for the exit. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<Deno.CommandStatus> {
    this.kill(signal);
    return await this.ended();
  }

  connect(): Promise<Deno.TcpConn> {
    return Deno.connect({ hostname: "127.0.0.1", port: this.port });
  }

  /** Kills it if the test has not ended it, and asserts that its log has no internal error. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.exited) this.kill("SIGKILL");
    await this.ended();
    const unexpected = [...this.lines, ...this.log.map(({ message }) => message)]
      .filter((line) => /internal error|Uncaught|panicked/.test(line));
    assert(unexpected.length === 0, unexpected.join("\n"));
  }
}

/** Calls `each` for every chunk of text in `stream`. */
async function readText(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  each: (text: string) => void,
) {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) each(text);
}

async function readLines(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  each: (line: string) => void,
) {
  let rest = "";
  await readText(stream, (text) => {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    parts.forEach(each);
  });
  if (rest) each(rest);
}

const encoder = new TextEncoder();

/** Writes all of `data`. */
export async function send(conn: Deno.Conn, data: string | Uint8Array): Promise<void> {
  let bytes = typeof data === "string" ? encoder.encode(data) : data;
  while (bytes.length > 0) bytes = bytes.subarray(await conn.write(bytes));
}

/** Reads to end of input. */
export async function receiveAll(conn: Deno.Conn): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  await receiveEach(conn, (chunk) => chunks.push(chunk.slice()));
  return concat(chunks);
}

/** Reads to end of input; a chunk is valid only until the callback returns. */
export async function receiveEach(
  conn: Deno.Conn,
  each: (chunk: Uint8Array<ArrayBuffer>) => void,
): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  for (;;) {
    const length = await within("the client's input", conn.read(buffer));
    if (length === null) return;
    each(buffer.subarray(0, length));
  }
}

/** Reads exactly `length` bytes. */
export async function receive(conn: Deno.Conn, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let have = 0; have < length;) {
    const got = await within("the client's input", conn.read(bytes.subarray(have)));
    if (got === null) throw new Error(`The connection ended after ${have} of ${length} bytes`);
    have += got;
  }
  return bytes;
}

/** Joins `chunks`. */
export function concat(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.length;
  }
  return all;
}

/** Sends `data`, half-closes, and reads the whole answer. */
export async function ask(
  port: number,
  data: string | Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const answer = receiveAll(conn);
  await send(conn, data);
  await conn.closeWrite();
  return await answer;
}

/** Talks to the counter service: two messages, a block for each, and a clean close. */
export async function converse(conn: Deno.Conn): Promise<void> {
  for (const index of [0, 1]) {
    await send(conn, "message");
    const start = `This is server send message:${index}\0`;
    assert(text(await receive(conn, 256)).startsWith(start));
  }
  await conn.closeWrite();
  assert((await receiveAll(conn)).length === 0);
}

/** Compares bytes. `assertEquals` takes seconds for a megabyte, and minutes to print it. */
export function assertSameBytes(actual: Uint8Array, expected: Uint8Array): void {
  const different = expected.findIndex((byte, index) => byte !== actual[index]);
  assert(different < 0, `byte ${different} is ${actual[different]}, not ${expected[different]}`);
  assert(actual.length === expected.length, `${actual.length} bytes, not ${expected.length}`);
}

/** Asserts that each accepted connection is in exactly one counter; none may be in transition. */
export function assertAddsUp(status: LogRecord): void {
  const reasons = ["denied", "source-limit", "source-rate", "busy", "handshake", "left"];
  const parts = ["active", "waiting", "served", "failed", ...reasons];
  const sum = parts.reduce((sum, part) => sum + Number(status[part] ?? 0), 0);
  assert(sum === status.accepted, `${sum} in ${Deno.inspect(status)}`);
}

/** Decodes UTF-8. */
export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** The process ids of the children of `pid`, zombies included (Linux: proc(5)). */
export function childrenOf(pid: number): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((candidate) => {
    try {
      return candidate &&
        new RegExp(`^PPid:\\s+${pid}$`, "m").test(
          Deno.readTextFileSync(`/proc/${candidate}/status`),
        );
    } catch (error) {
      if (hasEnded(error)) return false;
      throw error;
    }
  });
}

/** Whether a process exists and is not a zombie. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch (error) {
    if (hasEnded(error)) return false;
    throw error;
  }
}

/** Whether reading from /proc failed because the process has gone. */
function hasEnded(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || /No such process/.test(String(error));
}

/** Whether a process is blocked reading from a pipe (Linux: proc(5)). */
export function waitsForInput(pid: number): boolean {
  return /pipe_read$/.test(Deno.readTextFileSync(`/proc/${pid}/wchan`));
}

/** The number of descriptors that a process has open. */
export function descriptorsOf(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

/** A process's resident memory, in bytes. */
export function memoryOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))![1]) *
    1024;
}

/** Connects, and returns a function that resets the connection; `Deno.Conn` cannot send RST. */
export async function connectToReset(port: number): Promise<() => Promise<void>> {
  const socket = net.connect(port, "127.0.0.1");
  await within("a connection", new Promise((resolve) => socket.once("connect", resolve)));
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  return () => {
    socket.resetAndDestroy();
    return closed;
  };
}

/** Connects from a given local address, for which `Deno.connect` has no option. */
export async function connectFrom(localAddress: string, port: number): Promise<net.Socket> {
  const socket = net.connect({ host: "127.0.0.1", port, localAddress });
  await within("a connection", new Promise((resolve) => socket.once("connect", resolve)));
  return socket;
}

/**
 * Declares a test that needs programs besides Deno. Programs and the Debian packages that provide
 * them are separated by spaces. If a program is missing, the test is ignored, and its name says what
 * to install.
 */
export function testWith(
  programs: string,
  debianPackages: string,
  name: string,
  fn: () => Promise<void>,
): void {
  const areInstalled = programs.split(" ").every((program) =>
    new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" })
      .outputSync().success
  );
  Deno.test({
    name: `${name} (needs ${programs}: apt-get install ${debianPackages})`,
    ignore: !areInstalled,
    fn,
  });
}
