/**
 * The worker: one child process, as an endpoint of the relay and as something that can be stopped.
 *
 * It owns what a child costs (the process, its pipes) and gives every bit of it back, however the
 * child ends. It never decides when that should be.
 *
 * @module
 */

import type { Handler } from "./handler.ts";
import { lines } from "../base/lines.ts";
import { log } from "../base/log.ts";
import { type Endpoint, SMALLEST_BUFFER } from "../base/relay.ts";
import { settlesWithin } from "../base/settles_within.ts";

/** What becomes of a child's stderr: the server's own, lines in its log, or nothing. */
export type StderrMode = "inherit" | "log" | "null";

/** How a child is started. */
export interface WorkerOptions {
  /** What becomes of its stderr. */
  readonly stderr: StderrMode;
  /** What its environment has beside the handler's. */
  readonly env: Readonly<Record<string, string>>;
  /** The user it runs as; the server's own where there is none. */
  readonly uid?: number;
  /** The group it runs as, and no other one. */
  readonly gid?: number;
}

/** What the stop ladder sends. */
export type StopSignal = "SIGTERM" | "SIGKILL";

/** How a child ended. */
export interface Exit {
  /** Its exit code; 128 + the signal's number where a signal ended it. */
  readonly code: number;
  /** The signal that ended it, such as `SIGTERM`; `null` where it exited by itself. */
  readonly signal: string | null;
}

/** What a read of a child's stdout gives. */
type Chunk = ReadableStreamReadResult<Uint8Array<ArrayBuffer>>;

/** One child process. */
export class Worker implements Endpoint {
  /** Its process id. */
  readonly pid: number;
  /** Resolves when it has ended and has been reaped. Never rejects. */
  readonly exited: Promise<Exit>;
  /** How it ended, once it has. */
  exit: Exit | null = null;
  /** The last signal it was sent, if it was sent one. */
  signalled: StopSignal | undefined;
  /** The connection it serves, once it has one: its lines in the log carry it. */
  connection: number | undefined;

  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #stdout: ReadableStreamBYOBReader;
  #stdinClosed = false;
  /** Its first output, read before anybody asks: what is begun ahead, no client waits for. */
  #first: Promise<Chunk> | undefined;

  /**
   * Starts a child. This blocks the calling thread for as long as the operating system takes.
   *
   * @throws Whatever `Deno.Command.spawn` throws: the program is missing (`NotFound`) or is none
   * (`PermissionDenied`), no process or descriptor is left (`code` is `EAGAIN` or `EMFILE`), or it
   * may not run as that user (`PermissionDenied`).
   */
  constructor(handler: Handler, { stderr, env, ...identity }: WorkerOptions) {
    this.#child = new Deno.Command(handler.command, {
      ...identity,
      args: [...handler.args],
      env: { ...env, ...handler.env },
      stdin: "piped",
      stdout: "piped",
      stderr: stderr === "log" ? "piped" : stderr,
    }).spawn();
    this.pid = this.#child.pid;
    this.#stdin = this.#child.stdin.getWriter();
    this.#stdout = this.#child.stdout.getReader({ mode: "byob" });
    this.#first = this.#stdout.read(new Uint8Array(SMALLEST_BUFFER));
    this.#first.catch(() => {}); // whoever reads will be told
    this.exited = this.#reap();
    if (stderr === "log") this.#logStderr();
  }

  /** Reads what the child writes to stdout; {@linkcode Worker.cancel} ends a read that waits. */
  async read(buffer: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | null> {
    const reading = this.#first ?? this.#stdout.read(buffer);
    this.#first = undefined;
    const { done, value } = await reading;
    return done ? null : value;
  }

  /** Writes to the child's stdin; rejects when nobody reads there any more. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.#stdin.write(bytes);
  }

  /** Closes the child's stdin, after what is being written; a child that no longer reads is fine. */
  async closeWrite(): Promise<void> {
    if (this.#stdinClosed) return;
    this.#stdinClosed = true;
    try {
      await this.#stdin.close();
    } catch {
      // The pipe broke before: it is closed, which is all that is wanted.
    }
  }

  /** Closes the reading end of the child's stdout: its next write there fails. */
  cancel(): void {
    this.#stdout.cancel().catch(() => {});
  }

  /**
   * The stop ladder: closes stdin and waits, sends SIGTERM and waits, sends SIGKILL. Resolves when
   * the child has been reaped.
   *
   * @param killTimeoutMs How long each wait is, in milliseconds.
   * @param graceMs How long the first one is, where the end of input has been waited on before.
   */
  async stop(killTimeoutMs: number, graceMs: number = killTimeoutMs): Promise<void> {
    this.closeWrite();
    if (await settlesWithin(this.exited, graceMs)) return;
    this.kill("SIGTERM");
    if (await settlesWithin(this.exited, killTimeoutMs)) return;
    this.kill("SIGKILL");
    await this.exited;
  }

  /** Sends a signal, if the child is still there to get it. */
  kill(signal: StopSignal): void {
    try {
      this.#child.kill(signal);
      this.signalled = signal;
    } catch {
      // It was faster: a child that has been reaped cannot be signalled (TypeError, seen on 2.9).
    }
  }

  async #reap(): Promise<Exit> {
    try {
      const { code, signal } = await this.#child.status;
      this.exit = { code, signal };
    } catch {
      // A real-time signal has no name in Deno, and the status rejects (seen on 2.9).
      this.exit = { code: 128, signal: "unknown" };
    }
    // Nobody is left to read: lets go of the descriptor and of a write that waits.
    this.closeWrite();
    return this.exit;
  }

  async #logStderr(): Promise<void> {
    for await (const line of lines(this.#child.stderr)) {
      log.info("stderr", { id: this.connection, pid: this.pid, line });
    }
  }
}
