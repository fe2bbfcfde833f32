/** Which sockets the server inherits: socket activation (sd_listen_fds(3)). */

import { assert, assertEquals } from "@std/assert";
import { activated, askAt, connect, startingWith, testInherited } from "./_inherited.ts";
import { freePort, makeFolder } from "./_service.ts";
import { converse, text } from "./_sockets.ts";
import { testWith } from "./_test_with.ts";

const PERMISSIONS = ["--allow-net", "--allow-run"];

const NAMES = "--allow-env=LISTEN_FDNAMES";

/** Declares a test with systemd-socket-activate(1). */
function testActivated(name: string, fn: () => Promise<void>): void {
  testWith("systemd-socket-activate", "systemd", name, fn);
}

testActivated("a socket of systemd's is served, its first client too", async () => {
  const port = freePort();
  await using spawnd = activated(["-l", `127.0.0.1:${port}`], PERMISSIONS, "--listen", "fd:3");
  using conn = await connect({ port });
  await converse(conn);
  assertEquals(await spawnd.listening(), port);
  assertEquals((await spawnd.stop()).code, 0);
});

testActivated("a Unix socket of systemd's is served, and stays when the server ends", async () => {
  await using folder = await makeFolder();
  const path = `${folder.path}/s`;
  await using spawnd = activated(["-l", path], PERMISSIONS, "--listen", "fd:3", "--", "cat");
  assertEquals(text(await askAt({ transport: "unix", path }, "hello")), "hello");
  assertEquals(spawnd.stdout, "spawnd listening on fd:3\n");
  assertEquals((await spawnd.stop()).code, 0);
  assert((await Deno.lstat(path)).isSocket);
});

testActivated("sockets are found by their names, several by one", async () => {
  const ports = [freePort(), freePort(), freePort()];
  await using spawnd = activated(
    [...ports.flatMap((port) => ["-l", `127.0.0.1:${port}`]), "--fdname=a:b:a"],
    [...PERMISSIONS, NAMES],
    ...["--listen", "fd:a", "--", "cat"],
  );
  assertEquals(text(await askAt({ port: ports[2]! }, "third")), "third");
  assertEquals(text(await askAt({ port: ports[0]! }, "first")), "first");
  const [a, , c] = ports;
  assertEquals(spawnd.stdout, `spawnd listening on 127.0.0.1:${a} and 127.0.0.1:${c}\n`);
});

testActivated("a name that no socket has, or may not be looked up, is reported", async () => {
  for (
    const [permissions, reason] of [
      [
        [...PERMISSIONS, NAMES],
        "Cannot listen on fd:c: no socket has that name. There is a, b",
      ],
      [PERMISSIONS, `Deno does not allow reading LISTEN_FDNAMES: add ${NAMES}`],
    ] as const
  ) {
    const port = freePort();
    const sockets = ["-l", `127.0.0.1:${port}`, "-l", `127.0.0.1:${freePort()}`, "--fdname=a:b"];
    await using spawnd = activated(sockets, permissions, "--listen", "fd:c", "--", "cat");
    using _ = await connect({ port });
    assertEquals((await spawnd.ended()).code, 1);
    assertEquals(spawnd.lines.at(-1), `spawnd: ${reason}`);
  }
});

testInherited(
  "a descriptor that is no listening socket, or was not passed, is reported",
  async () => {
    for (const kind of ["udp", "file", "datagram", "connected", undefined]) {
      await using spawnd = startingWith(kind ? [kind] : [], "--listen", "fd:3", "--", "cat");
      assertEquals((await spawnd.ended()).code, 1);
      assertEquals(spawnd.lines, [
        "spawnd: Cannot listen on fd:3: no listening TCP or Unix socket with this number was passed " +
        "to the server. Start it by systemd's socket activation, or whatever else passes sockets as " +
        "3, 4 and so on",
      ]);
    }
  },
);

testActivated("a socket is listened on once, by its number or its name", async () => {
  const port = freePort();
  const sockets = ["-l", `127.0.0.1:${port}`, "--fdname=a"];
  const listen = ["--listen", "fd:3", "--listen", "fd:a"];
  await using spawnd = activated(sockets, [...PERMISSIONS, NAMES], ...listen, "--", "cat");
  using _ = await connect({ port });
  assertEquals((await spawnd.ended()).code, 1);
  assertEquals(
    spawnd.lines.at(-1),
    "spawnd: Cannot listen on fd:3: the descriptor is in use already. Give every address once",
  );
});

testInherited("stdin, stdout and stderr are not listened on", async () => {
  await using spawnd = startingWith(["127.0.0.1:0"], "--listen", "fd:0", "--", "cat");
  assertEquals((await spawnd.ended()).code, 1);
  assertEquals(spawnd.lines, [
    "spawnd: Cannot listen on fd:0: 0, 1 and 2 are stdin, stdout and stderr",
  ]);
});
