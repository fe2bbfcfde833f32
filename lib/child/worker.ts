/**
 * The worker: one child process, as an endpoint of the relay and with a way to stop it.
 *
 * It owns the process and its pipes and must release all of them, however the child ends. It must
 * never decide when that is; the session and the pool do.
 *
 * @module
 */

import type { Handler } from "./handler.ts";
import { stopByLadder, type StopSignal } from "./stop_ladder.ts";
import { lines } from "../base/lines.ts";
import { log } from "../base/log.ts";
import { type Endpoint, MIN_BUFFER_BYTES } from "../base/relay.ts";

/** Where a child's stderr goes: to the server's stderr, line by line to its log, or nowhere. */
export type StderrMode = "inherit" | "log" | "null";

/** Options for {@linkcode Worker}. */
export interface WorkerOptions {
  /** Where its stderr goes. */
  readonly stderr: StderrMode;
  /** Environment variables to add; those of the handler take precedence. */
  readonly env: Readonly<Record<string, string>>;
  /** The user id it runs as; by default the server's. */
  readonly uid?: number;
  /** The group id it runs as, as its only group. */
  readonly gid?: number;
}

/** How a child ended. */
export interface Exit {
  /** Its exit code; 128 + the signal's number if a signal ended it. */
  readonly code: number;
  /** The signal that ended it, such as `SIGTERM`; `null` if it exited by itself. */
  readonly signal: string | null;
}

/** The result of a read from a child's stdout. */
type Chunk = ReadableStreamReadResult<Uint8Array<ArrayBuffer>>;

/** One child process. */
export class Worker implements Endpoint {
  /** Its process id. */
  readonly pid: number;
  /** Resolves when it has ended and has been reaped. Never rejects. */
  readonly exited: Promise<Exit>;
  /** How it ended; `null` while it runs. */
  exit: Exit | null = null;
  /** The last signal it was sent, if any. */
  signalled: StopSignal | undefined;
  /** The id of the connection it serves, for its stderr lines in the log; set by the session. */
  connectionId: number | undefined;

  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #stdout: ReadableStreamBYOBReader;
  #stdinClosed = false;
  /** The first read of its stdout, started early so that it costs the client no time. */
  #firstRead: Promise<Chunk> | undefined;

  /**
   * Starts a child. This blocks the calling thread for as long as the operating system takes.
   *
   * @throws Whatever `Deno.Command.spawn` throws: the program is missing (`NotFound`) or not
   * executable (`PermissionDenied`), no process or descriptor is left (`code` is `EAGAIN` or
   * `EMFILE`), or the server may not start it as that user (`PermissionDenied`).
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
    this.#firstRead = this.#stdout.read(new Uint8Array(MIN_BUFFER_BYTES));
    this.#firstRead.catch(() => {}); // read() reports it
    this.exited = this.#reap();
    if (stderr === "log") this.#logStderr();
  }

  /** Reads the child's stdout; {@linkcode Worker.cancel} ends a pending read. */
  async read(buffer: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | null> {
    const reading = this.#firstRead ?? this.#stdout.read(buffer);
    this.#firstRead = undefined;
    const { done, value } = await reading;
    return done ? null : value;
  }

  /** Writes to the child's stdin; rejects once it has no reader. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.#stdin.write(bytes);
  }

  /** Closes the child's stdin after pending writes. Never rejects, even if it has no reader. */
  async closeWrite(): Promise<void> {
    if (this.#stdinClosed) return;
    this.#stdinClosed = true;
    try {
      await this.#stdin.close();
    } catch {
      // The pipe was already broken, and so is closed.
    }
  }

  /** Closes the read end of the child's stdout, so that its next write there fails. */
  cancel(): void {
    this.#stdout.cancel().catch(() => {});
  }

  /** Ends it by {@linkcode stopByLadder}; resolves when it has been reaped. */
  stop(killTimeoutMs: number, graceMs?: number): Promise<void> {
    return stopByLadder(this, killTimeoutMs, graceMs);
  }

  /** Sends a signal, unless the child has been reaped. */
  kill(signal: StopSignal): void {
    try {
      this.#child.kill(signal);
      this.signalled = signal;
    } catch {
      // A child that has been reaped cannot be signalled (TypeError, seen on 2.9).
    }
  }

  async #reap(): Promise<Exit> {
    try {
      const { code, signal } = await this.#child.status;
      this.exit = { code, signal };
    } catch {
      // Deno has no names for real-time signals, so the status rejects (seen on 2.9).
      this.exit = { code: 128, signal: "unknown" };
    }
    // stdin has no reader any more: release the descriptor and any pending write.
    this.closeWrite();
    return this.exit;
  }

  async #logStderr(): Promise<void> {
    for await (const line of lines(this.#child.stderr)) {
      log.info("stderr", { id: this.connectionId, pid: this.pid, line });
    }
  }
}
