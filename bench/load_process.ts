/**
 * Runs the load in a process of its own.
 *
 * @module
 */

import type { Load } from "./load.ts";

/** Longer than any load takes, even on a slow machine. */
const LIMIT_MS = 60_000;

/** A running load; disposing of it ends it and waits for its exit. */
export class LoadProcess implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #stderr: Promise<string>;
  readonly #lines: ReadableStreamDefaultReader<string>;

  constructor(load: Load) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        // Keeps V8's helper threads off the core that the server runs on.
        ...["run", "--quiet", "--allow-net", "--v8-flags=--single-threaded"],
        ...[new URL("load.ts", import.meta.url).href, JSON.stringify(load)],
      ],
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(LIMIT_MS),
    }).spawn();
    this.#stderr = new Response(this.#process.stderr).text();
    this.#lines = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /**
   * Resolves to its next message: the samples, or for `hold` first that all connections are open.
   *
   * @throws {Error} It failed or took too long; the message is the load's own.
   */
  async receive<T>(): Promise<T> {
    let text = "";
    while (!text.endsWith("\n")) {
      const { done, value } = await this.#lines.read();
      if (done) throw new Error(await this.#failure());
      text += value;
    }
    // JSON has no Infinity: it becomes null.
    return JSON.parse(text, (_, value) => value === null ? Infinity : value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stdin.close().catch(() => {});
    await this.#lines.cancel();
    await this.#stderr;
    await this.#process.status;
  }

  async #failure(): Promise<string> {
    const [line = ""] = (await this.#stderr).split("\n");
    return line.replace(/^error: (Uncaught )?(\(in promise\) )?(Error: )?/, "") ||
      "it took too long";
  }
}
