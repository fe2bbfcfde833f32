/**
 * docs/completions: they are those of the option table, and complete what is typed in bash, zsh and
 * fish.
 */

import { assert, assertEquals } from "@std/assert";
import { isModule } from "../lib/child/handler.ts";
import { ALL_OPTIONS } from "../lib/cli/command_options.ts";
import { bash, ENDINGS, fish, zsh } from "../lib/cli/completions.ts";
import { text } from "./_sockets.ts";
import { testWith } from "./_test_with.ts";
import { within } from "./_waiting.ts";

const FOLDER = new URL("../docs/completions/", import.meta.url).pathname;

const OPTIONS = ALL_OPTIONS.map(([, option]) => option);

/** What is typed, and the words of the command line when it has been completed. */
const TYPED: Readonly<Record<string, readonly string[]>> = {
  "spawnd --max-c": ["--max-c"], // two options begin so
  "spawnd --max-conn": ["--max-connections"],
  "spawnd --log-level d": ["--log-level", "debug"],
  "spawnd --log-level=d": ["--log-level=debug"],
  "spawnd -p 70 --stop-signal SIGT": ["-p", "70", "--stop-signal", "SIGTERM"],
  "spawnd --grant impo": ["--grant", "import"],
  "spawnd ha": ["handler.ts"],
  "spawnd note": ["note"], // no module
  "spawnd --once no-": ["--once", "no-space"],
  "spawnd --cert note": ["--cert", "notes.txt"],
  "spawnd --cert=note": ["--cert=notes.txt"],
  "spawnd --key 'a f": ["--key", "a file.pem"],
  "spawnd --cert x:": ["--cert", "x:y.pem"],
  "spawnd --cert x:y": ["--cert", "x:y.pem"],
  "spawnd --cwd no": ["--cwd", "no-space"], // no file
  "spawnd --cwd=": ["--cwd=no-space"],
  "spawnd --port no": ["--port", "no"],
  "spawnd --user dae": ["--user", "daemon"],
  "spawnd --listen :9527 ha": ["--listen", ":9527", "handler.ts"],
  "spawnd --listen='[::1]:9527' ha": ["--listen=[::1]:9527", "handler.ts"],
  "spawnd --banner 'a b' ha": ["--banner", "a b", "handler.ts"],
  "spawnd handler.ts note": ["handler.ts", "notes.txt"],
  "spawnd handler.ts --log-l": ["handler.ts", "--log-l"], // an argument of the module
  "spawnd --once -- sets": ["--once", "--", "setsid"],
  "spawnd -- ./prog": ["--", "./program"],
  "spawnd -- setsid note": ["--", "setsid", "notes.txt"],
  "spawnd -- setsid --log-l": ["--", "setsid", "--log-l"],
};

/** A folder with files to complete, which is also the home of the shells. */
class Folder implements AsyncDisposable {
  private constructor(readonly path: string) {}

  static async make(): Promise<Folder> {
    const folder = new Folder(await Deno.makeTempDir());
    for (const name of ["handler.ts", "notes.txt", "a file.pem", "x:y.pem"]) {
      await Deno.writeTextFile(`${folder.path}/${name}`, "");
    }
    await Deno.writeTextFile(`${folder.path}/program`, "#!/bin/sh\n", { mode: 0o755 });
    await Deno.mkdir(`${folder.path}/no-space`);
    return folder;
  }

  /** Runs a program here, and resolves to what it prints. */
  async run(command: string, ...args: string[]): Promise<string> {
    const process = new Deno.Command(command, {
      args,
      cwd: this.path,
      clearEnv: true,
      env: { HOME: this.path, PATH: Deno.env.get("PATH")!, TERM: "dumb", LC_ALL: "C.UTF-8" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    try {
      const { success, stdout, stderr } = await within(command, process.output());
      assertEquals([success, text(stderr)], [true, ""]);
      return text(stdout);
    } catch (error) {
      try {
        process.kill("SIGKILL");
      } catch { /* it has exited */ }
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/**
 * Types lines with a tab and Enter at their ends into the shell $1 on a terminal, which prepares with
 * $2; prints what it shows, up to the line that is echoed after each.
 */
const TYPIST = `
zmodload zsh/zpty
zpty shell "$1"
zpty -w shell "$2; spawnd() { printf '<%s>' \\"\\$@\\"; echo; }; echo REA''DY"
zpty -r shell shown '*READY*'
for line in "\${@[3,-1]}"; do
  zpty -w -n shell "$line"$'\\t\\n'"echo EN''D"$'\\n'
  zpty -r shell shown '*END*'
  print -r -- "$shown"
  print -r -- "~~"
done
zpty -w shell exit
while zpty -r shell; do :; done >/dev/null # it may write a history until it has exited
`;

/**
 * What the lines in {@linkcode TYPED} are when an interactive shell has completed them. zsh takes the
 * slash after a folder away again, so it does not count.
 */
async function typed(shell: string, preparation: string): Promise<Record<string, string[]>> {
  await using folder = await Folder.make();
  const lines = Object.keys(TYPED);
  const shown = await folder.run("zsh", "-f", "-c", TYPIST, "zsh", shell, preparation, ...lines);
  return Object.fromEntries(
    shown.split("~~\n").slice(0, -1).map((part, index) => {
      const [, words = ""] = /((?:<[^<>]*>)+)\r/.exec(part) ?? [];
      return [lines[index]!, [...words.matchAll(/<([^>]*?)\/?>/g)].map(([, word]) => word!)];
    }),
  );
}

for (
  const [file, completion] of Object.entries({
    "spawnd.bash": bash,
    _spawnd: zsh,
    "spawnd.fish": fish,
  })
) {
  Deno.test(`docs/completions/${file} is what deno task docs writes`, async () => {
    assertEquals(await Deno.readTextFile(`${FOLDER}${file}`), completion());
  });
}

Deno.test("the endings that are completed are those of modules", () => {
  assertEquals(ENDINGS.filter((ending) => !isModule(`handler.${ending}`)), []);
});

testWith("bash zsh", "bash zsh", "what is typed in bash is completed", async () => {
  const preparation = `PS1=; bind 'set enable-bracketed-paste off'; source ${FOLDER}spawnd.bash`;
  assertEquals(await typed("bash --norc --noprofile -i", preparation), TYPED);
});

testWith("zsh", "zsh", "what is typed in zsh is completed", async () => {
  const preparation =
    `PROMPT=; unset zle_bracketed_paste; unsetopt prompt_sp; fpath=(${FOLDER} $fpath); ` +
    "autoload -U compinit; compinit -u -D";
  assertEquals(await typed("zsh -f -i", preparation), TYPED);
});

/** What completes a line, from a shell's own list. */
type Complete = (line: string) => Promise<string[]>;

/** Asserts that every option is offered, and the words of each that has some. */
async function assertAllOffered(complete: Complete): Promise<void> {
  const offered = await complete("spawnd --");
  assertEquals(OPTIONS.filter(({ name }) => !offered.includes(`--${name}`)), []);
  for (const { name, words } of OPTIONS) {
    if (words) assertEquals((await complete(`spawnd --${name} `)).sort(), [...words].sort());
  }
}

testWith("bash", "bash", "bash offers every option, and the words of each", async () => {
  await using folder = await Folder.make();
  await assertAllOffered(async (line) => {
    const script = `source ${FOLDER}spawnd.bash; COMP_LINE=$1 COMP_WORDS=("\${@:2}"); ` +
      'COMP_CWORD=$(($# - 2)); _spawnd; printf "%s\\n" "${COMPREPLY[@]}"';
    const shown = await folder.run("bash", "-c", script, "bash", line, ...line.split(" "));
    return shown.trim().split("\n");
  });
});

testWith(
  "fish",
  "fish",
  "fish offers every option with its help, and the words of each",
  async () => {
    await using folder = await Folder.make();
    const script = `source ${FOLDER}spawnd.fish; complete -C $argv[1]`;
    const complete = async (line: string) =>
      (await folder.run("fish", "--no-config", "-c", script, line)).split("\n").slice(0, -1);
    await assertAllOffered(async (line) =>
      (await complete(line)).map((row) => row.split("\t")[0]!)
    );
    const rows = await complete("spawnd --");
    assertEquals(OPTIONS.filter(({ name, help }) => !rows.includes(`--${name}\t${help}`)), []);
  },
);

testWith("fish", "fish", "what is typed in fish is completed", async () => {
  await using folder = await Folder.make();
  const script = `source ${FOLDER}spawnd.fish
    for line in $argv; complete -C $line | string split -f 1 \\t; echo "~~"; end`;
  const lines = Object.keys(TYPED);
  const shown = await folder.run("fish", "--no-config", "-c", script, ...lines);
  for (const [index, part] of shown.split("~~\n").slice(0, -1).entries()) {
    const [line, candidates] = [lines[index]!, part.split("\n").slice(0, -1)];
    const [word] = /(?:'[^']*|\S)*$/.exec(line)!;
    const expected = TYPED[line]!.at(-1)!;
    const isCompleted = expected !== word.replaceAll("'", "");
    const completed = candidates.map((candidate) => candidate.replaceAll(/'|\/$/g, ""));
    if (line.endsWith(":")) continue; // fish offers any file after a colon, too
    if (isCompleted) assertEquals(completed, [expected], line);
    else assert(completed.length !== 1, line);
  }
});

Deno.test("the completion of zsh has every option with its help", async () => {
  const completion = await Deno.readTextFile(`${FOLDER}_spawnd`);
  for (const { name, help } of OPTIONS) {
    const text = help.replaceAll("'", "'\\''");
    assert(completion.includes(`--${name}`) && completion.includes(`[${text}]`), name);
  }
});
