/**
 * Real programs, started with the commands in docs/programs.md.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { ROOT } from "./_examples.ts";
import { text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { within } from "./_waiting.ts";

const DOCUMENT = await Deno.readTextFile(`${ROOT}docs/programs.md`);

/** The commands in the document's tables: the second cell of each row. */
const COMMANDS = [...DOCUMENT.matchAll(/^\| [^|]+ \| `([^`]+)` +\|/gm)].map((match) => match[1]!);

/** Starts a server with the document's only command that begins so, after some replacements. */
export async function serve(
  beginning: string,
  replacements: Record<string, string> = {},
  ...options: string[]
): Promise<Spawnd> {
  const commands = COMMANDS.filter((command) => `${command} `.startsWith(`${beginning} `));
  assertEquals(commands.length, 1, `${beginning}: ${commands.join(", ")}`);
  let command = commands[0]!;
  for (const [from, to] of Object.entries(replacements)) {
    assert(command.includes(from), `${from} is not in ${command}`);
    command = command.replaceAll(from, to);
  }
  return await Spawnd.start(...options, "--", ...split(command));
}

/** Splits a command into words as a shell does, with both kinds of quotes. */
function split(command: string): string[] {
  return [...command.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)]
    .map(([word]) => word.replaceAll(/'([^']*)'|"([^"]*)"/g, "$1$2"));
}

/** What a client wrote, and whether it was content. */
export interface Outcome {
  success: boolean;
  stdout: string;
  stderr: string;
}

/** Runs a client to its end, with nothing on its stdin. */
export async function client(
  command: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<Outcome> {
  const process = new Deno.Command(command, {
    args,
    env: { LC_ALL: "C", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  try {
    const { success, stdout, stderr } = await within(command, process.output());
    return { success, stdout: text(stdout), stderr: text(stderr) };
  } catch (error) {
    process.kill("SIGKILL");
    throw error;
  }
}

/** Runs a client that has to succeed, and resolves to what it wrote to stdout. */
export async function runClient(...[command, args, env]: Parameters<typeof client>) {
  const { success, stdout, stderr } = await client(command, args, env);
  assert(success, `${command} ${args.join(" ")}: ${stderr}${stdout}`);
  return stdout;
}

/** Calls `use` with a temporary folder, and removes that. */
export async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
