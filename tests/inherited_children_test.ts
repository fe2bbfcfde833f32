/** An inherited listening socket is the server's alone: its children do not get it. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { activated, askAt, opening, overBoth, startWith, testInherited } from "./_inherited.ts";
import { freePort, makeFolder } from "./_service.ts";
import { ask, receiveAll, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";

/** A child that answers with those of its descriptors that are sockets. */
const SOCKETS = ["sh", "-c", "ls -l /proc/$$/fd | grep socket: || echo none"];

testInherited("no child gets a socket, whether it is listened on or not", async () => {
  const sockets = Array.from({ length: 12 }, () => "127.0.0.1:0");
  for (const options of [[], ["--stderr", "client"], ["--no-group"], ["--warm", "1"]]) {
    await using spawnd = await startWith(
      sockets,
      ...["--listen", "fd:12", ...options, "--", ...SOCKETS],
    );
    assertEquals(text(await ask(spawnd.port, "")), "none\n", options.join(" "));
  }
});

testInherited("a module cannot adopt the socket", async () => {
  await using folder = await makeFolder();
  const module = `${folder.path}/hostile.ts`;
  await Deno.writeTextFile(
    module,
    `import { createServer } from "node:net";
    for (let fd = 3; fd < 300; fd++) {
      const server = createServer().listen({ fd });
      const isAdopted = await new Promise((resolve) => {
        server.once("error", () => resolve(false));
        server.once("listening", () => resolve(true));
      });
      if (isAdopted) console.log("adopted", fd);
      server.close();
    }
    console.log("done");
    Deno.exit();`,
  );
  for (const warm of ["0", "1"]) {
    await overBoth(["--warm", warm, module], async (_, connect) => {
      using conn = await connect();
      assertEquals(text(await receiveAll(conn)), "done\n");
    });
  }
});

testInherited("the check of a handler does not get the socket either", async () => {
  await using folder = await makeFolder();
  // Whatever the server starts until it listens is a script of sh(1).
  const script = `#!/bin/sh
    ls -l /proc/$$/fd >>${folder.path}/fds
    exec /bin/sh "$@"`;
  await Deno.writeTextFile(`${folder.path}/sh`, script, { mode: 0o755 });
  const via = ["env", `PATH=${folder.path}:${Deno.env.get("PATH")}`, ...opening("127.0.0.1:0")];
  await using spawnd = Spawnd.startingVia(via, {}, ...["--listen", "fd:3", "--", "cat"]);
  await spawnd.listening();
  const descriptors = await Deno.readTextFile(`${folder.path}/fds`);
  assert(descriptors.includes("pipe:"));
  assert(!descriptors.includes("socket:"), descriptors);
});

testWith(
  "systemd-socket-activate",
  "systemd",
  "a child does not take the socket for its own",
  async () => {
    const port = freePort();
    const permissions = ["--allow-net", "--allow-run", "--allow-env=LISTEN_FDNAMES"];
    const script = 'echo "$$ $LISTEN_PID"; env | grep -E "^LISTEN_FD" | sort';
    await using spawnd = activated(
      ["-l", `127.0.0.1:${port}`, "--fdname=a"],
      permissions,
      ...["--listen", "fd:a", "--", "sh", "-c", script],
    );
    const [ids, ...variables] = text(await askAt({ port }, "")).split("\n");
    const [own, listening] = ids!.split(" ");
    assertEquals(listening, `${spawnd.pid}`);
    assertNotEquals(own, listening);
    assertEquals(variables, ["LISTEN_FDNAMES=", "LISTEN_FDS=", ""]);
  },
);
