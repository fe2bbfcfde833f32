/**
 * Installs spawnd with the commands of docs/install.md, into a home folder of its own.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { freePort, makeFolder, run, serve } from "./_service.ts";
import { ask, text } from "./_sockets.ts";
import { readText } from "./_spawnd.ts";
import { until } from "./_waiting.ts";

export const ROOT = new URL("../", import.meta.url).pathname;
const PAGE = await Deno.readTextFile(`${ROOT}docs/install.md`);

/** Every command on the page. */
export const COMMANDS: readonly string[] = [...PAGE.matchAll(/^ {4}(.+)$/gm)]
  .map(([, command]) => command!);

/** The one command on the page that ends so. */
export function commandEnding(end: string): string {
  const [command, ...more] = COMMANDS.filter((command) => command.endsWith(end));
  assertEquals(more, []);
  return command!;
}

/** Nothing listens there, so every download over https fails. */
export const OFFLINE = { HTTPS_PROXY: "http://127.0.0.1:9" };

/** A home folder with an empty cache, except for the packages on this machine. */
export class Home implements AsyncDisposable {
  readonly #folder: AsyncDisposable & { path: string };
  /** The environment of its user. */
  readonly env: Record<string, string>;

  private constructor(folder: AsyncDisposable & { path: string }) {
    this.#folder = folder;
    const { path } = folder;
    this.env = {
      HOME: path,
      DENO_DIR: `${path}/cache`,
      NO_COLOR: "1",
      PATH: `${path}/.deno/bin:${new URL(".", `file://${Deno.execPath()}`).pathname}:${
        Deno.env.get("PATH")
      }`,
    };
  }

  static async make(): Promise<Home> {
    const home = new Home(await makeFolder());
    const { stdout } = await run([Deno.execPath(), "info", "--json"], { cwd: ROOT });
    await Deno.mkdir(`${home.path}/cache`);
    await Deno.symlink(JSON.parse(stdout).npmCache, `${home.path}/cache/npm`);
    return home;
  }

  get path(): string {
    return this.#folder.path;
  }

  /** Runs a command in the checkout, and requires that it succeeds. */
  async run(command: string): Promise<string> {
    const { code, stdout, stderr } = await run(["sh", "-ec", command], {
      cwd: ROOT,
      env: this.env,
      stdin: "null",
    });
    assertEquals(code, 0, `${command}\n${stdout}${stderr}`);
    return stdout + stderr;
  }

  /** Starts the counter service with these words, from another folder, and returns its log. */
  async serve(words: readonly string[], env: Record<string, string> = {}): Promise<string> {
    return await serve(["env", ...words], { ...this.env, ...env });
  }

  /** Starts `spawnd` with these words, and sends it a line. */
  async start(...words: string[]) {
    const port = freePort();
    const child = new Deno.Command("env", {
      args: ["spawnd", "--host", "127.0.0.1", "--port", `${port}`, ...words],
      cwd: this.path,
      env: this.env,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    let log = "";
    const reading = readText(child.stderr, (text) => log += text);
    let isOver = false;
    const status = Promise.all([child.status, reading]).then(([{ code }]) => {
      isOver = true;
      return code;
    });
    const answer = await until("a reply", async () => {
      assert(!isOver, log);
      return await ask(port, "hello\n").catch(() => null);
    });
    return {
      port,
      child,
      status,
      answer: text(answer),
      logged: (word: string) => log.includes(word),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }
}
