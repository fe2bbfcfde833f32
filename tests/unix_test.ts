import { assert, assertEquals } from "@std/assert";
import { ask, receive, receiveAll, send, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";
import { until, within } from "./_waiting.ts";

const PERMISSIONS = ["--allow-net", "--allow-run", "--allow-read", "--allow-write"];

/** Runs `fn` with the path of a socket that does not exist yet. */
async function withPath(fn: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await fn(`${folder}/spawnd.sock`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Asks over a Unix socket. */
async function askAt(path: string, question: string): Promise<string> {
  using conn = await Deno.connect({ transport: "unix", path });
  await send(conn, question);
  await conn.closeWrite();
  return text(await receiveAll(conn));
}

function exists(path: string): Promise<boolean> {
  return Deno.lstat(path).then(() => true, () => false);
}

function serve(path: string, ...args: string[]): Promise<Spawnd> {
  return Spawnd.startWith(PERMISSIONS, "--unix", path, ...args);
}

/** The exit code and stderr of a server that is not expected to start. */
async function failToStart(path: string, permissions = PERMISSIONS): Promise<[number, string[]]> {
  await using spawnd = Spawnd.runWith(
    permissions,
    ...["--host", "127.0.0.1", "--port", "0", "--log-level", "error", "--unix", path, "--", "cat"],
  );
  return [(await spawnd.ended()).code, spawnd.lines];
}

Deno.test("a Unix socket is served beside TCP, and its file is removed at exit", async () => {
  await withPath(async (path) => {
    await using spawnd = await serve(path, "--", "sh", "-c", "env | grep ^PROTO=; cat");
    assertEquals(spawnd.stdout, `spawnd listening on 127.0.0.1:${spawnd.port} and unix:${path}\n`);
    assertEquals(await askAt(path, "hello"), "PROTO=UNIX\nhello");
    assertEquals(text(await ask(spawnd.port, "hello")), "PROTO=TCP\nhello");
    assertEquals((await spawnd.record({ message: "open" })).client, "unix");
    assertEquals((await spawnd.stop()).code, 0);
    assertEquals(await exists(path), false);
  });
});

Deno.test("a Unix client half-closes, waits and is refused like any other, but has no address", async () => {
  await withPath(async (path) => {
    await using spawnd = await serve(
      path,
      ...["--max-connections", "1", "--queue", "1", "--queue-timeout", "0.5", "--refusal", "full"],
      ...["--allow", "192.0.2.1", "--max-per-source", "1", "--accept-proxy", "0.0.0.0/0"],
      ...["--send-proxy", "1", "--", "cat"],
    );
    using first = await Deno.connect({ transport: "unix", path });
    assertEquals(text(await receive(first, 15)), "PROXY UNKNOWN\r\n");
    const began = performance.now();
    assertEquals(await askAt(path, "hello"), "full");
    assert(performance.now() - began > 400, "it did not wait");
    await first.closeWrite();
    assertEquals(text(await receiveAll(first)), "");
    first.close();
    await spawnd.record({ message: "end" });
    assertEquals(await askAt(path, "hello"), "PROXY UNKNOWN\r\nhello");
  });
});

testWith("python3", "python3", "a Unix client's own path is in the environment", async () => {
  const folder = await Deno.makeTempDir();
  await using _ = await serve(`${folder}/s`, "--", "sh", "-c", 'printf %s "$REMOTE_ADDR"; cat');
  const client = `
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[2].replace("@", chr(0)))
s.connect(sys.argv[1])
s.shutdown(socket.SHUT_WR)
print(s.recv(200).decode(), end="")`;
  for (const path of [`${folder}/c`, "@spawnd-test"]) {
    const { stdout, stderr } = await new Deno.Command("python3", {
      args: ["-c", client, `${folder}/s`, path],
    }).output();
    assertEquals(text(stdout), path, text(stderr));
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a socket file that a dead server left is replaced", async () => {
  await withPath(async (path) => {
    await using killed = await serve(path, "--", "cat");
    await killed.stop("SIGKILL");
    assertEquals(await exists(path), true);
    await using _spawnd = await serve(path, "--", "cat");
    assertEquals(await askAt(path, "hello"), "hello");
  });
});

Deno.test("a socket that is in use is left alone", async () => {
  await withPath(async (path) => {
    await using spawnd = await serve(path, "--", "cat");
    assertEquals(await failToStart(path), [1, [
      `spawnd: Cannot listen on unix:${path}: ` +
      "the path is in use. Stop the program that listens there, or choose another path",
    ]]);
    assertEquals(await askAt(path, "still"), "still");
    assertEquals((await spawnd.stop()).code, 0);
  });
});

Deno.test("a file that is not a socket is never replaced", async () => {
  await withPath(async (path) => {
    await Deno.writeTextFile(path, "precious");
    assertEquals(await failToStart(path), [1, [
      `spawnd: Cannot listen on unix:${path}: ` +
      "the path exists and is not a socket. Choose another path",
    ]]);
    assertEquals(await Deno.readTextFile(path), "precious");
  });
});

Deno.test("a server that finds its path in use is no client of the one that has it", async () => {
  await withPath(async (path) => {
    await using spawnd = await serve(path, "--", "cat");
    const [code, [line]] = await failToStart(path);
    assertEquals([code, /the path is in use/.test(line!)], [1, true]);
    assertEquals(await askAt(path, "hello"), "hello");
    await spawnd.record({ message: "end" });
    assertEquals((await spawnd.status()).accepted, 1);
  });
});

Deno.test("an unusable path is reported in one line", async () => {
  await withPath(async (path) => {
    const nowhere = `${path}/nowhere/x.sock`;
    const [code, [line, ...more]] = await failToStart(nowhere);
    assertEquals([code, more], [1, []]);
    assert(line!.startsWith(`spawnd: Cannot listen on unix:${nowhere}: `), line);
    assertEquals(await failToStart(path, ["--allow-net", "--allow-run"]), [1, [
      `spawnd: Deno does not allow reading ${path}: add --allow-read=${path}`,
      `spawnd: Deno does not allow writing ${path}: add --allow-write=${path}`,
    ]]);
    assertEquals(await failToStart(path, ["--allow-net", "--allow-run", "--allow-read"]), [1, [
      `spawnd: Deno does not allow writing ${path}: add --allow-write=${path}`,
    ]]);
  });
});

Deno.test("Unix clients still in the backlog at SIGTERM are served", async () => {
  await withPath(async (path) => {
    await using spawnd = await serve(path, "--", "cat");
    spawnd.kill("SIGSTOP");
    const asking = Array.from({ length: 20 }, (_, i) => askAt(path, `question ${i}`));
    await until("them to connect", () => {
      const table = Deno.readTextFileSync("/proc/net/unix");
      return table.split("\n").filter((line) => line.endsWith(path)).length > 20;
    });
    spawnd.kill("SIGTERM");
    spawnd.kill("SIGCONT");
    assertEquals(await Promise.all(asking), asking.map((_, i) => `question ${i}`));
    assertEquals((await spawnd.ended()).code, 0);
  });
});

Deno.test("a server removes only its own socket file", async () => {
  await withPath(async (path) => {
    await using first = await serve(path, "--", "echo", "first");
    await Deno.remove(path);
    await using second = await serve(path, "--", "echo", "second");
    assertEquals((await first.stop()).code, 0);
    assertEquals(await askAt(path, ""), "second\n");
    assertEquals((await second.stop()).code, 0);
    assertEquals(await exists(path), false);
  });
});

Deno.test("when TCP has taken the last place, a Unix client is held, not refused", async () => {
  await withPath(async (path) => {
    await using spawnd = await serve(
      path,
      ...["--max-connections", "1", "--queue", "1", "--queue-timeout", "60", "--", "cat"],
    );
    using first = await spawnd.connect();
    await spawnd.record({ message: "open", id: 1 });
    using second = await spawnd.connect();
    await spawnd.record({ message: "waiting", id: 2 });
    const answer = askAt(path, "held"); // its listener has been waiting for it since the start
    await spawnd.record({ message: /^full/ });
    assertEquals((await spawnd.status()).busy, undefined);
    first.close();
    second.close();
    assertEquals(await answer, "held");
    assertEquals(spawnd.records({ message: "refused" }), []);
  });
});

Deno.test("20,000 Unix clients leave no memory behind", async () => {
  await withPath(async (path) => {
    const small = "--v8-flags=--max-old-space-size=32"; // the server would stop with what they leave
    await using spawnd = await Spawnd.startWith(
      [small, ...PERMISSIONS],
      ...["--unix", path, "--max-connections", "1", "--queue", "0", "--log-level", "error"],
      ...["--", "cat"],
    );
    using served = await spawnd.connect();
    await send(served, "x");
    await receive(served, 1);
    let next = 0;
    const client = async () => {
      while (next++ < 20_000) assertEquals(await askAt(path, ""), "");
    };
    await within("20,000 clients", Promise.all(Array.from({ length: 8 }, client)), 60_000);
    await send(served, "y");
    assertEquals(text(await within("an answer", receive(served, 1))), "y");
  });
});
