/**
 * The soak test of several services: one process with five of them under mixed load, and a reload
 * every second that adds, changes, renames and removes others, or has an error in it. At the end
 * nothing may have been lost, leaked or grown, and the numbers of each service must add up.
 *
 *     deno task soak:services 300      # seconds; 120 by default
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { showProgress } from "../bench/progress.ts";
import { Random } from "../bench/random.ts";
import { readArguments } from "./_arguments.ts";
import { pause } from "./_load.ts";
import { childrenOf, descriptorsOf, memoryOf } from "./_processes.ts";
import { freePort, makeFolder, run } from "./_service.ts";
import { ConfiguredSpawnd, type ServicesText } from "./_services.ts";
import { ask, connectToReset, receive, receiveAll, send, text } from "./_sockets.ts";
import { assertAddsUp } from "./_spawnd.ts";
import { until, untilSteady } from "./_waiting.ts";

const USAGE = `deno task soak:services [SECONDS]

Puts five services of one process under load for SECONDS (120), with a reload
every second. From 120 on, its memory must not grow.`;
const CLIENTS = 2; // of each service at once
const MB = 1024 * 1024;
const MEMORY_SECONDS = 120;
const SHOUT = `
const buffer = new Uint8Array(4096);
for (let n; (n = await Deno.stdin.read(buffer)) !== null;) {
  await Deno.stdout.write(new TextEncoder().encode(
    new TextDecoder().decode(buffer.subarray(0, n)).toUpperCase(),
  ));
}`;

const random = new Random(Date.now());

/** What a client of each service does; it rejects unless everything goes as it should. */
type Clients = Readonly<Record<string, () => Promise<void>>>;

/** Sends a message and half-closes, or resets once in a while; `answer` is what has to come. */
async function converse(port: number, message: string, answer: RegExp | string): Promise<void> {
  if (random.integer(0, 9) === 0) return await (await connectToReset(port, message))();
  const got = text(await ask(port, message));
  if (typeof answer === "string") assertEquals(got, answer);
  else assertMatch(got, answer);
}

function clientsOf(ports: Readonly<Record<string, number>>, socket: string): Clients {
  const words = () => "word ".repeat(random.integer(1, 2000));
  return {
    counter: () => converse(ports.counter!, "hello", /^This is server send message:0\0/),
    async shout() {
      const message = words().slice(0, 4000);
      await converse(ports.shout!, message, message.toUpperCase());
    },
    async git() {
      const { code, stdout, stderr } = await run([
        ...["git", "ls-remote", `git://127.0.0.1:${ports.git}/repository`],
      ]);
      assertEquals([code, stderr], [0, ""]);
      assertMatch(stdout, /refs\/heads\/main/);
    },
    async httpd() {
      const request = "GET /index.html HTTP/1.0\r\n\r\n";
      await converse(ports.httpd!, request, /^HTTP\/1\.\d 200 OK\r\n[^]*the page$/);
    },
    async socket() {
      using conn = await Deno.connect({ transport: "unix", path: socket });
      for (let i = 0; i < 3; i++) {
        await send(conn, "hello");
        assertEquals(text(await receive(conn, 5)), "hello");
        await pause(random.integer(0, 50));
      }
      await conn.closeWrite();
      assertEquals((await receiveAll(conn)).length, 0);
    },
    changing: () => converse(ports.changing!, "hello", /^hello$/i),
  };
}

/** The services, changed for the reload with this number. */
function servicesAt(
  reload: number,
  ports: Readonly<Record<string, number>>,
  folder: string,
): ServicesText {
  const listen = (name: string) => ({ listen: [`127.0.0.1:${ports[name]}`] });
  const limit = { "max-connections": 20 + reload % 5, "queue-timeout": 600 };
  const changing = {
    ...listen("changing"),
    command: reload % 2 === 0 ? ["cat"] : ["tr", "a-z", "A-Z"],
    warm: reload % 3,
  };
  return {
    counter: { ...listen("counter"), ...limit, "warm": 1 + reload % 2, "stderr": "null" },
    shout: { ...listen("shout"), module: `${folder}/shout.ts`, warm: 2, "idle-timeout": 60 },
    git: {
      ...listen("git"),
      command: ["git", "daemon", "--inetd", "--export-all", `--base-path=${folder}`, folder],
    },
    httpd: { ...listen("httpd"), ...limit, command: ["busybox", "httpd", "-i", "-h", folder] },
    socket: { listen: [`unix:${folder}/socket`], command: ["cat"], env: { RELOAD: `${reload}` } },
    [`name-${Math.floor(reload / 3) % 2}`]: changing,
    ...(reload % 4 === 1 && { extra: { listen: ["127.0.0.1:0"], command: ["cat"], warm: 1 } }),
  };
}

async function prepareFolder(folder: string): Promise<void> {
  await Deno.writeTextFile(`${folder}/index.html`, "the page");
  await Deno.writeTextFile(`${folder}/shout.ts`, SHOUT);
  const git = ["git", "-C", `${folder}/repository`, "-c", "user.name=a", "-c", "user.email=a@b"];
  await run(["git", "init", "--quiet", "--initial-branch=main", `${folder}/repository`]);
  await run([...git, "commit", "--quiet", "--allow-empty", "--message=first"]);
}

async function soak(seconds: number): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const { path: folder } = stack.use(await makeFolder());
  await prepareFolder(folder);
  const names = ["counter", "shout", "git", "httpd", "changing"];
  const ports = Object.fromEntries(names.map((name) => [name, freePort()]));
  const top = { "max-children": 100, "eof-timeout": 600 };
  const server = stack.use(await ConfiguredSpawnd.start(servicesAt(0, ports, folder), top));
  const { spawnd } = server;
  spawnd.mayChildrenFail = true; // clients reset while the module writes
  const clients = clientsOf(ports, `${folder}/socket`);
  const counts: Record<string, number> = {};

  const load = (endMs: number) =>
    Object.entries(clients).flatMap(([name, client]) =>
      Array.from({ length: CLIENTS }, async () => {
        while (performance.now() < endMs) {
          await client().catch((error) => {
            throw new Error(`a client of ${name}: ${error.message}`);
          });
          counts[name] = (counts[name] ?? 0) + 1;
          await pause(random.integer(0, 20));
        }
      })
    );
  const idleDescriptors = async () => {
    await until("it to be idle", async () => {
      const { active } = await server.status("counter");
      return active === 0 && childrenOf(spawnd.pid).length === 3;
    });
    return await untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
  };

  await Promise.all(load(performance.now() + 2000));
  const before = await idleDescriptors();
  const endMs = performance.now() + seconds * 1000;
  const loading = Promise.all(load(endMs));
  loading.catch(() => {});
  const memories: number[] = [];
  let reloads = 0;
  while (performance.now() < endMs) {
    memories.push(memoryOf(spawnd.pid) / MB);
    spawnd.log.splice(0, spawnd.log.length - 1000); // this process should stay small too
    const left = Math.ceil((endMs - performance.now()) / 1000);
    showProgress(`${left} s left: ${reloads} reloads, ${memories.at(-1)!.toFixed(0)} MB`);
    const isBroken = random.integer(0, 9) === 0;
    const services = servicesAt(++reloads, ports, folder);
    const { message } = await server.reload(
      isBroken ? { ...services, broken: { warm: "many" } } : services,
      top,
    );
    assertEquals(message.startsWith("cannot reload"), isBroken);
    await pause(1000);
  }
  showProgress("");
  await loading;

  assertEquals((await server.reload(servicesAt(0, ports, folder), top)).message, "reloaded");
  assertEquals(await idleDescriptors(), before, "descriptors");
  for (const name of ["counter", "shout", "git", "httpd", "socket"]) {
    const status = await server.status(name);
    assertAddsUp(status);
    assertEquals([status.failed, status.waiting, status.active], [0, 0, 0], name);
    const { accepted, ended } = status;
    console.log(name, { clients: counts[name], accepted, ended });
  }
  const median = (values: readonly number[]) =>
    Math.round(values.toSorted((a, b) => a - b)[values.length >> 1]!);
  const [early, late] = [memories.slice(60, 90), memories.slice(-30)].map(median);
  if (seconds >= MEMORY_SECONDS) {
    console.log(`memory: ${early} → ${late} MB`);
    assert(late! < early! * 1.1, `the memory has grown from ${early} to ${late} MB`);
  }
  assertEquals((await spawnd.stop()).code, 0);
  console.log(`ok: ${seconds} s, ${reloads} reloads, nothing lost or leaked`);
}

const [seconds] = readArguments(USAGE, [["SECONDS", 1, 120]]) as [number];
await soak(seconds);
