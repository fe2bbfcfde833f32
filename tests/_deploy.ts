/**
 * The files in deploy/: what they say, and the settings that their options resolve to.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { parseCommandLine } from "../lib/cli/command_line.ts";
import { LINGER_MS } from "../lib/net/connection.ts";
import { resolveSettings, type Settings } from "../lib/server/settings.ts";

export const ROOT = new URL("../", import.meta.url).pathname;
export const read = (name: string) => Deno.readTextFile(`${ROOT}deploy/${name}`);
export const UNIT = await read("spawnd.service");
const DOCKERFILE = await read("Dockerfile");
export const README = await read("README.md");

/** The settings that these options resolve to. Throws where the program itself would exit. */
export function settingsOf(
  options: readonly string[],
): Settings & { statusPort: number | undefined } {
  const { server, status } = parseCommandLine(options);
  return { ...resolveSettings(server), statusPort: status?.port };
}

/** The command of a unit, with the variables of the last of these files that sets them. */
export function commandOf(...files: string[]): string[] {
  return commandsOf("ExecStart", ...files).at(-1)!;
}

/** The commands that a unit has for this, with the variables of the last file that sets them. */
export function commandsOf(key: "ExecStart" | "ExecReload", ...files: string[]): string[][] {
  const unit = files.join("\n").replaceAll("\\\n", " ");
  const variables = new Map(
    [...unit.matchAll(/^Environment="(SPAWND_\w+)=(.*)"$/gm)].map(([, name, value]) =>
      [name!, value!] as const
    ),
  );
  return valuesOf(unit, key).map((command) =>
    command.replace(/\$(SPAWND_\w+)/g, (_, name) => variables.get(name)!).split(/ +/)
  );
}

/** The options in a command: the words after main.ts. */
export function optionsIn(words: readonly string[]): readonly string[] {
  const at = words.findIndex((word) => /(^|\/)main\.ts$/.test(word));
  assert(at >= 0, words.join(" "));
  return words.slice(at + 1);
}

/** The longest that a shutdown can take: drain, stop ladder and linger. */
export function longestStopMs({ drainTimeoutMs, killTimeoutMs }: Settings): number {
  return drainTimeoutMs + 2 * killTimeoutMs + LINGER_MS;
}

/** The values of a key in a unit file. */
export function valuesOf(unit: string, key: string): string[] {
  const values = [...unit.matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].map((match) => match[1]!);
  assert(values.length > 0, `there is no ${key}=`);
  return values;
}

/** The Dockerfile's instructions, in order. */
export const INSTRUCTIONS = DOCKERFILE.replaceAll("\\\n", " ").split("\n")
  .filter((line) => /^[A-Z]/.test(line))
  .map((line) => /^([A-Z]+) +(.*)$/.exec(line)!.slice(1) as [name: string, rest: string]);

/** The arguments of the Dockerfile's only instruction of this name. */
export function instruction(name: string): string {
  const found = INSTRUCTIONS.filter((instruction) => instruction[0] === name);
  assertEquals(found.length, 1, name);
  return found[0]![1];
}

/** The commands, which are in exec form. */
export const CMD: string[] = JSON.parse(instruction("CMD"));
export const ENTRYPOINT: string[] = JSON.parse(instruction("ENTRYPOINT"));
export const HEALTHCHECK: string[] = JSON.parse(
  / CMD (\[.*\])$/.exec(instruction("HEALTHCHECK"))![1]!,
);
