/**
 * docs/migrating.md and the ten services: spawnd accepts every command and configuration in them, and
 * the tables have every option of the programs that are installed here.
 */

import { assert, assertEquals } from "@std/assert";
import { parseCommandLine } from "../lib/cli/command_line.ts";
import { usage } from "../lib/cli/usage.ts";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";
import { within } from "./_waiting.ts";

const ROOT = new URL("../", import.meta.url);
const MIGRATING = await Deno.readTextFile(new URL("docs/migrating.md", ROOT));
const PROGRAMS = await Deno.readTextFile(new URL("docs/programs.md", ROOT));
const EXAMPLES = await Deno.readTextFile(new URL("examples/README.md", ROOT));
const TEN_SERVICES = new URL("docs/ten_services.jsonc", ROOT);

/** `readConfiguration` of the command, or nothing where that takes no configuration file. */
async function configurationReader(): Promise<
  ((path: string) => Promise<{ services: ReadonlyMap<string, unknown> }>) | undefined
> {
  const module = new URL("lib/cli/config_file.ts", ROOT).href;
  return await import(module).then((file) => file.readConfiguration, () => undefined);
}
const readConfiguration = await configurationReader();

/** A row of a table: the cells before the column of spawnd, and the others. */
type Row = readonly [theirs: string[], ours: string[]];

/** The rows of all tables in `markdown`. */
function rowsIn(markdown: string): Row[] {
  return [...markdown.matchAll(/^\| (.*) \|\n\| -.*\n((?:\|.*\n)*)/gm)].flatMap(
    ([, header, rows]) => {
      const split = (row: string) => row.split("|").map((cell) => cell.trim());
      const at = Math.max(split(header!).findIndex((title) => title.startsWith("spawnd")), 0);
      return [...rows!.matchAll(/^\|(.*)\|$/gm)].map(([, row]) => {
        const cells = split(row!);
        return [cells.slice(0, at), cells.slice(at)] as const;
      });
    },
  );
}

/** What is set as code in `texts`. */
function codeIn(...texts: string[]): string[] {
  return texts.flatMap((text) => [...text.matchAll(/`([^`\n]+)`/g)].map((match) => match[1]!));
}

/** The options of another program: what its section's tables have as code. */
function optionsOf(section: string): string[] {
  const [, body] = new RegExp(`\n## ${section}\n(.*?)(?=\n## |$)`, "s").exec(MIGRATING)!;
  return rowsIn(body!).flatMap(([theirs]) => codeIn(...theirs));
}

/** Splits a command into words as bash does, with $'' for line breaks. */
function split(command: string): string[] {
  return [...command.matchAll(/(?:\$?'[^']*'|[^\s'])+/g)].map(([word]) =>
    word.replaceAll(
      /\$'([^']*)'|'([^']*)'/g,
      (_, escaped, plain) => escaped?.replaceAll("\\r", "\r").replaceAll("\\n", "\n") ?? plain,
    )
  );
}

Deno.test({
  name: "docs/migrating.md and docs/programs.md name only options that there are",
  ignore: readConfiguration === undefined,
  fn() {
    const known = [...usage().matchAll(/^ {2}(?:-\w, )?--([\w-]+)/gm)].map((match) => match[1]!);
    const denos = ["allow-env", "allow-read", "allow-write"];
    const ours = rowsIn(MIGRATING).flatMap(([, ours]) => ours);
    const prose = [MIGRATING, PROGRAMS].map((document) => document.replaceAll(/^\|.*$/gm, ""));
    const named = codeIn(...prose, ...ours).flatMap((code) => /^--([\w-]+)/.exec(code)?.[1] ?? []);
    assert(named.length > 200, `${named.length}`);
    assertEquals(named.filter((name) => ![...known, ...denos].includes(name)), []);
  },
});

Deno.test({
  name: "spawnd accepts every command line in docs/migrating.md",
  ignore: readConfiguration === undefined,
  fn() {
    const commands = [...MIGRATING.matchAll(/^ {4}deno run .*?main\.ts (.*)$/gm)]
      .map((match) => split(match[1]!));
    assert(commands.length >= 9, `${commands.length}`);
    for (const command of commands) parseCommandLine(command);
  },
});

Deno.test("the links in docs/migrating.md lead somewhere", async () => {
  const headings = [...MIGRATING.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    "#" + heading!.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-")
  );
  const links = [...MIGRATING.matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1]!);
  for (const link of links) {
    if (link.startsWith("#")) assert(headings.includes(link), link);
    else await Deno.stat(new URL(link.replace(/#.*/, ""), new URL("docs/", ROOT)));
  }
});

Deno.test({
  name: "every configuration in docs/migrating.md is valid",
  ignore: readConfiguration === undefined,
  async fn() {
    const blocks = [...MIGRATING.matchAll(/```jsonc\n(.*?)```/gs)].map((match) => match[1]!);
    assertEquals(blocks.length, 2);
    for (const block of blocks) {
      const path = await Deno.makeTempFile({ suffix: ".jsonc" });
      await Deno.writeTextFile(path, block);
      await readConfiguration!(path);
      await Deno.remove(path);
    }
  },
});

Deno.test({
  name: "the ten services are a valid configuration, with commands that are documented",
  ignore: readConfiguration === undefined,
  async fn() {
    const { services } = await readConfiguration!(TEN_SERVICES.pathname);
    assertEquals(services.size, 10);
    // Which quotes a command needs differs between a shell and JSON.
    const plain = (command: string) => command.replaceAll(/\\?["']/g, "");
    const documented = [
      ...rowsIn(PROGRAMS).flatMap(([, cells]) => codeIn(cells[1]!)),
      ...[...EXAMPLES.matchAll(/^ {4}deno run .* -- (.*)$/gm)].map((match) => match[1]!),
    ].map(plain);
    const source = await Deno.readTextFile(TEN_SERVICES);
    const commands = [...source.matchAll(/"command": \[(.*?)\]\n/gs)].map(([, words]) =>
      plain([...words!.matchAll(/"((?:\\.|[^"])*)"/g)].map((match) => match[1]!).join(" "))
    );
    assertEquals(commands.length, 10);
    assertEquals(commands.filter((command) => !documented.includes(command)), []);
  },
});

Deno.test("echo, discard, daytime and time answer as inetd's own services do", async () => {
  const exchange = async (name: string, question: string) => {
    const [, cells] = rowsIn(MIGRATING).find(([, [what]]) => what!.startsWith(`${name} (`))!;
    await using spawnd = await Spawnd.start("--", ...split(codeIn(cells[1]!)[0]!));
    return await ask(spawnd.port, question);
  };
  assertEquals(text(await exchange("echo", "hello\n")), "hello\n");
  assertEquals(text(await exchange("discard", "hello\n")), "");
  assert(text(await exchange("daytime", "")).includes(String(new Date().getFullYear())));
  const answer = await exchange("time", "");
  assertEquals(answer.length, 4);
  // Seconds since 1900, 70 years of which 17 had a leap day (RFC 868).
  const seconds = new DataView(answer.buffer, answer.byteOffset).getUint32(0) -
    (70 * 365 + 17) * 24 * 3600;
  assert(Math.abs(seconds - Date.now() / 1000) < 60, `${seconds}`);
});

/** What a program writes when it is asked for its options. */
async function output(command: string, ...args: string[]): Promise<string> {
  const process = new Deno.Command(command, { args, stdin: "null" }).output();
  const { stdout, stderr } = await within(command, process);
  return text(stdout) + text(stderr);
}

/** The options in the usage line of a program that takes single letters. */
function lettersIn(line: string): string[] {
  const [, switches] = /\[ ?-([\w]+) ?\]/.exec(line)!;
  const others = [...line.matchAll(/\[ ?-(\w) (?=\w)|\|-(\w) /g)].map((match) =>
    match[1] ?? match[2]!
  );
  return [...switches!, ...others].map((letter) => `-${letter}`).sort();
}

for (const [program, debianPackage] of [["tcpserver", "ucspi-tcp"], ["tcpsvd", "ipsvd"]] as const) {
  testWith(program, debianPackage, `the table of ${program} has its options`, async () => {
    const letters = lettersIn(/usage: .*/.exec(await output(program, "-?"))![0]);
    assert(letters.length > 10, `${letters}`);
    const table = optionsOf(program).flatMap((option) => /^-\w(?=$| )/.exec(option)?.[0] ?? []);
    assertEquals(table.sort(), letters);
  });
}

testWith("ncat", "ncat", "the table of ncat has its options", async () => {
  const lines = (await output("ncat", "--help")).matchAll(/^ +(-\w)?(?:, | +)?(--[\w-]+)?/gm);
  const options = [...lines].flatMap(([, short, long]) => [short, long].filter(Boolean)).sort();
  assert(options.length > 60, `${options.length}`);
  const table = optionsOf("ncat").filter((option) => option.startsWith("-"));
  assertEquals(table.sort(), options);
});

testWith("websocketd", "websocketd", "the table of websocketd has its options", async () => {
  const options = [...(await output("websocketd", "--help")).matchAll(/^ {2}(-\w[\w-]*)/gm)]
    .map(([, option]) => option!);
  assert(options.length > 20, `${options.length}`);
  assertEquals(optionsOf("websocketd").sort(), options.sort());
});

testWith(
  "socat",
  "socat",
  "the tables of socat have its options for serving a program",
  async () => {
    const help = await output("socat", "-hhh");
    const table = optionsOf("socat");
    const options = [...help.matchAll(/^ {6}(-l\w|-h+|-\w)/gm)].map((match) => match[1]!);
    assert(options.length > 25, `${options.length}`);
    assertEquals(options.filter((option) => !table.includes(option)), []);

    const names = new Map<string, string[]>(); // each option's, with its aliases
    for (const [, alias, name] of help.matchAll(/^ +(\S+) is an alias for (\S+)$/gm)) {
      names.set(name!, [...names.get(name!) ?? [], alias!]);
    }
    const groups = "APPL|CHILD|EXEC|FORK|LISTEN|OPENSSL|PARENT|PROCESS|RANGE|RETRY";
    const served = [...help.matchAll(new RegExp(`^ +(\\S+)\tgroups=(?:${groups})\t`, "gm"))];
    assert(served.length > 50, `${served.length}`);
    const missing = served.map(([, name]) => [name!, ...names.get(name!) ?? []])
      .filter((all) => !all.some((name) => table.includes(name)));
    assertEquals(missing, []);
  },
);

const SYSTEMD = "/lib/systemd/systemd";
testWith(SYSTEMD, "systemd", "the table of systemd has the settings of a socket unit", async () => {
  const settingsOf = (section: string, items: string) =>
    [...new RegExp(`^\\[${section}\\]\n((?:.+\n)*)`, "m").exec(items)![1]!.matchAll(/^\w+=/gm)]
      .map(([name]) => name);
  const items = await output(SYSTEMD, "--dump-configuration-items");
  const shared = settingsOf("Service", items);
  const settings = settingsOf("Socket", items).filter((name) => !shared.includes(name));
  assert(settings.length > 50, `${settings.length}`);
  const table = optionsOf("systemd").map((option) => option.replace(/=.*/, "="));
  assertEquals(settings.filter((name) => !table.includes(name)), []);
});
