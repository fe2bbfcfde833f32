/**
 * The server on a terminal of 80 columns, as its user sees it.
 *
 * @module
 */

import { childrenOf, isAlive } from "./_processes.ts";
import { until, within } from "./_waiting.ts";

/** A terminal with a server in it; needs script(1). */
export class Terminal {
  /** What it shows so far. */
  shown = "";
  readonly #script: Deno.ChildProcess;
  readonly #output: Promise<void>;

  /**
   * Starts a server.
   *
   * @param words Its arguments, as sh(1) reads them.
   * @param flags Permissions beside `--allow-net` and `--allow-run`.
   */
  constructor(words: string, env: Record<string, string> = {}, flags = "") {
    const run = `'${Deno.execPath()}' run --allow-net --allow-run ${flags} main.ts`;
    const { NO_COLOR: _, TERM: __, ...inherited } = Deno.env.toObject();
    this.#script = new Deno.Command("script", {
      args: [
        ...["--quiet", "--return", "--command"],
        `stty columns 80; exec ${run} --host 127.0.0.1 --port 0 ${words}`,
        "/dev/null",
      ],
      cwd: new URL("../", import.meta.url),
      clearEnv: true,
      env: { ...inherited, TERM: "xterm", ...env },
      stdin: "null",
      stdout: "piped",
    }).spawn();
    this.#output = this.#read();
  }

  async #read(): Promise<void> {
    const { stdout } = this.#script;
    for await (const text of stdout.pipeThrough(new TextDecoderStream())) this.shown += text;
  }

  /** Waits until it shows this, and resolves to the match. */
  async untilShown(pattern: RegExp): Promise<RegExpExecArray> {
    return await until(`${pattern} in ${this.shown}`, () => pattern.exec(this.shown));
  }

  /** The server. */
  get pid(): number {
    return childrenOf(this.#script.pid)[0]!;
  }

  /** Closes the terminal, and waits until the server has ended. */
  async hangUp(): Promise<void> {
    const { pid } = this;
    this.#script.kill("SIGKILL");
    await until("the end of the server", () => !isAlive(pid));
    await this.#output;
    await this.#script.status;
  }

  /** Ends the server, and resolves to the lines of its log. */
  async end(): Promise<string[]> {
    Deno.kill(this.pid, "SIGTERM");
    await within("the end of the terminal's output", this.#output);
    await this.#script.status;
    return this.shown.trimEnd().split("\r\n").filter((line) => !line.startsWith("spawnd "));
  }
}
