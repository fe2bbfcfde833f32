/**
 * The worker: one child process, as an endpoint of the relay and with a way to stop it.
 *
 * It owns the process and its pipes and must release all of them, however the child ends. It must
 * never decide when that is; the session and the pool do.
 *
 * @module
 */

import { lines } from "../base/lines.ts";
import type { Logger } from "../base/log.ts";
import { type Endpoint, MIN_BUFFER_BYTES } from "../base/relay.ts";
import { settlesWithin } from "../base/settles_within.ts";
import type { Launch, StderrMode } from "./launch.ts";
import { groupEnd, signalGroup } from "./process_group.ts";
import { stopByLadder, stopRemains, type StopSignal } from "./stop_ladder.ts";

/** Options for {@linkcode Worker}. */
export interface WorkerOptions {
  readonly log: Logger;
  /** Where its stderr goes. */
  readonly stderr: StderrMode;
  /** Is told each line of its stderr; one that is inherited then takes the way through here. */
  readonly onStderr?: ((line: string) => void) | undefined;
  /** The first signal it is stopped with. */
  readonly stopSignal: StopSignal;
  /** Environment variables of this child; those of the launch take precedence. */
  readonly env: Readonly<Record<string, string>>;
}

/** How long what is left in stderr may take to be read, in milliseconds. */
const STDERR_MS = 1_000;
/**
 * How long the end of a group is waited for after SIGKILL, in milliseconds: what is left then are
 * processes that the kernel holds on to, or dead ones that their new parent does not reap.
 */
const KILLED_MS = 200;

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
  /** Resolves when its stdout has had its first output or has ended. Never rejects. */
  readonly started: Promise<unknown>;
  /** Resolves when nothing that it has started is left either, in its group. Never rejects. */
  readonly ended: Promise<void>;
  /** How it ended; `null` while it runs. */
  exit: Exit | null = null;
  /** Whether nothing that it has started is left either, in its group. */
  hasEnded = false;
  /** The last signal that it, or what it left, was sent, if any. */
  signalled: StopSignal | undefined;
  /** Whether it was sent a signal before it exited. */
  wasStopped = false;
  /** The id of the connection it serves, for its stderr lines in the log; set by the session. */
  connectionId: number | undefined;

  readonly #launch: Launch;
  readonly #log: Logger;
  readonly #stopSignal: StopSignal;
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #stdout: ReadableStreamBYOBReader;
  readonly #stderr: { readonly read: Promise<void>; readonly stop: AbortController } | undefined;
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
  constructor(launch: Launch, { log, stderr, onStderr, stopSignal, env }: WorkerOptions) {
    const isRead = stderr === "log" || stderr === "inherit" && onStderr !== undefined;
    this.#launch = launch;
    this.#log = log;
    this.#stopSignal = stopSignal;
    this.#child = new Deno.Command(launch.command, {
      ...launch.options,
      args: [...launch.args],
      env: { ...env, ...launch.env },
      stdin: "piped",
      stdout: "piped",
      stderr: isRead ? "piped" : stderr === "null" ? "null" : "inherit",
    }).spawn();
    this.pid = this.#child.pid;
    this.#stdin = this.#child.stdin.getWriter();
    this.#stdout = this.#child.stdout.getReader({ mode: "byob" });
    this.#firstRead = this.#stdout.read(new Uint8Array(MIN_BUFFER_BYTES));
    this.started = this.#firstRead.catch(() => {}); // read() reports the error
    this.exited = this.#reap();
    this.ended = this.#end();
    if (isRead) {
      const stop = new AbortController();
      const write = stderr === "log" ? (line: string) => this.#logLine(line) : writeLine;
      this.#stderr = { stop, read: this.#readStderr(stop.signal, write, onStderr) };
    }
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

  /**
   * Lets go of the pipes of a child that has ended, even if another process still holds them. What
   * is left in its stderr is read first.
   */
  async release(): Promise<void> {
    this.cancel();
    if (this.#stderr === undefined) return;
    await settlesWithin(this.#stderr.read, STDERR_MS);
    this.#stderr.stop.abort();
  }

  /** Ends it by {@linkcode stopByLadder}; resolves when nothing of it is left. */
  stop(killTimeoutMs: number, graceMs = killTimeoutMs): Promise<void> {
    return stopByLadder(this, { stopSignal: this.#stopSignal, killTimeoutMs, graceMs });
  }

  /** Ends what it leaves behind, once it exits by itself. Resolves when nothing of it is left. */
  stopRemains(killTimeoutMs: number): Promise<void> {
    return stopRemains(this, { stopSignal: this.#stopSignal, killTimeoutMs });
  }

  /** Sends a signal to its process group, or to the child alone, unless it has ended. */
  kill(signal: StopSignal): void {
    if (this.hasEnded || this.signalled === "SIGKILL") return;
    const { signalsGroup } = this.#launch;
    if (signalsGroup && signalGroup(this.pid, signal)) {
      this.signalled = signal;
      return;
    }
    try {
      this.#child.kill(signal); // without a group, or before it has one
      this.signalled = signal;
      if (signalsGroup) signalGroup(this.pid, signal); // it may have got one in this moment
    } catch {
      // A child that has been reaped cannot be signalled (TypeError, seen on 2.9).
    }
  }

  /** Whether it reads a PROXY header of version 2 first, whatever the options say. */
  get readsHeader(): boolean {
    return this.#launch.readsHeader;
  }

  /** Whether it has a process group of its own. */
  get hasGroup(): boolean {
    return this.#launch.hasGroup;
  }

  async #reap(): Promise<Exit> {
    try {
      const { code, signal } = await this.#child.status;
      this.exit = { code, signal };
    } catch {
      // Deno has no names for real-time signals, so the status rejects (seen on 2.9).
      this.exit = { code: 128, signal: "unknown" };
    }
    this.wasStopped = this.signalled !== undefined;
    const { signalsGroup, leavesRemains } = this.#launch;
    this.hasEnded = !signalsGroup || leavesRemains || !signalGroup(this.pid, 0);
    // stdin has no reader any more: release the descriptor and any pending write.
    this.closeWrite();
    return this.exit;
  }

  async #end(): Promise<void> {
    await this.exited;
    if (this.hasEnded) return;
    let killedAfterMs: number | undefined;
    await groupEnd(this.pid, (waitedMs) => {
      if (this.signalled === "SIGKILL") killedAfterMs ??= waitedMs;
      return waitedMs > (killedAfterMs ?? Infinity) + KILLED_MS;
    });
    this.hasEnded = true;
  }

  #logLine(line: string): void {
    this.#log.info("stderr", { id: this.connectionId, pid: this.pid, line });
  }

  async #readStderr(
    signal: AbortSignal,
    write: (line: string) => void | Promise<void>,
    onLine?: (line: string) => void,
  ): Promise<void> {
    try {
      for await (const line of lines(this.#child.stderr, signal)) {
        onLine?.(line);
        await write(line);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

/** Writes a line to the server's stderr, as the child would have. */
async function writeLine(line: string): Promise<void> {
  await Deno.stderr.write(new TextEncoder().encode(`${line}\n`)).catch(() => {});
}
