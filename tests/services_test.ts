/** Several services in one process, and their change while it runs. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { ConfiguredSpawnd, type ServicesText } from "./_services.ts";
import { childrenOf, descriptorsOf } from "./_processes.ts";
import { freePort } from "./_service.ts";
import { ask, receive, receiveAll, send, text } from "./_sockets.ts";
import { assertAddsUp, Spawnd } from "./_spawnd.ts";
import { underLoad, until, untilSteady } from "./_waiting.ts";

const FREE = "127.0.0.1:0";
const CAT = { listen: [FREE], command: ["cat"] };
const SHOUT = { listen: [FREE], command: ["tr", "a-z", "A-Z"] };

Deno.test("each service has its handler, its numbers, and its name in the log", async () => {
  await using server = await ConfiguredSpawnd.start({
    cat: CAT,
    shout: SHOUT,
    count: { listen: [FREE] },
  });
  assertEquals(await server.ask("cat", "hello"), "hello");
  assertEquals(await server.ask("cat", "hello"), "hello");
  assertEquals(await server.ask("shout", "hello"), "HELLO");
  assertMatch(await server.ask("count", "hello"), /^This is server send message:0\0/);
  await until("four records", () => server.spawnd.records({ message: "end" }).length === 4);
  for (const [service, served] of Object.entries({ cat: 2, shout: 1, count: 1 })) {
    const status = await server.status(service);
    assertEquals([status.accepted, status.ended], [served, served]);
    assertAddsUp(status);
    assertEquals(server.spawnd.records({ message: "end", service }).length, served);
  }
});

Deno.test("one service alone is not named in the log", async () => {
  await using server = await ConfiguredSpawnd.start({ cat: CAT });
  assertEquals(await server.ask("cat", "hello"), "hello");
  assertEquals((await server.spawnd.record({ message: "end" })).service, undefined);
});

Deno.test("a service listens on several addresses, of which each is its own", async () => {
  const port = freePort();
  await using server = await ConfiguredSpawnd.start({
    cat: { listen: [`127.0.0.1:${port}`, `[::1]:${port}`, "unix:cat.sock"], command: ["cat"] },
  });
  const addresses = await server.addresses("cat");
  assertEquals(addresses, [`127.0.0.1:${port}`, `[::1]:${port}`, `unix:${server.folder}/cat.sock`]);
  assertEquals(text(await ask(port, "one")), "one");
  const path = `${server.folder}/cat.sock`;
  const conns = [
    await Deno.connect({ hostname: "::1", port }),
    await Deno.connect({ transport: "unix", path }),
  ];
  for (const conn of conns) {
    await send(conn, "two");
    await conn.closeWrite();
    assertEquals(text(await receiveAll(conn)), "two");
    conn.close();
  }
});

Deno.test("a reload starts, changes and stops services, and says so on one line", async () => {
  await using server = await ConfiguredSpawnd.start({ cat: CAT, shout: SHOUT });
  const port = await server.port("shout");
  const record = await server.reload({
    cat: { ...CAT, "max-connections": 7, command: ["sed", "s/a/b/"] },
    count: { listen: [FREE] },
  });
  assertEquals(
    [record.message, record.services, record.started, record.stopped, record.changed],
    ["reloaded", 2, "count", "shout", "cat: handler max-connections"],
  );
  assertEquals(await server.ask("cat", "abc\n"), "bbc\n");
  assertMatch(await server.ask("count", "x"), /^This is server send message:0\0/);
  await until("the end of shout", () => server.spawnd.records({ message: "stopped" }).length === 1);
  const refused = await ask(port, "x").then(() => false, () => true);
  assert(refused, "the service that has been stopped listens");
});

Deno.test("connections go on as they began, those of a stopped service too", async () => {
  await using server = await ConfiguredSpawnd.start({ cat: CAT, shout: SHOUT });
  using changed = await Deno.connect({ port: await server.port("cat") });
  using stopped = await Deno.connect({ port: await server.port("shout") });
  await send(changed, "a");
  await send(stopped, "a");
  assertEquals(text(await receive(changed, 1)), "a");
  await server.reload({ cat: { ...CAT, command: ["false"], "idle-timeout": 0.1 } });
  await send(changed, "b");
  await stopped.closeWrite();
  assertEquals(text(await receive(changed, 1)), "b");
  assertEquals(text(await receiveAll(stopped)), "A");
});

Deno.test("an address can go to another service, and no client is refused", async () => {
  const listen = [`127.0.0.1:${freePort()}`];
  const port = Number(listen[0]!.split(":")[1]);
  await using server = await ConfiguredSpawnd.start({
    old: { listen, command: ["cat"] },
    other: SHOUT,
  });
  let answers = 0;
  const hello = async () => {
    assertEquals(text(await ask(port, "hello")).toLowerCase(), "hello");
    answers++;
  };
  await underLoad(2, hello, async () => {
    for (const name of ["new", "old", "new"]) {
      const command = name === "new" ? ["tr", "a-z", "A-Z"] : ["cat"];
      const before = answers;
      const record = await server.reload({ [name]: { listen, command }, other: SHOUT });
      assertEquals([record.started, record.level], [name, "INFO"]);
      await until("answers", () => answers > before + 4);
      assertEquals(text(await ask(port, "hi")), name === "new" ? "HI" : "hi");
    }
  });
});

Deno.test("a file with an error changes nothing, and each error is in the log", async () => {
  await using server = await ConfiguredSpawnd.start({ cat: CAT, shout: SHOUT });
  const taken = await server.port("shout");
  for (
    const [services, reason] of [
      ["{", /spawnd\.jsonc/],
      [{ cat: { ...CAT, "max-conections": 1 } }, /max-connections/],
      [{ cat: CAT, shout: { ...SHOUT, command: ["there-is-no-such-program"] } }, /no such program/],
      [
        { cat: CAT, shout: SHOUT, third: { listen: [`127.0.0.1:${taken}`] } },
        /third: .* the service shout listens on 127.*another address/,
      ],
      [{ cat: { ...CAT, cert: "none.pem", key: "none.pem" } }, /none\.pem/],
    ] as const
  ) {
    const record = await server.reload(services);
    assertEquals(record.message, "cannot reload: nothing has changed");
    assertMatch(String(record.error), reason);
    assertEquals(await server.ask("cat", "hello"), "hello");
    assertEquals(await server.ask("shout", "hello"), "HELLO");
  }
  assertEquals((await server.reload({ cat: CAT, shout: SHOUT })).message, "reloaded");
});

Deno.test("all errors of a start are said, and nothing is left listening", async () => {
  const port = freePort();
  const started = ConfiguredSpawnd.start({
    fine: { listen: [`127.0.0.1:${port}`] },
    one: { ...CAT, command: ["no-such-one"] },
    two: { ...CAT, command: ["no-such-two"] },
  });
  const error = await started.then(() => "", String);
  assertMatch(error, /one: .*no-such-one[^]*two: .*no-such-two/);
});

Deno.test("of a hundred reloads under load, no client notices anything", async () => {
  await using server = await ConfiguredSpawnd.start({ cat: CAT, shout: SHOUT });
  const port = await server.port("cat");
  let answers = 0;
  const hello = async () => {
    assertEquals(text(await ask(port, "hello")), "hello");
    answers++;
  };
  assertEquals(await server.ask("cat", "hello"), "hello");
  const descriptors = () => untilSteady("descriptors", () => descriptorsOf(server.spawnd.pid));
  const before = await descriptors();
  await underLoad(4, hello, async () => {
    for (let i = 0; i < 100; i++) {
      const record = await server.reload({
        cat: { ...CAT, "max-per-source": 100 + i, warm: i % 3 },
        shout: i % 2 === 0 ? SHOUT : { ...SHOUT, listen: [FREE, FREE] },
      });
      assertEquals(record.message, "reloaded");
    }
  });
  assert(answers > 100, `${answers} answers`);
  await server.reload({ cat: CAT, shout: SHOUT });
  await until("the last record", async () => {
    const { active } = await server.status("cat");
    return active === 0;
  });
  const status = await server.status("cat");
  assertEquals([status.ended, status.accepted], [answers + 1, answers + 1]);
  assertEquals(await descriptors(), before);
});

Deno.test("a max-children that is lower than what is kept warm is an error", async () => {
  const started = ConfiguredSpawnd.start(
    { cat: { ...CAT, warm: 3 }, shout: SHOUT },
    { "max-children": 4 },
  );
  assertMatch(await started.then(() => "", String), /max-children is 4, but 5 are needed/);
});

Deno.test("max-children holds over all services, and none can take all of it", async () => {
  const flooded = { ...CAT, "queue-timeout": 60 };
  await using server = await ConfiguredSpawnd.start({ flooded, other: CAT }, { "max-children": 8 });
  const port = await server.port("flooded");
  const conns = await Promise.all(
    Array.from({ length: 20 }, () => Deno.connect({ hostname: "127.0.0.1", port })),
  );
  await until("the flood", async () => {
    const { active, waiting } = await server.status("flooded");
    return active === 6 && waiting === 14;
  });
  assertEquals(await server.ask("other", "hello"), "hello");
  const others = await Promise.all(
    [1, 2].map(async () =>
      await Deno.connect({ hostname: "127.0.0.1", port: await server.port("other") })
    ),
  );
  for (const conn of others) {
    await send(conn, "x");
    assertEquals(text(await receive(conn, 1)), "x");
  }
  await server.reload({ flooded, other: CAT }, { "max-children": 12 });
  await until("more of the flood", async () => (await server.status("flooded")).active === 9);
  for (const conn of [...conns, ...others]) conn.close();
});

Deno.test("an address of a full service can be removed, and its backlog is answered", async () => {
  const [one, other] = [freePort(), freePort()];
  const full = { command: ["cat"], "max-connections": 1, queue: 1, refusal: "busy\n" };
  await using server = await ConfiguredSpawnd.start({
    full: { ...full, listen: [`127.0.0.1:${one}`, `127.0.0.1:${other}`] },
    shout: SHOUT,
  });
  using served = await Deno.connect({ port: one });
  await server.spawnd.record({ message: "open" });
  const answers = Array.from({ length: 6 }, () => ask(other, "hello").then(text));
  await server.spawnd.record({ message: /^full/ });
  const { message } = await server.reload({
    full: { ...full, listen: [`127.0.0.1:${one}`] },
    shout: SHOUT,
  });
  assertEquals(message, "reloaded");
  await until("refusals", () => server.spawnd.records({ reason: "busy" }).length === 5);
  served.close();
  assertEquals((await Promise.all(answers)).sort(), [...Array(5).fill("busy\n"), "hello"]);
});

Deno.test("a service can be removed and added again at once", async () => {
  const listen = [`127.0.0.1:${freePort()}`, "unix:cat.sock"];
  const both = { cat: { ...CAT, listen }, shout: SHOUT };
  await using server = await ConfiguredSpawnd.start(both);
  for (let i = 0; i < 5; i++) {
    assertEquals((await server.reload({ shout: SHOUT })).stopped, "cat");
    assertEquals((await server.reload(both)).started, "cat");
    assertEquals(await server.ask("cat", "hello"), "hello");
  }
  const opened = () => server.spawnd.records({ message: "open", service: "cat" }).length;
  await until("their records", () => opened() >= 5);
  assertEquals(opened(), 5); // no connection of its own to find out who listens
  assertEquals((await server.status("cat")).accepted, 1);
});

Deno.test("a reload that is asked for during the start follows it", async () => {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/spawnd.jsonc`;
  const write = (services: ServicesText) => Deno.writeTextFile(file, JSON.stringify({ services }));
  await Deno.writeTextFile(`${folder}/slow.ts`, 'import "./fifo.ts";');
  await new Deno.Command("mkfifo", { args: [`${folder}/fifo.ts`] }).output();
  await write({ slow: { listen: [FREE], module: "slow.ts" } });
  await using spawnd = Spawnd.configured(file, []);
  await until("the check of the module", () => childrenOf(spawnd.pid).length > 0);
  await write({ cat: CAT });
  spawnd.kill("SIGHUP");
  // The check has two processes: those that wait for the pipe go on, and a later one finds a file.
  await Deno.rename(`${folder}/fifo.ts`, `${folder}/fifo`);
  await Deno.writeTextFile(`${folder}/fifo.ts`, "");
  const { started, stopped } = await until("the reload", async () => {
    (await Deno.open(`${folder}/fifo`, { read: true, write: true })).close();
    return spawnd.records({ message: "reloaded" })[0];
  });
  assertEquals([started, stopped], ["cat", "slow"]);
  await spawnd.stop();
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a file that is a pipe, or a certificate that is one, is an error at once", async () => {
  await using server = await ConfiguredSpawnd.start({ cat: CAT, shout: SHOUT });
  const pipe = `${server.folder}/pipe`;
  await new Deno.Command("mkfifo", { args: [pipe] }).output();
  const { error } = await server.reload({ cat: { ...CAT, cert: "pipe", key: "pipe" } });
  assertMatch(String(error), /pipe is no regular file/);
  const file = `${server.folder}/spawnd.jsonc`;
  await Deno.remove(file);
  await Deno.rename(pipe, file);
  server.spawnd.kill("SIGHUP");
  await server.spawnd.record({ error: /spawnd\.jsonc: it is no regular file/ });
  await Deno.remove(file);
  assertEquals((await server.reload({ cat: CAT })).message, "reloaded");
  assertEquals(await server.ask("cat", "hello"), "hello");
});

Deno.test("warnings of one service leave those of another to be seen", async () => {
  const denied = { ...CAT, deny: "127.0.0.1" };
  await using server = await ConfiguredSpawnd.start({ one: denied, other: denied });
  for (let i = 0; i < 10; i++) await server.ask("one", "");
  await server.ask("other", "");
  await server.spawnd.record({ message: "refused", service: "other" });
  assertEquals(server.spawnd.records({ message: "refused", service: "one" }).length, 5);
});

Deno.test("control characters in a file reach no terminal", async () => {
  for (
    const service of [
      { listen: ["\x1bcX:79"] },
      { ...CAT, user: "x\x1bcy" },
      { ...CAT, cert: "a\nb", key: "k" },
      { listen: ["unix:no\n\x1b[2J/x"] },
    ]
  ) {
    const error = await ConfiguredSpawnd.start({ a: service }).then(() => "", String);
    assertMatch(error, /\\u\{1b\}|\\u\{a\}|\\u001b|\\n/);
    assert(!error.includes("\x1b"), error);
  }
});

Deno.test("limits, rules and timeouts of a changed service hold for its next clients", async () => {
  await using server = await ConfiguredSpawnd.start({ cat: CAT, shout: SHOUT });
  await server.reload({ cat: { ...CAT, banner: "hi\n", "idle-timeout": 0.2 }, shout: SHOUT });
  using idle = await Deno.connect({ port: await server.port("cat") });
  assertEquals(text(await receiveAll(idle)), "hi\n");
  await server.spawnd.record({ message: "end", reason: "idle-timeout" });
  await server.reload({ cat: { ...CAT, deny: "127.0.0.1", refusal: "no\n" }, shout: SHOUT });
  assertEquals(await server.ask("cat", "hello"), "no\n");
  await server.reload({ cat: { ...CAT, "max-connections": 1, queue: 0 }, shout: SHOUT });
  using only = await Deno.connect({ port: await server.port("cat") });
  await send(only, "a");
  assertEquals(text(await receive(only, 1)), "a");
  assertEquals(await server.ask("cat", "hello"), "");
});

Deno.test("a client that a full service leaves in its backlog is served by the next one", async () => {
  const listen = [`127.0.0.1:${freePort()}`];
  const port = Number(listen[0]!.split(":")[1]);
  const full = { listen, command: ["cat"], "max-connections": 1, queue: 1 };
  await using server = await ConfiguredSpawnd.start({ full, shout: SHOUT });
  const conns = [await Deno.connect({ port }), await Deno.connect({ port })];
  const waiting = ask(port, "hello");
  await server.spawnd.record({ message: /^full/ });
  // The listener has taken this client from the kernel, and waits for room.
  await server.reload({ other: { listen, command: SHOUT.command }, shout: SHOUT });
  assertEquals(text(await ask(port, "hello")), "HELLO");
  for (const conn of conns) conn.close();
  assertEquals(text(await waiting).toLowerCase(), "hello");
});

Deno.test("a reload that fails leaves nothing open of what it has opened", async () => {
  const port = freePort();
  await using server = await ConfiguredSpawnd.start({ cat: CAT, shout: SHOUT });
  const taken = `127.0.0.1:${await server.port("shout")}`;
  const { error } = await server.reload({
    cat: CAT,
    shout: SHOUT,
    fine: { ...CAT, listen: [`127.0.0.1:${port}`] },
    wrong: { ...CAT, listen: [taken] },
  });
  assertMatch(String(error), /^wrong: Cannot listen on .* the service shout listens on /);
  assert(
    await ask(port, "x").then(() => false, () => true),
    "a service that was not started listens",
  );
});

Deno.test("what stays with an open address is named", async () => {
  const listen = `127.0.0.1:${freePort()}`;
  await using server = await ConfiguredSpawnd.start({ cat: { ...CAT, listen }, shout: SHOUT });
  const { error } = await server.reload({ cat: { ...CAT, listen, backlog: 9 }, shout: SHOUT });
  assertEquals(
    error,
    `cat: Cannot listen on ${listen}: its backlog, reuse-port and no-keepalive stay while it is open. Restart the server`,
  );
});

Deno.test("a client of a service that has been removed keeps no other service waiting", async () => {
  const services = { one: CAT, other: CAT, third: CAT };
  await using server = await ConfiguredSpawnd.start(services, { "max-children": 3 });
  using staying = await Deno.connect({ port: await server.port("third") });
  await send(staying, "a");
  assertEquals(text(await receive(staying, 1)), "a");
  await server.reload({ one: CAT, other: CAT, renamed: CAT }, { "max-children": 3 });
  for (const name of ["one", "other", "renamed"]) assertEquals(await server.ask(name, "x"), "x");
});
