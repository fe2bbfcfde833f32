/**
 * Programs that judge their client by the socket on their stdin, with the commands in
 * docs/programs.md: some work behind socat, which gives them a Unix socket, and one takes a pipe for
 * a local user.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { userInfo } from "node:os";
import { client, serve, withFolder } from "./_programs.ts";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";

testWith(
  "in.fingerd finger socat",
  "fingerd finger socat",
  "in.fingerd works behind socat",
  async () => {
    const { username, homedir } = userInfo();
    await using bare = await Spawnd.start("--stderr", "client", "--", "in.fingerd");
    assertMatch(text(await ask(bare.port, `${username}\r\n`)), /getpeername: .* non-socket/);

    await using spawnd = await serve("socat -t 30 - EXEC:in.fingerd");
    const answer = text(await ask(spawnd.port, `${username}\r\n`));
    assertMatch(answer, new RegExp(`^Login: ${username}\\s[^]*^Directory: ${homedir}\\s`, "m"));
  },
);

testWith(
  "nrpe /usr/lib/nagios/plugins/check_nrpe socat",
  "nagios-nrpe-server nagios-nrpe-plugin socat",
  "nrpe works behind socat",
  async () => {
    await withFolder(async (folder) => {
      await Deno.chmod(folder, 0o755);
      await Deno.writeTextFile(
        `${folder}/nrpe.cfg`,
        "allowed_hosts=127.0.0.1\ncommand[greet]=/bin/echo hello\n",
      );
      const options = Deno.uid() === 0 ? ["--uid", "65534", "--gid", "65534"] : []; // root is refused
      const check = (port: number) =>
        client("/usr/lib/nagios/plugins/check_nrpe", [
          ...["-H", "127.0.0.1", "-p", `${port}`, "-c", "greet"],
        ]);
      const command = ["-c", `${folder}/nrpe.cfg`, "--inetd"];
      await using bare = await Spawnd.start(...options, "--", "nrpe", ...command);
      assertEquals((await check(bare.port)).success, false);

      const replacements = { "/etc/nagios/nrpe.cfg": `${folder}/nrpe.cfg` };
      await using spawnd = await serve('socat -t 30 - EXEC:"nrpe', replacements, ...options);
      const { success, stdout } = await check(spawnd.port);
      assertEquals([success, stdout], [true, "hello\n"]);
    });
  },
);

testWith(
  "exim4 swaks",
  "exim4-daemon-light swaks",
  "exim4 relays for everybody, unless it is told its client's address",
  async () => {
    const mayRelay = async (spawnd: Spawnd, recipient: string) => {
      const { success, stdout } = await client("swaks", [
        ...["--server", "127.0.0.1", "--port", `${spawnd.port}`, "--local-interface", "127.0.0.2"],
        ...["--helo", "client.example.net", "--from", "sender@example.net", "--to", recipient],
        ...["--quit-after", "RCPT"], // so that nothing is delivered
      ]);
      assertMatch(stdout, success ? /^<- {2}250 Accepted$/m : /^<\*\* 550 relay not permitted$/m);
      return success;
    };
    await using bare = await serve("exim4 -bs");
    assertEquals(await mayRelay(bare, "victim@example.com"), true);

    await using spawnd = await serve("sh -c 'exec exim4 -bs -oMa");
    assertEquals(await mayRelay(spawnd, "victim@example.com"), false);
    assertEquals(await mayRelay(spawnd, "postmaster@localhost"), true);
  },
);
