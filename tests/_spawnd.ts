/**
 * The server under test, in a process of its own, with its output and its log.
 *
 * @module
 */

import { undocumentedFacts } from "./_events.ts";
import { assert } from "@std/assert";
import { until, within } from "./_waiting.ts";

const ROOT = new URL("../", import.meta.url).pathname;
/** The permissions that the README's first command grants. */
const PERMISSIONS = ["--allow-net", "--allow-run"];
const OPTIONS = [["--host", "127.0.0.1"], ["--port", "0"], ["--log-format", "json"]] as const;

/** The arguments, with those of {@linkcode OPTIONS} that they do not have. */
function withOptions(args: readonly string[]): string[] {
  return [...OPTIONS.filter(([name]) => !args.includes(name)).flat(), ...args];
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
  /** Whether its children may end with an error of their own, on the stderr they share with it. */
  mayChildrenFail = false;

  private constructor(
    permissions: readonly string[],
    args: readonly string[],
    { env = {}, cwd = ROOT, via = [] }: {
      env?: Record<string, string>;
      cwd?: string;
      via?: readonly string[];
    } = {},
  ) {
    const [command, ...words] = [
      ...[...via, Deno.execPath(), "run", ...permissions, `${ROOT}main.ts`],
      ...args,
    ];
    this.#process = new Deno.Command(command!, {
      env,
      cwd,
      args: words,
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
    return Spawnd.#listening(new Spawnd(permissions, withOptions(args)));
  }

  /** As {@linkcode Spawnd.start}, with these variables in its environment. */
  static startIn(env: Record<string, string>, ...args: string[]): Promise<Spawnd> {
    return Spawnd.#listening(new Spawnd(PERMISSIONS, withOptions(args), { env }));
  }

  /** Starts a server on a free port of the loopback without waiting until it listens. */
  static starting(...args: string[]): Spawnd {
    return new Spawnd(PERMISSIONS, withOptions(args));
  }

  /** As {@linkcode Spawnd.starting}, in this folder. */
  static startingAt(cwd: string, ...args: string[]): Spawnd {
    return new Spawnd(PERMISSIONS, withOptions(args), { cwd });
  }

  /** Starts the services of a configuration file without waiting until they listen. */
  static configured(path: string, via: readonly string[], ...args: string[]): Spawnd {
    const permissions = [...PERMISSIONS, "--allow-read", "--allow-write"];
    return Spawnd.startingVia(via, { permissions }, "--config", path, ...args);
  }

  /** Starts a server through a program that becomes it, such as one that opens its sockets. */
  static startingVia(
    via: readonly string[],
    { permissions = PERMISSIONS }: { permissions?: readonly string[] },
    ...args: string[]
  ): Spawnd {
    return new Spawnd(permissions, ["--log-format", "json", ...args], { via });
  }

  /** Starts a server with these permissions and variables without waiting until it listens. */
  static startingIn(
    { permissions = PERMISSIONS, env }: {
      permissions?: readonly string[];
      env: Record<string, string>;
    },
    ...args: string[]
  ): Spawnd {
    return new Spawnd(permissions, withOptions(args), { env });
  }

  static async #listening(spawnd: Spawnd): Promise<Spawnd> {
    await spawnd.listening();
    return spawnd;
  }

  /** Waits until it listens, and resolves to its port; 0 if it has none. */
  async listening(): Promise<number> {
    await until("the server to listen", () => {
      assert(!this.exited, `it exited: ${this.lines.join("\n")}`);
      return this.stdout.endsWith("\n");
    });
    return this.port = Number(/:(\d+)(?= and |\/|\n)/.exec(this.stdout)?.[1] ?? 0);
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
    await within("the end of its output", this.#output);
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

  #isCrash(line: string): boolean {
    return line.includes("Uncaught") && !this.mayChildrenFail;
  }

  /**
   * Kills it if the test has not ended it. Asserts that its log has no internal error, and no fact that
   * is not documented.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (!this.exited) this.kill("SIGKILL");
    } catch {
      // It has just ended.
    }
    await this.ended();
    const unexpected = [...this.lines, ...this.log.map(({ message }) => message)]
      .filter((line) => /internal error|panicked/.test(line) || this.#isCrash(line));
    assert(unexpected.length === 0, unexpected.join("\n"));
    const undocumented = this.log.filter((record) => undocumentedFacts(record).length > 0);
    assert(undocumented.length === 0, undocumented.map((one) => JSON.stringify(one)).join("\n"));
  }
}

/** Starts a server whose handler is a shell script. */
export function serveScript(script: string, ...options: string[]): Promise<Spawnd> {
  return Spawnd.start(...options, "--", "sh", "-c", script);
}

/** Asserts that each accepted connection is in exactly one counter; none may be in transition. */
export function assertAddsUp(status: LogRecord): void {
  const reasons = ["denied", "source-limit", "source-rate", "busy", "handshake", "page", "left"];
  const parts = ["active", "waiting", "ended", "failed", ...reasons];
  const sum = parts.reduce((sum, part) => sum + Number(status[part] ?? 0), 0);
  assert(sum === status.accepted, `${sum} in ${Deno.inspect(status)}`);
}

/** Calls `each` for every chunk of text in `stream`. */
export async function readText(
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
