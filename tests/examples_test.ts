/**
 * The examples, started with the commands in their README.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  ask,
  assertSameBytes,
  receive,
  receiveAll,
  send,
  Spawnd,
  testWith,
  text,
  until,
  untilSteady,
  within,
} from "./_spawnd.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const README = await Deno.readTextFile(`${ROOT}examples/README.md`);

/** The handlers that the README serves, in its order. */
const HANDLERS = [
  "examples/echo.ts",
  "examples/guess.ts",
  "examples/whoami.ts",
  "git daemon",
  "busybox httpd",
  "examples/challenge.sh",
] as const;

/** Joins commands that are broken into lines, in Markdown or in a comment. */
function joinLines(text: string): string {
  return text.replaceAll(/\\\n[ #*]*/g, "");
}

/** The README's commands that start a server, each on one line. */
const COMMANDS = [...joinLines(README).matchAll(/^ {4}(deno run .*main\.ts.*)$/gm)]
  .map((match) => match[1]!);

/** Starts a server with the README's command, after some replacements. */
async function start(
  handler: typeof HANDLERS[number],
  replacements: Record<string, string> = {},
): Promise<Spawnd> {
  let command = COMMANDS.find((command) => command.includes(handler))!;
  for (const [from, to] of Object.entries(replacements)) {
    assert(command.includes(from), `${from} is not in ${command}`);
    command = command.replaceAll(from, to);
  }
  const words = [...command.matchAll(/'([^']*)'|\S+/g)].map(([word, quoted]) => quoted ?? word);
  assertEquals(words.splice(0, 5), "deno run --allow-net --allow-run main.ts".split(" "));
  return await Spawnd.start(...words.map((word) => word.replace(/^examples\//, `${ROOT}$&`)));
}

/** The question and the answer that the README shows for this handler. */
function dialogue(handler: typeof HANDLERS[number]): { question: string; answer: string } {
  const section = README.split("\n## ").find((section) => section.includes(handler))!;
  const [, question, answer] = /^ {4}\$ echo '?(.*?)'? \| nc -N 127\.0\.0\.1 9527\n((?: {4}.*\n)*)/m
    .exec(section)!;
  return { question: `${question}\n`, answer: answer!.replaceAll(/^ {4}/gm, "") };
}

async function receiveLine(conn: Deno.Conn): Promise<string> {
  let line = "";
  while (!line.endsWith("\n")) line += text(await receive(conn, 1));
  return line.trimEnd();
}

/** How many bytes a process has read, from any descriptor (Linux: proc(5)). */
function bytesReadBy(pid: number): number {
  return Number(/^rchar: (\d+)$/m.exec(Deno.readTextFileSync(`/proc/${pid}/io`))![1]);
}

/** The process that serves a connection. */
async function childOf(conn: Deno.TcpConn, spawnd: Spawnd): Promise<number> {
  const client = `127.0.0.1:${conn.localAddr.port}`;
  return Number((await spawnd.record({ message: "open", client })).pid);
}

/** Sends `pieces`, each after the child has read the previous one. */
async function sendApart(conn: Deno.TcpConn, spawnd: Spawnd, pieces: string[]): Promise<void> {
  const pid = await childOf(conn, spawnd);
  await untilSteady("the child to have started", () => bytesReadBy(pid));
  for (const piece of pieces) {
    const before = bytesReadBy(pid);
    await send(conn, piece);
    await until("the child to read", () => bytesReadBy(pid) > before);
  }
}

Deno.test("the examples' README starts exactly what is tested here", () => {
  assertEquals(
    COMMANDS.map((command) => HANDLERS.filter((handler) => command.includes(handler))),
    HANDLERS.map((handler) => [handler]),
  );
});

Deno.test("every example is in the README, and its header has the same command", async () => {
  for await (const { name } of Deno.readDir(`${ROOT}examples`)) {
    if (name === "README.md") continue;
    assert(README.includes(`[${name}](${name})`), `the README has no link to ${name}`);
    const source = joinLines(await Deno.readTextFile(`${ROOT}examples/${name}`));
    const command = COMMANDS.find((command) => command.includes(`examples/${name}`));
    assert(command && source.includes(`     ${command}\n`), `${name} has another command`);
  }
});

Deno.test("echo.ts sends back what it gets, byte for byte", async () => {
  await using spawnd = await start("examples/echo.ts");
  const { question, answer } = dialogue("examples/echo.ts");
  assertEquals(text(await ask(spawnd.port, question)), answer);
  const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => index % 251);
  assertSameBytes(await ask(spawnd.port, bytes), bytes);
  const { exit, reason } = await spawnd.record({ message: "end", in: bytes.length });
  assertEquals([exit, reason], [0, "client-closed"]);
});

for (const handler of ["examples/echo.ts", "examples/whoami.ts"] as const) {
  Deno.test(`${handler} exits quietly when its client leaves midway`, async () => {
    await using spawnd = await start(handler);
    const conn = await spawnd.connect();
    const sending = send(conn, new Uint8Array(32 * 1024 * 1024)).catch(() => {}); // cut short
    await receive(conn, 1024);
    conn.close();
    await sending;
    const { exit, reason } = await spawnd.record({ message: "end" });
    assertEquals([exit, reason], [0, "client-reset"]);
    assertEquals(spawnd.lines, []);
  });
}

const GREETING = "I have a number from 1 to 100 in mind. Which one?";
const PLEASE = "Please say a whole number from 1 to 100.";
const NO_MORE = /^No more: it was (\d+)\. Tries: (\d+)\. Goodbye\.$/;

/** Plays guess.ts with `input`; returns its answers between greeting and goodbye. */
async function askGame(spawnd: Spawnd, input: string | Uint8Array) {
  const lines = text(await ask(spawnd.port, input)).split("\n");
  assertEquals([lines.shift(), lines.pop()], [GREETING, ""]);
  const [, number, tries] = NO_MORE.exec(lines.pop()!)!.map(Number);
  return { answers: lines, number: number!, tries: tries! };
}

for (const [name, end] of [["LF", "\n"], ["CRLF", "\r\n"]] as const) {
  Deno.test(`guess.ts is won by halving, with ${name} line ends`, async () => {
    await using spawnd = await start("examples/guess.ts");
    using conn = await spawnd.connect();
    assertEquals(await receiveLine(conn), GREETING); // before it is sent anything
    let [low, high, tries, answer] = [1, 100, 0, ""];
    while (!answer.startsWith("Yes")) {
      assert(low <= high, "no number is left");
      const guess = (low + high) >> 1;
      await send(conn, `${guess}${end}`);
      answer = await receiveLine(conn);
      tries++;
      if (answer === "Higher.") low = guess + 1;
      else if (answer === "Lower.") high = guess - 1;
      else assertEquals(answer, `Yes: it was ${guess}. Tries: ${tries}. Goodbye.`);
    }
    assertEquals(text(await receiveAll(conn)), ""); // though the client has not ended its input
    conn.close();
    const { exit, reason } = await spawnd.record({ message: "end" });
    assertEquals([exit, reason], [0, "child-closed"]);
  });
}

Deno.test("guess.ts picks a new number for every game, and reveals it at end of input", async () => {
  await using spawnd = await start("examples/guess.ts");
  const games = await Promise.all(Array.from({ length: 8 }, () => askGame(spawnd, "")));
  for (const { answers, number, tries } of games) {
    assertEquals([answers, tries], [[], 0]);
    assert(number >= 1 && number <= 100, `${number}`);
  }
  assert(new Set(games.map(({ number }) => number)).size > 1, "always the same number");
});

Deno.test("guess.ts asks again after an invalid guess, and does not count it", async () => {
  await using spawnd = await start("examples/guess.ts");
  const bad = ["", "abc", "0", "101", "-7", "3.5", "1 2", "Infinity", "NaN", "\0", "\u{1f600}"];
  const game = await askGame(spawnd, bad.map((line) => `${line}\n`).join(""));
  assertEquals([game.answers, game.tries], [bad.map(() => PLEASE), 0]);
  const binary = await askGame(spawnd, Uint8Array.of(0xff, 0xfe, 0xc0, 10));
  assertEquals([binary.answers, binary.tries], [[PLEASE], 0]);
});

Deno.test("guess.ts takes lines in pieces, several in one, and a last one without LF", async () => {
  await using spawnd = await start("examples/guess.ts");
  using conn = await spawnd.connect();
  assertEquals(await receiveLine(conn), GREETING);
  // Every line is out of range, but none of the pieces alone would be.
  await sendApart(conn, spawnd, ["1", "0", "1\r", "\n", "102\n10", "3\n10", "4"]);
  await conn.closeWrite();
  for (let line = 1; line <= 4; line++) assertEquals(await receiveLine(conn), PLEASE);
  assertMatch(await receiveLine(conn), NO_MORE);
});

Deno.test("guess.ts keeps little of an endless line, and plays on", async () => {
  await using spawnd = await start("examples/guess.ts");
  using conn = await spawnd.connect();
  assertEquals(await receiveLine(conn), GREETING);
  const pid = await childOf(conn, spawnd);
  const line = new Uint8Array(128 * 1024 * 1024).fill("1".charCodeAt(0));
  await within("it to be read", send(conn, line));
  await send(conn, "\n");
  assertEquals(await receiveLine(conn), PLEASE);
  const [, kB] = /^VmHWM:\s+(\d+) kB/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))!;
  assert(Number(kB) < 120_000, `it took up to ${kB} kB`);
  await conn.closeWrite();
  assertMatch(await receiveLine(conn), NO_MORE);
});

Deno.test("whoami.ts tells a client its address before any input, then echoes", async () => {
  await using spawnd = await start("examples/whoami.ts");
  using conn = await spawnd.connect();
  const greeting = `You are 127.0.0.1, port ${conn.localAddr.port}.`;
  assertEquals(await receiveLine(conn), greeting);
  await spawnd.record({ message: "open", start: "warm" });
  const header = "PROXY TCP4 192.0.2.1 198.51.100.7 54321 443\r\n"; // a second header is ordinary input
  await send(conn, header);
  await conn.closeWrite();
  assertEquals(text(await receiveAll(conn)), header);
  const { exit, reason } = await spawnd.record({ message: "end" });
  assertEquals([exit, reason], [0, "client-closed"]);

  const { question, answer } = dialogue("examples/whoami.ts");
  const port = /\d+(?=\.\n)/;
  assertEquals(text(await ask(spawnd.port, question)).replace(port, ""), answer.replace(port, ""));
});

Deno.test("whoami.ts names the client behind a proxy", async () => {
  const proxy = "--accept-proxy 127.0.0.1 --send-proxy 1";
  await using spawnd = await start("examples/whoami.ts", { "--send-proxy 1": proxy });
  const header = "PROXY TCP6 2001:db8::1 2001:db8::2 54321 443\r\n";
  assertEquals(
    text(await ask(spawnd.port, `${header}hello`)),
    "You are 2001:db8::1, port 54321.\nhello",
  );
});

/** Headers, and how whoami.ts greets their clients. */
const HEADERS = {
  "PROXY TCP4 192.0.2.1 198.51.100.7 54321 443\r\n": "You are 192.0.2.1, port 54321.\n",
  "PROXY TCP6 2001:db8::1 2001:db8::2 54321 443\r\n": "You are 2001:db8::1, port 54321.\n",
  "PROXY UNKNOWN\r\n": "I cannot tell who you are.\n",
  [`PROXY UNKNOWN${" ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".repeat(2)} 65535 65535\r\n`]:
    "I cannot tell who you are.\n", // the longest possible
};

Deno.test("whoami.ts reads a header in pieces, or together with what follows", async () => {
  for (const [header, greeting] of Object.entries(HEADERS)) {
    // Without --send-proxy the client can send any header itself.
    await using spawnd = await start("examples/whoami.ts", { "--send-proxy 1 ": "" });
    assertEquals(text(await ask(spawnd.port, `${header}\nhello\n`)), `${greeting}\nhello\n`);
    await spawnd.record({ message: "end", exit: 0 });
    using conn = await spawnd.connect();
    const pieces = [header.slice(0, 3), header.slice(3, -1), header.slice(-1), "hel", "lo"];
    await sendApart(conn, spawnd, pieces);
    await conn.closeWrite();
    assertEquals(text(await receiveAll(conn)), `${greeting}hello`);
  }
});

Deno.test("whoami.ts gives up on a bad header, and waits for no more than the longest", async () => {
  for (const junk of ["GET / HTTP/1.1\r\n", "PROXY TCP4 x\r\n", "PROXY ".padEnd(107, "x")]) {
    await using spawnd = await start("examples/whoami.ts", { "--send-proxy 1 ": "" });
    using conn = await spawnd.connect();
    await send(conn, junk);
    assertEquals(text(await receiveAll(conn)), ""); // though the client has not ended its input
    conn.close();
    await spawnd.record({ message: "end", exit: 1 });
    await until("its message", () => spawnd.lines.length > 0);
    assertEquals(spawnd.lines, [
      "whoami.ts got no PROXY header: start spawnd with --send-proxy 1",
    ]);
  }
});

Deno.test("an idle whoami.ts prints nothing when it is stopped", async () => {
  await using spawnd = await start("examples/whoami.ts");
  await until("warm children", async () => (await spawnd.status()).warm);
  assertEquals((await spawnd.stop()).code, 0);
  assertEquals(spawnd.lines, []);
});

/** Runs git, isolated from the configuration of the user and the machine. */
async function git(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("git", {
    args: ["-c", "user.name=Test", "-c", "user.email=test@example.org", ...args],
    env: { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" },
  }).output();
  assert(success, text(stderr));
  return text(stdout).trim();
}

testWith("git", "git", "git daemon serves a repository read-only", async () => {
  const base = await Deno.makeTempDir();
  const repository = `${base}/project.git`;
  assert(README.includes("git init --bare /srv/git/project.git\n"));
  await git("init", "--quiet", "--bare", repository);
  const work = `${base}/work`;
  await git("clone", "--quiet", repository, work);
  await Deno.writeTextFile(`${work}/file`, "hello\n");
  await git("-C", work, "add", "file");
  await git("-C", work, "commit", "--quiet", "--message", "first");
  await git("-C", work, "push", "--quiet", "origin", "HEAD");

  const replacements = { "--port 9418": "--port 0", "/srv/git": base };
  await using spawnd = await start("git daemon", replacements);
  const clone = `${base}/clone`;
  assert(README.includes("$ git clone git://127.0.0.1/project.git\n"));
  await git("clone", "--quiet", `git://127.0.0.1:${spawnd.port}/project.git`, clone);
  assertEquals(await Deno.readTextFile(`${clone}/file`), "hello\n");
  await spawnd.record({ message: "end", exit: 0 });
  const pushed = await git("-C", clone, "push", "--quiet", "origin", "HEAD:other").catch(String);
  assertMatch(pushed, /access denied|service not enabled/);
  await Deno.remove(base, { recursive: true });
});

testWith(
  "busybox",
  "busybox",
  "busybox httpd serves files over HTTP, one request per connection",
  async () => {
    const folder = await Deno.makeTempDir();
    const page = "<!doctype html><title>hello</title>\n".repeat(10_000);
    await Deno.writeTextFile(`${folder}/index.html`, page);
    await using spawnd = await start("busybox httpd", { "/srv/www": folder });
    const get = async (path: string) => {
      const response = await within("a response", fetch(`http://127.0.0.1:${spawnd.port}${path}`));
      const body = await within("its body", response.text());
      return { status: response.status, connection: response.headers.get("connection"), body };
    };
    for (const path of ["/", "/index.html"]) {
      assertEquals(await get(path), { status: 200, connection: "close", body: page });
    }
    assertEquals((await get("/missing")).status, 404);
    await until("three records", () => spawnd.records({ message: "end" }).length === 3);
    for (const { exit, reason } of spawnd.records({ message: "end" })) {
      assertEquals([exit, reason], [0, "child-closed"]);
    }
    await Deno.remove(folder, { recursive: true });
  },
);

/** Starts the challenge host. */
function startChallenge(replacements: Record<string, string> = {}): Promise<Spawnd> {
  return start("examples/challenge.sh", replacements);
}

/** Connects, and checks that the challenge answers. */
async function connectChallenge(spawnd: Spawnd): Promise<Deno.TcpConn> {
  const conn = await spawnd.connect();
  await send(conn, "6*7\n");
  assertEquals(await receiveLine(conn), "42");
  return conn;
}

testWith(
  "busybox",
  "busybox",
  "challenge.sh runs the program with limits and without the server's environment",
  async () => {
    await using spawnd = await startChallenge();
    const { question, answer } = dialogue("examples/challenge.sh");
    assertEquals(text(await ask(spawnd.port, question)), answer);
    using conn = await connectChallenge(spawnd);
    const pid = await childOf(conn, spawnd);
    const limits = await Deno.readTextFile(`/proc/${pid}/limits`);
    for (
      const [name, limit] of Object.entries({
        "cpu time": 2,
        "address space": 256 * 1024 * 1024,
        "file size": 1024 * 1024,
        "processes": 512,
        "open files": 32,
        "core file size": 0,
      })
    ) assertMatch(limits, new RegExp(`^Max ${name} +${limit} +${limit} `, "m"));
    const environment = await Deno.readTextFile(`/proc/${pid}/environ`);
    assertEquals(environment, `PATH=${Deno.env.get("PATH")}\0`);
  },
);

testWith(
  "busybox",
  "busybox",
  "a player's error messages reach that player only",
  async () => {
    await using spawnd = await startChallenge();
    assertMatch(text(await ask(spawnd.port, "1/0\n")), /zero/);
    await spawnd.record({ message: "end" });
    assertEquals(spawnd.lines, []);
  },
);

testWith(
  "busybox",
  "busybox",
  "a challenge that exceeds its CPU time is killed, while another goes on",
  async () => {
    await using spawnd = await startChallenge();
    using other = await connectChallenge(spawnd);
    using conn = await connectChallenge(spawnd);
    await send(conn, "while (1) {}\n");
    assertEquals(text(await receiveAll(conn)), "");
    conn.close();
    const { exit, reason, seconds } = await spawnd.record({ message: "end", id: 2 });
    assertEquals([exit, reason], ["SIGKILL", "child-closed"]);
    assert(Number(seconds) > 1.9, `after ${seconds} s`);
    await send(other, "6*7\n");
    assertEquals(await receiveLine(other), "42");
  },
);

testWith(
  "busybox",
  "busybox",
  "an idle player is disconnected after the session timeout",
  async () => {
    await using spawnd = await startChallenge({ "--session-timeout 300": "--session-timeout 1" });
    using conn = await connectChallenge(spawnd);
    assertEquals(text(await receiveAll(conn)), "");
    conn.close();
    const { reason, seconds } = await spawnd.record({ message: "end" });
    assertEquals(reason, "session-timeout");
    assert(Number(seconds) >= 1 && Number(seconds) < 10, `after ${seconds} s`);
  },
);

testWith(
  "busybox",
  "busybox",
  "a player's third connection is refused with the README's text",
  async () => {
    await using spawnd = await startChallenge();
    using _first = await connectChallenge(spawnd);
    using _second = await connectChallenge(spawnd);
    assertEquals(text(await ask(spawnd.port, "")), "Come back later. ");
    await spawnd.record({ message: "refused", id: 3, reason: "source-limit" });
  },
);
