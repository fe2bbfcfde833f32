/** An inherited listening socket is the server's alone: its children do not get it. */

import { assert, assertEquals } from "@std/assert";
import { opening, startWith, testInherited } from "./_inherited.ts";
import { freePort, makeFolder } from "./_service.ts";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";

testInherited("no child gets the socket, nor hears of it", async () => {
  const script = 'ls -l /proc/$$/fd; env | grep LISTEN; echo "$1"';
  for (const options of [[], ["--stderr", "client"], ["--no-group"], ["--warm", "1"]]) {
    await using spawnd = await startWith(
      ["127.0.0.1:0", "127.0.0.1:0"], // the second one is nobody's
      ...["--listen", "fd:3", ...options, "--", "sh", "-c", script, "sh", "two words"],
    );
    const answer = text(await ask(spawnd.port, ""));
    const sockets = answer.split("\n").filter((line) => line.includes("socket:"));
    assertEquals([sockets, answer.includes("LISTEN")], [[], false], options.join(" "));
    assert(answer.endsWith("\ntwo words\n"), answer);
  }
});

testInherited("a module cannot adopt the socket", async () => {
  await using folder = await makeFolder();
  const module = `${folder.path}/hostile.ts`;
  await Deno.writeTextFile(
    module,
    `import { createServer, Socket } from "node:net";
    for (let fd = 3; fd < 10; fd++) {
      const server = createServer().listen({ fd });
      const answer = await new Promise((resolve) => {
        server.once("error", ({ code }) => resolve(code));
        server.once("listening", () => resolve(server.address()?.port ?? "unix"));
      });
      if (answer === Number(Deno.args[0])) console.log("adopted", fd);
      server.close();
    }
    console.log("done");
    Deno.exit();`,
  );
  const port = freePort();
  const listen = ["--listen", "fd:3", "--warm", "0", module, `${port}`];
  await using spawnd = await startWith([`127.0.0.1:${port}`], ...listen);
  assertEquals(text(await ask(spawnd.port, "")), "done\n");
});

testInherited("the check of a handler does not get the socket either", async () => {
  await using folder = await makeFolder();
  // What looks the program up is a script of sh(1).
  const script = `#!/bin/sh
    case $2 in *"there is no such program"*)
      ls -l /proc/$$/fd >${folder.path}/fds
      env >${folder.path}/env
    esac
    exec /bin/sh "$@"`;
  await Deno.writeTextFile(`${folder.path}/sh`, script, { mode: 0o755 });
  const via = ["env", `PATH=${folder.path}:${Deno.env.get("PATH")}`, ...opening("127.0.0.1:0")];
  const listen = ["--listen", "fd:3", "--", "cat"];
  await using spawnd = Spawnd.startingVia(via, {}, ...listen);
  await spawnd.listening();
  assert(!(await Deno.readTextFile(`${folder.path}/fds`)).includes("socket:"));
  assert(!(await Deno.readTextFile(`${folder.path}/env`)).includes("LISTEN"));
});
