/**
 * A new server takes the place of an old one on its port: it listens, then the old one gets SIGTERM.
 * With net.ipv4.tcp_migrate_req=1 no client notices, whatever state its connection is in.
 */

import { assertEquals, assertRejects } from "@std/assert";
import { setMigration, tc, testInNamespace } from "./_namespace.ts";
import { makeFolder } from "./_service.ts";
import { receiveAll, send, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { underLoad, until } from "./_waiting.ts";

const HOSTS = { IPv4: "127.0.0.1", IPv6: "::1" };
type Family = keyof typeof HOSTS;
const FAMILIES = Object.keys(HOSTS) as Family[];

/** Starts a server, on the port of another one if that is given. */
function start(family: Family, port = 0): Promise<Spawnd> {
  return Spawnd.start(
    ...["--host", HOSTS[family], "--port", `${port}`, "--reuse-port", "--", "cat"],
  );
}

function connect(family: Family, port: number): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: HOSTS[family], port });
}

function connectMany(family: Family, port: number): Promise<Deno.TcpConn[]> {
  return Promise.all(Array.from({ length: 20 }, () => connect(family, port)));
}

/** Sends a line, ends the input, and resolves to the whole answer. Closes the connection. */
async function finish(conn: Deno.TcpConn | Deno.UnixConn, question: string): Promise<string> {
  using _ = conn;
  const answer = receiveAll(conn);
  answer.catch(() => {}); // sending may fail first
  await send(conn, question);
  await conn.closeWrite();
  return text(await answer);
}

/** Asserts that every connection still gets its answer, and from `server`. */
async function assertServed(conns: Deno.TcpConn[], server: Spawnd): Promise<void> {
  const answers = await Promise.all(conns.map((conn, index) => finish(conn, `hello ${index}`)));
  assertEquals(answers, conns.map((_, index) => `hello ${index}`));
  const served = () => server.records({ message: "end", reason: "client-closed" }).length;
  await until("a record of each", () => served() === conns.length);
}

/** Asserts that every connection has been reset. */
async function assertReset(conns: Deno.TcpConn[]): Promise<void> {
  for (const conn of conns) {
    await assertRejects(() => finish(conn, "hello"), Deno.errors.ConnectionReset);
  }
}

/**
 * Drops the packets that would complete a handshake: the client's connection is open then, and the
 * server's is not.
 */
async function holdHandshakes(family: Family, port: number): Promise<void> {
  const [protocol, match, flags] = family === "IPv4" ? ["ip", "ip", 33] : ["ipv6", "ip6", 53];
  await tc(
    "qdisc add dev lo root handle 1: htb",
    "class add dev lo parent 1: classid 1:1 htb rate 1mbit",
    "qdisc add dev lo parent 1:1 blackhole",
    // Of the TCP flags, ACK without SYN.
    `filter add dev lo parent 1: protocol ${protocol} u32 match ${match} dport ${port} 0xffff ` +
      `match u8 0x10 0x12 at ${flags} flowid 1:1`,
  );
}

/** An upgrade in the middle of twenty handshakes. */
async function upgradeDuringHandshakes(
  family: Family,
  check: (conns: Deno.TcpConn[], server: Spawnd) => Promise<void>,
): Promise<void> {
  await using old = await start(family);
  await holdHandshakes(family, old.port);
  const conns = await connectMany(family, old.port);
  await using next = await start(family, old.port);
  assertEquals((await old.stop()).code, 0);
  assertEquals(old.records({ message: "open" }), []);
  await tc("qdisc del dev lo root");
  await check(conns, next);
}

testInNamespace("a handshake that an upgrade interrupts ends with the new server", async () => {
  await setMigration(true);
  for (const family of FAMILIES) await upgradeDuringHandshakes(family, assertServed);
});

testInNamespace(
  "without tcp_migrate_req a handshake that an upgrade interrupts is reset",
  async () => {
    await setMigration(false);
    for (const family of FAMILIES) await upgradeDuringHandshakes(family, assertReset);
  },
);

testInNamespace("clients in the backlog of a server that is killed get another one", async () => {
  await setMigration(true);
  for (const family of FAMILIES) {
    await using hanging = await start(family);
    hanging.kill("SIGSTOP");
    const conns = await connectMany(family, hanging.port);
    await using next = await start(family, hanging.port);
    await hanging.stop("SIGKILL");
    await assertServed(conns, next);
  }
});

/** How servers start, each in the place of the last one, and how clients connect. */
interface Upgradable {
  start(old?: Spawnd): Promise<Spawnd>;
  connect(server: Spawnd): Promise<Deno.TcpConn | Deno.UnixConn>;
}

/** Five upgrades back to back while eight clients connect again and again; each has to be served. */
async function upgradeUnderLoad({ start, connect }: Upgradable): Promise<void> {
  let server = await start();
  let questions = 0;
  const ask = async () => {
    const question = `question ${questions++}`;
    assertEquals(await finish(await connect(server), question), question);
  };
  try {
    await underLoad(8, ask, async () => {
      for (let upgrade = 0; upgrade < 5; upgrade++) {
        await using old = server;
        server = await start(old);
        assertEquals((await old.stop()).code, 0);
        const isServing = () => server.records({ message: "end" }).length > 20;
        await until("the new server to have clients", isServing);
      }
    });
  } finally {
    await server[Symbol.asyncDispose]();
  }
}

for (const family of FAMILIES) {
  testInNamespace(`no client notices upgrades under load, over ${family}`, async () => {
    await setMigration(true);
    const overTcp = {
      start: (old?: Spawnd) => start(family, old?.port),
      connect: ({ port }: Spawnd) => connect(family, port),
    };
    await upgradeUnderLoad(overTcp);
    // On a slow link a short connection spends most of its time in the handshake.
    await tc("qdisc add dev lo root tbf rate 1mbit burst 2k limit 100k");
    await upgradeUnderLoad(overTcp);
  });
}

Deno.test("no client notices upgrades of a Unix socket that is behind a symbolic link", async () => {
  await using folder = await makeFolder();
  const link = `${folder.path}/socket`;
  let servers = 0;
  await upgradeUnderLoad({
    start: async () => {
      const path = `${link}.${servers++}`;
      const permissions = ["net", "run", `read=${path}`, `write=${path}`];
      const allow = permissions.map((permission) => `--allow-${permission}`);
      const server = await Spawnd.startWith(allow, "--unix", path, "--", "cat");
      await Deno.symlink(path, `${link}.next`);
      await Deno.rename(`${link}.next`, link);
      return server;
    },
    connect: () => Deno.connect({ transport: "unix", path: link }),
  });
});
