/** `--once`: one client, and its handler's exit code. */

import { assertEquals } from "@std/assert";
import { childrenOf, isAlive } from "./_processes.ts";
import { ask, receive, send, text } from "./_sockets.ts";
import { serveScript, Spawnd } from "./_spawnd.ts";
import { untilSteady } from "./_waiting.ts";

for (
  const [script, code] of [["cat", 0], ["cat; exit 3", 3], ["read -r _; kill -9 $$", 137]] as const
) {
  Deno.test(`--once ends with ${code} when its child was: ${script}`, async () => {
    await using spawnd = await serveScript(script, "--once");
    await ask(spawnd.port, "hello\n");
    assertEquals((await spawnd.ended()).code, code);
    assertEquals(spawnd.records({ message: "stopped" })[0]!.ended, 1);
  });
}

Deno.test("with --once a second client is refused while the first is served", async () => {
  await using spawnd = await serveScript("cat", "--once", "--refusal", "taken\n");
  using first = await spawnd.connect();
  await send(first, "a");
  assertEquals(text(await receive(first, 1)), "a");
  assertEquals(text(await ask(spawnd.port, "b")), "taken\n");
  await send(first, "c");
  assertEquals(text(await receive(first, 1)), "c");
  first.close();
  assertEquals((await spawnd.ended()).code, 0);
});

Deno.test("with --once a client that may not connect is not the one", async () => {
  await using spawnd = await serveScript(
    "cat",
    ...["--once", "--rate-per-source", "1/600", "--allow", "127.0.0.1", "--handshake-timeout", "1"],
  );
  const { stdout } = await new Deno.Command("python3", {
    args: [
      "-c",
      `
import socket
s = socket.socket()
s.bind(("127.0.0.2", 0))
s.connect(("127.0.0.1", ${spawnd.port}))
print(s.recv(10))
`,
    ],
  }).output();
  assertEquals(text(stdout), "b''\n");
  assertEquals(text(await ask(spawnd.port, "hello")), "hello");
  assertEquals((await spawnd.ended()).code, 0);
});

Deno.test("with --once a child that cannot be started ends it with 1", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/handler`, "#!/bin/sh\ncat\n", { mode: 0o755 });
  await using spawnd = await Spawnd.start("--once", "--no-group", "--", `${folder}/handler`);
  await Deno.remove(folder, { recursive: true });
  await ask(spawnd.port, "hello");
  assertEquals((await spawnd.ended()).code, 1);
});

Deno.test("with --once one child is kept warm at most, after a reload too", async () => {
  await using spawnd = await Spawnd.start("--once");
  assertEquals((await spawnd.record({ message: "listening" })).warm, 1);
  spawnd.kill("SIGHUP");
  await spawnd.record({ message: "reloaded" });
  const alive = () => childrenOf(spawnd.pid).filter(isAlive).length;
  assertEquals(await untilSteady("its children", alive), 1);
});

Deno.test("SIGTERM ends --once before its client came", async () => {
  await using spawnd = await Spawnd.start("--once", "--", "cat");
  assertEquals((await spawnd.stop()).code, 1);
});
