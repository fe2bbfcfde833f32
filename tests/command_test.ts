/**
 * The command line as a user sees it: output, exit codes, and errors for bad input.
 */

import { assert, assertEquals } from "@std/assert";
import config from "../deno.json" with { type: "json" };
import { usage } from "../lib/cli/usage.ts";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";

/** Runs a command line that is not expected to serve: its exit code, stdout, and lines of stderr. */
async function run(...args: string[]): Promise<[number, string, string[]]> {
  await using spawnd = Spawnd.run(...args);
  const { code } = await spawnd.ended();
  return [code, spawnd.stdout, spawnd.lines];
}

Deno.test("--help and --version print to stdout and exit 0", async () => {
  assertEquals(await run("--help"), [0, usage(), []]);
  assertEquals(await run("--version"), [0, `spawnd ${config.version}\n`, []]);
});

Deno.test("a bad command line exits 2 with two lines on stderr", async () => {
  assertEquals(await run("--prot", "1"), [2, "", [
    'spawnd: unknown option "--prot", did you mean --port?',
    "Try --help for all options.",
  ]]);
});

Deno.test("the only line on stdout has the actual address and port", async () => {
  await using spawnd = await Spawnd.start();
  assertEquals(spawnd.stdout, `spawnd listening on 127.0.0.1:${spawnd.port}\n`);
  assert(spawnd.port > 0);
  await ask(spawnd.port, "hello");
  await spawnd.stop();
  assertEquals(spawnd.stdout.split("\n").length, 2);
});

Deno.test("a port in use exits 1 with one line", async () => {
  await using spawnd = await Spawnd.start();
  const [code, stdout, lines] = await run("--host", "127.0.0.1", "--port", `${spawnd.port}`);
  assertEquals([code, stdout], [1, ""]);
  assertEquals(lines, [
    `spawnd: Cannot listen on 127.0.0.1:${spawnd.port}: the port is in use. ` +
    "Stop the program that listens there, or choose another port",
  ]);
});

Deno.test("an unknown or remote host exits 1 with one line", async () => {
  assertEquals(await run("--host", "host.invalid"), [1, "", [
    "spawnd: Cannot listen on host.invalid:9527: the host name cannot be resolved. Choose another host",
  ]]);
  assertEquals(await run("--host", "192.0.2.1"), [1, "", [
    "spawnd: Cannot listen on 192.0.2.1:9527: " +
    "this machine does not have that address. Choose another one",
  ]]);
});

testWith(
  "setpriv",
  "util-linux",
  "a low port without the privilege exits 1 with one line",
  async () => {
    const { code, stderr } = await new Deno.Command("setpriv", {
      // Root has to drop the privilege. Other users do not have it, and may not drop it.
      args: [
        ...(Deno.uid() === 0 ? ["--bounding-set=-net_bind_service"] : []),
        ...[Deno.execPath(), "run", "--allow-net", "--allow-run", "main.ts", "--port", "80"],
      ],
      cwd: new URL("../", import.meta.url),
    }).output();
    assertEquals([code, text(stderr)], [
      1,
      "spawnd: Cannot listen on 0.0.0.0:80: " +
      "the system does not allow this port. Choose port 1024 or higher, or give the server CAP_NET_BIND_SERVICE or a socket of systemd\n",
    ]);
  },
);

Deno.test("a missing program or module exits 1 with one line, warm or cold", async () => {
  for (const warm of ["0", "2"]) {
    assertEquals(await run("--port", "0", "--warm", warm, "--", "no-such-program"), [1, "", [
      'spawnd: Cannot start "no-such-program": there is no such program in PATH',
    ]]);
    assertEquals(await run("--port", "0", "--warm", warm, "/no/such.ts"), [1, "", [
      'spawnd: Cannot start "/no/such.ts": Module not found "file:///no/such.ts".',
    ]]);
  }
  assertEquals(await run("--port", "0", "--", "/etc/passwd"), [1, "", [
    'spawnd: Cannot start "/etc/passwd": its user may not execute it (chmod +x?)',
  ]]);
});

Deno.test("what cannot be run after -- is named, with the way out", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/handler.ts`, "");
  await Deno.writeTextFile(`${folder}/tool`, "#!/bin/sh\n");
  await Deno.chmod(`${folder}/tool`, 0o755);
  for (const [name, line] of [["lost", "#! /no/such -x"], ["windows", "#!/bin/sh\r"]] as const) {
    await Deno.writeTextFile(`${folder}/${name}`, `${line}\n`, { mode: 0o755 });
  }
  await Deno.symlink("nowhere", `${folder}/dangling`);
  const advice = ". To run a module with Deno, leave out the --";
  for (
    const [program, reason] of Object.entries({
      [folder]: "it is a folder",
      [`${folder}/handler.ts`]: `its user may not execute it${advice}`,
      [`${folder}/missing.ts`]: `there is no such file${advice}`,
      [`${folder}/dangling`]: "there is no such file",
      [`${folder}/lost`]: "its first line names /no/such, which is not there",
      [`${folder}/windows`]: "its lines end in CR LF, as on Windows",
      "handler.ts": `there is no such program in PATH${advice}`,
      "tool": "there is no such program in PATH. For the file in this folder, write ./tool",
      "": "-- takes a program",
    })
  ) {
    const [code, stdout, lines] = await run("--port", "0", "--cwd", folder, "--", program);
    if (program === "") assertEquals(code, 2);
    else {
      assertEquals([code, stdout, lines], [1, "", [
        `spawnd: Cannot start ${JSON.stringify(program)}: ${reason}`,
      ]]);
    }
  }
  for (
    const [cwd, reason] of [
      [`${folder}/none`, `there is no folder ${folder}/none, which --cwd names`],
      [`${folder}/tool`, `${folder}/tool, which --cwd names, is not a folder`],
    ]
  ) {
    for (const handler of [["--", "cat"], []]) {
      assertEquals(await run("--port", "0", "--cwd", cwd!, ...handler), [1, "", [
        `spawnd: Cannot start "${handler.at(-1) ?? "counter"}": ${reason}`,
      ]]);
    }
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a module with a syntax error exits 1 and says where", async () => {
  const module = await Deno.makeTempFile({ suffix: ".js" });
  await Deno.writeTextFile(module, "let = ;");
  const [code, stdout, lines] = await run("--port", "0", module);
  await Deno.remove(module);
  assertEquals([code, stdout, lines.length], [1, "", 1]);
  assert(
    /^spawnd: Cannot start .*: SyntaxError: .* at file:.*\.js:1:\d+$/.test(lines[0]!),
    lines[0],
  );
});

Deno.test("missing Deno permissions exit 1, all of them with the flag to add", async () => {
  const net = "spawnd: Deno does not allow listening on 0.0.0.0:9527: add --allow-net, " +
    "or 0.0.0.0:9527 to its list";
  const run = `spawnd: Deno does not allow running ${Deno.execPath()}: add --allow-run, ` +
    `or ${Deno.execPath()} to its list`;
  for (
    const [flags, lines] of [
      [[], [net, run]],
      [["--allow-net"], [run]],
      [["--allow-run", "--allow-net=127.0.0.1"], [net]],
    ] as const
  ) {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", ...flags, "main.ts"],
      cwd: new URL("../", import.meta.url),
    }).output();
    assertEquals([code, text(stdout), text(stderr)], [1, "", `${lines.join("\n")}\n`]);
  }
});

Deno.test("permission for one address and one program is enough", async () => {
  const cat = text(new Deno.Command("sh", { args: ["-c", "command -v cat"] }).outputSync().stdout)
    .trim();
  await using spawnd = await Spawnd.startWith(
    ["--allow-net=127.0.0.1", `--allow-run=${cat}`],
    "--",
    cat,
  );
  assertEquals(text(await ask(spawnd.port, "hello")), "hello");
});
