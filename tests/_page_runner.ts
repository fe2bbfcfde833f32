/**
 * Runs a page of the documentation from top to bottom, as a person would who has nothing but a
 * checkout: by a script of bash, in a copy of the checkout, in namespaces of its own (bubblewrap).
 * So the ports are those on the page, and nothing that it does outlives it. There is no network but
 * the loopback; Deno's cache is the one of this machine, and read only.
 *
 * @module
 */

import { assert } from "@std/assert";
import { type Block, blocksOf, type Command, commandsOf, isServer } from "./_pages.ts";
import { run } from "./_service.ts";
import { text } from "./_sockets.ts";
import { within } from "./_waiting.ts";

export const ROOT = new URL("../", import.meta.url).pathname;
const STEPS = new URL("_page.sh", import.meta.url);
/** Where the copy is in the sandbox. */
export const CHECKOUT = "/tmp/spawnd";

/** How a page is run. */
export interface PageOptions {
  /** Commands of bash that make what the page takes for granted. */
  prepare?: string;
  /** Changes a command, or returns `undefined` for one that is for another machine. */
  adapt?: (command: string) => string | undefined;
  /** The words of bwrap(1) that make the machine, up to the folder of the checkout. */
  machine?: (copy: string) => Promise<string[]> | string[];
}

/** Reads a page of the checkout. */
export async function readPage(page: string): Promise<string> {
  return await Deno.readTextFile(`${ROOT}${page}`);
}

/** Runs what is to be run of a page; a failure says at which line, and what came. */
export async function runPage(page: string, markdown: string, options: PageOptions = {}) {
  const copy = await Deno.makeTempDir();
  try {
    const list = "git ls-files -z --cached --others --exclude-standard";
    const copied = await run(["bash", "-c", `${list} | xargs -0 cp --parents -t "$0"`, copy], {
      cwd: ROOT,
    });
    assert(copied.code === 0, copied.stderr);
    await Deno.chmod(copy, 0o755); // for the users that a page names
    await Deno.writeTextFile(`${copy}/.steps.sh`, await Deno.readTextFile(STEPS));
    await Deno.writeTextFile(`${copy}/.page.sh`, script(page, markdown, options));
    const machine = await (options.machine ?? wholeMachine)(copy);
    const child = new Deno.Command("bwrap", {
      args: [
        ...machine,
        "--unshare-net",
        "--unshare-pid",
        "--die-with-parent",
        "/bin/bash",
        ".page.sh",
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const stdout = new Response(child.stdout).text();
    const stderr = new Response(child.stderr).text();
    try {
      const { code } = await within(`${page}`, child.status, 90_000);
      const came = await stdout;
      assert(
        code === 0 && came.endsWith("done\n"),
        came.split("\nstep ").at(-1)! + await stderr,
      );
    } catch (error) {
      try {
        child.kill("SIGKILL");
      } catch {
        throw error; // it has ended
      }
      throw new Error(`${error}\n${await stdout}${await stderr}`);
    }
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
}

/** This machine, with its own folders for what a page may write. */
function wholeMachine(copy: string): string[] {
  const passwd = Deno.readTextFileSync("/etc/passwd");
  Deno.writeTextFileSync(`${copy}/.passwd`, withEntry(passwd, "git:x:990:990::/srv/git:/bin/sh"));
  const group = Deno.readTextFileSync("/etc/group");
  Deno.writeTextFileSync(`${copy}/.group`, withEntry(group, "git:x:990:"));
  // deno-fmt-ignore
  return [
    ...ownFolders(copy), "--tmpfs", "/srv", "--tmpfs", "/run",
    "--ro-bind", `${copy}/.passwd`, "/etc/passwd", "--ro-bind", `${copy}/.group`, "/etc/group",
    "--ro-bind", Deno.execPath(), "/tmp/bin/deno",
    "--setenv", "PATH", `/tmp/bin:${Deno.env.get("PATH")}`,
  ];
}

/** Words of bwrap(1): this machine, read only, but for the checkout, a home, and Deno's cache. */
export function ownFolders(copy: string): string[] {
  // deno-fmt-ignore
  return [
    "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp",
    "--ro-bind", cacheFolder(), "/tmp/cache", "--setenv", "DENO_DIR", "/tmp/cache",
    "--setenv", "DENO_NO_UPDATE_CHECK", "1", "--setenv", "NO_COLOR", "1",
    "--dir", "/tmp/home", "--setenv", "HOME", "/tmp/home", "--setenv", "LC_ALL", "C.UTF-8",
    "--bind", copy, CHECKOUT, "--chdir", CHECKOUT,
  ];
}

/** Deno's cache on this machine. */
function cacheFolder(): string {
  const { stdout } = new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).outputSync();
  return JSON.parse(text(stdout)).denoDir;
}

/** A file of users or groups with one more entry, unless it has that name. */
function withEntry(file: string, entry: string): string {
  return file.startsWith("git:") || file.includes("\ngit:") ? file : `${file}${entry}\n`;
}

/** The script that runs a page. */
export function script(page: string, markdown: string, options: PageOptions = {}): string {
  const { prepare = "", adapt = (command) => command } = options;
  const steps = [". ./.steps.sh", prepare];
  const typed: string[] = [];
  for (const block of blocksOf(page, markdown)) {
    if (block.marker !== undefined) continue;
    const place = (line: number) => quote(`${page}:${line}`);
    if (block.kind === "file") {
      steps.push(`save ${place(block.line)} ${quote(block.name!)} ${quote(block.text)}`);
      if (/\.tsx?$/.test(block.name!)) typed.push(block.name!);
    } else if (block.kind === "typescript") {
      const name = `page_${block.line}.ts`;
      steps.push(`save ${place(block.line)} ${name} ${quote(block.text)}`);
      typed.push(name);
    } else if (block.kind === "commands" || block.kind === "transcript") {
      for (const command of commandsOf(block)) {
        const adapted = adapt(command.text);
        if (adapted !== undefined) {
          steps.push(step(place(command.line), { ...command, text: adapted }, block));
        }
      }
    }
  }
  const files = [...new Set(typed)].join(" ");
  if (files) {
    const check = adapt(`deno check --quiet ${files}`)!;
    steps.push(`command_ ${quote(page)} ${quote(check)}`);
  }
  return [...steps, "stop_servers", "echo done", ""].join("\n");
}

/** The call of a function in _page.sh for a command. */
function step(place: string, { text, output }: Command, block: Block): string {
  if (block.kind === "transcript") {
    return `transcript ${place} ${quote(text)} ${quote(patternOf(output.trimEnd()))}`;
  }
  if (!isServer(text)) return `command_ ${place} ${quote(text)}`;
  const alone = text.replace(/\s*&$/, "");
  return `server ${place} ${quote(alone)}${alone === text ? "" : " beside"}`;
}

/** A pattern of bash for an output in which a line that is only `…` stands for any lines. */
function patternOf(output: string): string {
  return output.split(/(?<=\n)/).map((line) =>
    line.trim() === "…" ? "*" : line.replaceAll(/[\\*?[\]()|!+@]/g, "\\$&")
  ).join("");
}

/** A word of bash for any text. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
