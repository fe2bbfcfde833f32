/** What a reload may do with listening sockets that the server has inherited, or has not. */

import { assertEquals } from "@std/assert";
import { askAt, opening, testInherited } from "./_inherited.ts";
import { makeFolder } from "./_service.ts";
import { ConfiguredSpawnd, type ServicesText } from "./_services.ts";
import { receive, receiveAll, send, text } from "./_sockets.ts";
import { until } from "./_waiting.ts";

const FREE = "127.0.0.1:0";
const CAT = { listen: [FREE], command: ["cat"] };
const PASSED = { listen: ["fd:3"], command: ["cat"] };
/** Answers with those of its descriptors that are sockets. */
const SOCKETS = ["sh", "-c", "ls -l /proc/$$/fd | grep socket: || echo none"];

/** What each descriptor of a process is (Linux: proc(5)); one may be closed meanwhile. */
function descriptors(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return [...Deno.readDirSync(folder)].map(({ name }) => {
    try {
      return `${name} ${Deno.readLinkSync(`${folder}/${name}`)}`;
    } catch {
      return "";
    }
  }).sort();
}

/** A server that is passed Unix sockets at two paths. */
async function passing(
  services: ServicesText,
): Promise<AsyncDisposable & { paths: readonly [string, string]; server: ConfiguredSpawnd }> {
  const stack = new AsyncDisposableStack();
  const { path } = stack.use(await makeFolder());
  const paths = [`${path}/1`, `${path}/2`] as const;
  const server = stack.use(await ConfiguredSpawnd.start(services, { via: opening(...paths) }));
  return { paths, server, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

Deno.test("a reload to sockets that were not passed touches no descriptor", async () => {
  await using server = await ConfiguredSpawnd.start({ cat: CAT });
  const { spawnd } = server;
  using conn = await spawnd.connect();
  await send(conn, "a");
  assertEquals(text(await receive(conn, 1)), "a");
  const before = descriptors(spawnd.pid);
  const wanted = ["fd:7", "fd:3", "fd:12"];
  await server.reload({
    cat: CAT,
    ...Object.fromEntries(wanted.map((address, i) => [`s${i}`, { ...CAT, listen: [address] }])),
  });
  const refused = () => spawnd.records({ message: "cannot reload: nothing has changed" });
  await until("all that is wrong", () => refused().length === wanted.length);
  assertEquals(
    refused().map(({ error }) => error),
    wanted.map((address, i) =>
      `s${i}: Cannot listen on ${address}: no listening TCP or Unix socket with this number was ` +
      "passed to the server. Start it by systemd's socket activation, or whatever else passes " +
      "sockets as 3, 4 and so on"
    ),
  );
  await send(conn, "b");
  assertEquals(text(await receive(conn, 1)), "b");
  await until("the same descriptors", () => `${descriptors(spawnd.pid)}` === `${before}`);
  assertEquals((await server.reload({ cat: CAT })).message, "reloaded");
  assertEquals(await server.ask("cat", "hello"), "hello");
  conn.close();
  assertEquals((await spawnd.stop()).code, 0);
});

testInherited("a socket that a reload has given up can be listened on again", async () => {
  for (const address of ["127.0.0.1:0", "path"]) {
    await using folder = await makeFolder();
    const socket = address === "path" ? `${folder.path}/s` : address;
    await using server = await ConfiguredSpawnd.start(
      { passed: PASSED, own: CAT },
      { via: opening(socket) },
    );
    const { spawnd } = server;
    const connect = async () =>
      address === "path"
        ? await Deno.connect({ transport: "unix", path: socket })
        : await Deno.connect({ port: await server.port("passed") });
    const before = descriptors(spawnd.pid).length;
    for (let i = 0; i < 3; i++) {
      using early = await connect();
      await send(early, "a");
      assertEquals(text(await receive(early, 1)), "a");
      assertEquals((await server.reload({ own: CAT })).message, "reloaded");
      using waiting = await connect();
      await send(waiting, "hello");
      await waiting.closeWrite();
      assertEquals(await server.ask("own", "x"), "x"); // it has had the time to accept
      assertEquals((await server.reload({ passed: PASSED, own: CAT })).message, "reloaded");
      assertEquals(text(await receiveAll(waiting)), "hello");
      await send(early, "b");
      assertEquals(text(await receive(early, 1)), "b");
    }
    await until("its descriptors to be closed", () => descriptors(spawnd.pid).length === before);
    assertEquals((await spawnd.stop()).code, 0);
  }
});

testInherited("a socket that was listened on again closes at SIGTERM", async () => {
  await using both = await passing({ a: PASSED, own: CAT });
  const { paths: [path], server } = both;
  await server.reload({ own: CAT });
  await server.reload({ a: PASSED, own: CAT });
  using conn = await Deno.connect({ transport: "unix", path });
  await send(conn, "a");
  assertEquals(text(await receive(conn, 1)), "a");
  server.spawnd.kill("SIGTERM");
  await until("it to refuse", async () => {
    try {
      (await Deno.connect({ transport: "unix", path })).close();
    } catch (error) {
      return error instanceof Deno.errors.ConnectionRefused;
    }
  });
  await conn.closeWrite();
  assertEquals((await server.spawnd.ended()).code, 0);
});

testInherited("no child gets a socket that a reload has given up, or that none lists", async () => {
  const own = { listen: [FREE], command: SOCKETS };
  for (const warm of [0, 1]) {
    await using both = await passing({ passed: { ...PASSED, command: SOCKETS } });
    const { paths, server } = both;
    const [first, second] = paths.map((path) => ({ transport: "unix" as const, path }));
    assertEquals(text(await askAt(first!, "")), "none\n");
    await server.reload({ own: { ...own, warm } });
    for (let i = 0; i < 3; i++) assertEquals(await server.ask("own", ""), "none\n");
    await server.reload({ passed: { listen: ["fd:4"], command: SOCKETS, warm } });
    assertEquals(text(await askAt(second!, "")), "none\n");
    await server.reload({ passed: { listen: ["fd:3", "fd:4"], command: SOCKETS, warm } });
    for (const address of [first!, second!]) assertEquals(text(await askAt(address, "")), "none\n");
    await server.reload({ own });
    assertEquals((await server.spawnd.stop()).code, 0);
  }
});

testInherited(
  "a reload that fails leaves the clients of a passed socket in the backlog",
  async () => {
    await using both = await passing({ a: PASSED });
    const { paths: [, path], server } = both;
    using waiting = await Deno.connect({ transport: "unix", path });
    await send(waiting, "hello");
    await waiting.closeWrite();
    using _taken = Deno.listen({ transport: "unix", path: `${server.folder}/taken` });
    const b = { listen: ["fd:4", "unix:taken"], command: ["cat"] };
    const record = await server.reload({ a: PASSED, b });
    assertEquals(record.message, "cannot reload: nothing has changed");
    await server.reload({ a: PASSED, b: { ...b, listen: ["fd:4"] } });
    assertEquals(text(await receiveAll(waiting)), "hello");
  },
);
