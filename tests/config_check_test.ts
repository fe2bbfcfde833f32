/**
 * `--check`: it says what would be served, or everything that is in the way.
 */

import { assertEquals } from "@std/assert";
import { childrenOf, isAlive } from "./_processes.ts";
import { Spawnd } from "./_spawnd.ts";
import { testAsRoot } from "./_test_with.ts";
import { until } from "./_waiting.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** The exit code, stdout, and the lines on stderr of a check, with these permissions added. */
async function check(permissions: readonly string[], ...args: string[]) {
  const allowed = ["--allow-net", "--allow-run", ...permissions];
  await using spawnd = Spawnd.runWith(allowed, "--check", ...args);
  const { code } = await spawnd.ended();
  return { code, stdout: spawnd.stdout, lines: spawnd.lines };
}

/** Checks a configuration that stands in a folder of its own, with these permissions. */
async function checkText(
  text: string,
  permissions = (file: string): string[] => [`--allow-read=${file}`],
) {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/services.jsonc`;
  await Deno.writeTextFile(file, text);
  const { lines, ...result } = await check(permissions(file), "--config", file);
  await Deno.remove(folder, { recursive: true });
  return { ...result, lines: lines.map((line) => line.replaceAll(`${folder}/`, "")) };
}

Deno.test("--check says what a command line would serve", async () => {
  const args = "--port 7 --idle-timeout 60 --no-group --env A=1 --refusal".split(" ");
  const { code, stdout, lines } = await check([], ...args, "no\n", "--", "sh", "-c", "exit 0");
  assertEquals(
    stdout,
    `sh
  listen             0.0.0.0:7
  command            sh -c "exit 0"
  warm               0
  refusal            "no\\n"
  idle-timeout       60
  env                A=1
  no-group           true
`,
  );
  assertEquals([code, lines], [0, []]);
});

Deno.test("--check says what a file would serve, with the command line's settings", async () => {
  const config = `${ROOT}examples/services.jsonc`;
  const { code, stdout, lines } = await check(
    [`--allow-read=${config}`],
    ..."--max-children 50 --status 9528 --config".split(" "),
    config,
  );
  assertEquals(
    stdout,
    `spawnd
  status             127.0.0.1:9528
  max-children       50

counter
  listen             127.0.0.1:9527
  handler            the counter service
  warm               8
  max-per-source     10
  idle-timeout       300

echo
  listen             127.0.0.1:9007 [::1]:9007
  module             ${ROOT}examples/echo.ts
  warm               2
  max-per-source     10
  idle-timeout       300

upper
  listen             127.0.0.1:9008
  command            tr a-z A-Z
  warm               0
  max-per-source     10
  idle-timeout       20
`,
  );
  assertEquals([code, lines], [0, []]);
});

Deno.test("--check names the handlers of all services that cannot be started", async () => {
  const text = `{ "services": {
    "a": { "port": 1, "command": ["nosuchprogram"] },
    "b": { "port": 2, "command": ["./none"] },
    "c": { "port": 3, "module": "none.ts" },
    "d": { "port": 4, "command": ["true"], "cwd": "none" }
  } }`;
  const { code, stdout, lines } = await checkText(text);
  assertEquals([code, stdout], [2, ""]);
  assertEquals(lines.map((line) => line.replace(/(Module not found).*/, "$1")), [
    'spawnd: a: Cannot start "nosuchprogram": there is no such program in PATH',
    'spawnd: b: Cannot start "none": there is no such file',
    'spawnd: c: Cannot start "none.ts": Module not found',
    `spawnd: d: Cannot start "true": there is no folder none, which --cwd names`,
  ]);
});

testAsRoot("--check names users that do not exist", async () => {
  const { code, lines } = await check([], "--user", "nosuchuser", "--", "true");
  assertEquals([code, lines[0]], [2, 'spawnd: Cannot start "true": there is no user nosuchuser']);
});

Deno.test("--check names all missing permissions with their flags", async () => {
  const text = `{ "services": {
    "a": { "listen": ["unix:x.sock", "fd:web"] },
    "b": { "port": 1, "cert": "c.pem", "key": "k.pem" }
  } }`;
  const { code, lines } = await checkText(text);
  assertEquals([code, lines], [2, [
    "spawnd: a: Deno does not allow reading x.sock: add --allow-read=x.sock",
    "spawnd: a: Deno does not allow writing x.sock: add --allow-write=x.sock",
    "spawnd: a: Deno does not allow reading LISTEN_FDNAMES: add --allow-env=LISTEN_FDNAMES",
    "spawnd: b: Deno does not allow reading c.pem: add --allow-read=c.pem",
    "spawnd: b: Deno does not allow reading k.pem: add --allow-read=k.pem",
  ]]);
});

Deno.test("--check reads the files of TLS", async () => {
  const tls = { "cert": "none.pem", "key": "none.pem" };
  const { code, lines } = await checkText(
    JSON.stringify({ "services": { "a": { "port": 1, ...tls } } }),
    () => ["--allow-read"],
  );
  assertEquals(code, 2);
  assertEquals(
    lines[0],
    "spawnd: a: TLS: there is no file none.pem",
  );
});

Deno.test("--check listens on nothing, and takes a port that is in use", async () => {
  await using spawnd = await Spawnd.start();
  const { code } = await check([], "--host", "127.0.0.1", "--port", String(spawnd.port));
  assertEquals(code, 0);
});

Deno.test("--check does not take the sockets that systemd would pass", async () => {
  const text = '{ "services": { "a": { "listen": ["fd:web", "fd:3"] } } }';
  const { code, stdout } = await checkText(text, (file) => [
    `--allow-read=${file}`,
    "--allow-env=LISTEN_FDNAMES",
  ]);
  assertEquals([code, stdout.split("\n")[1]], [0, "  listen             fd:web fd:3"]);
});

Deno.test("--check names what is wrong with a file and with what it names at once", async () => {
  const { code, lines } = await checkText(
    `{ "services": {
      "a": { "listen": ":7001", "command": ["no-such-program"] },
      "b": { "listen": ":7002", "wram": 2 }
    } }`,
  );
  assertEquals([code, lines], [2, [
    "spawnd: services.jsonc:3: b: wram: there is no such key, did you mean warm?",
    'spawnd: a: Cannot start "no-such-program": there is no such program in PATH',
  ]]);
});

Deno.test("a signal ends --check, and the check that it is doing", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/hang.ts`, `import "./fifo.ts";`);
  await new Deno.Command("mkfifo", { args: [`${folder}/fifo.ts`] }).output();
  await using spawnd = Spawnd.run("--check", `${folder}/hang.ts`);
  const [child] = await until("its check", () => {
    const children = childrenOf(spawnd.pid);
    return children.length > 0 && children;
  });
  spawnd.kill("SIGTERM");
  assertEquals((await spawnd.ended()).code, 143);
  await until("the check to end", () => !isAlive(child!));
  await Deno.remove(folder, { recursive: true });
});
