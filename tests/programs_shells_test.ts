/**
 * Programs that run commands for their client, with the commands in docs/programs.md.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { runClient, serve, withFolder } from "./_programs.ts";
import { ask, receive, receiveAll, send, text } from "./_sockets.ts";
import { testWith } from "./_test_with.ts";

/** A home without a .bashrc, which could say or do anything. */
const NO_PROFILE = ["--env", "HOME=/nonexistent"];

testWith("bash", "bash", "bash -i prompts, answers, and reports its exit code", async () => {
  await using spawnd = await serve("bash -i", {}, "--stderr", "client", ...NO_PROFILE);
  const answer = text(await ask(spawnd.port, "echo $((6 * 7))\ntty\nexit 3\n"));
  assertMatch(answer, /[$#] echo/);
  assertMatch(answer, /^42$/m);
  assertMatch(answer, /^not a tty$/m);
  await spawnd.record({ message: "end", exit: 3 });
});

testWith("script bash", "bsdutils bash", "script gives bash a terminal", async () => {
  await using spawnd = await serve("script -qefc 'bash -i'", {}, ...NO_PROFILE);
  using conn = await spawnd.connect();
  await send(conn, "tty; exit 3\n");
  assertMatch(text(await receiveAll(conn)), /^\/dev\/pts\/\d+\r$/m);
  await conn.closeWrite();
  await spawnd.record({ message: "end", exit: 3 });
});

testWith("python3", "python3", "python3 -i answers before its client has ended", async () => {
  await using spawnd = await serve("python3 -q -i -u", {}, "--stderr", "null");
  using conn = await spawnd.connect();
  for (const [question, answer] of [["6 * 7", "42"], ["print('a' * 3)", "aaa"]] as const) {
    await send(conn, `${question}\n`);
    assertEquals(text(await receive(conn, answer.length + 1)), `${answer}\n`);
  }
  await send(conn, "raise SystemExit(4)\n");
  assertEquals(text(await receiveAll(conn)), "");
  await conn.closeWrite();
  await spawnd.record({ message: "end", exit: 4 });
});

testWith("gdb gdbserver", "gdb gdbserver", "gdb debugs a program through gdbserver", async () => {
  const program = "/bin/true";
  await using spawnd = await serve("gdbserver", { "/srv/program": program }, "--stderr", "null");
  const commands = [
    "set sysroot /", // the program's libraries are here
    `target remote 127.0.0.1:${spawnd.port}`,
    "info registers rip",
    "continue",
  ];
  const output = await runClient("gdb", [
    ...["-nx", "-batch", program],
    ...commands.flatMap((command) => ["-ex", command]),
  ]);
  assertMatch(output, /^rip +0x[0-9a-f]+/m);
  assertMatch(output, /exited normally/);
  await spawnd.record({ message: "end", exit: 0 });
});

/** Makes an SSH key pair in `folder`, and the client's options that go with it. */
async function makeKeys(folder: string): Promise<string[]> {
  for (const name of ["host", "client"]) {
    await runClient("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", `${folder}/${name}`]);
  }
  const options = ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"];
  return ["-F", "none", "-i", `${folder}/client`, ...options.flatMap((option) => ["-o", option])];
}

testWith(
  "/usr/sbin/sshd ssh scp ssh-keygen",
  "openssh-server openssh-client",
  "sshd -i runs a command and takes a file",
  async () => {
    await withFolder(async (folder) => {
      const options = await makeKeys(folder);
      await Deno.writeTextFile(
        `${folder}/sshd_config`,
        `HostKey ${folder}/host
AuthorizedKeysFile ${folder}/client.pub
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
`,
      );
      // As root, sshd insists on this folder, which its service would have made.
      if (Deno.uid() === 0) await Deno.mkdir("/run/sshd", { recursive: true, mode: 0o755 });
      await using spawnd = await serve(
        "/usr/sbin/sshd -i",
        {
          "/etc/ssh/sshd_config": `${folder}/sshd_config`,
        },
        "--stderr",
        "log",
      );
      const port = `${spawnd.port}`;
      const user = (await runClient("id", ["-un"])).trim();

      const command = "echo hello; test -t 0 && echo terminal";
      assertEquals(
        await runClient("ssh", [...options, "-tt", "-p", port, `${user}@127.0.0.1`, command]),
        "hello\r\nterminal\r\n",
      );
      const data = crypto.getRandomValues(new Uint8Array(60_000));
      await Deno.writeFile(`${folder}/data`, data);
      const target = `${user}@127.0.0.1:${folder}/copy`;
      await runClient("scp", ["-q", ...options, "-P", port, `${folder}/data`, target]);
      assertEquals(await Deno.readFile(`${folder}/copy`), data);
    });
  },
);
