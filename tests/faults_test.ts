/**
 * Faults around a server: no descriptors left, signals at any time, and every kind of end many times
 * over. Nothing may leak, spin, flood the log or get lost.
 */

import { assert, assertEquals } from "@std/assert";
import { childrenOf, descriptorsOf, isAlive } from "./_processes.ts";
import {
  ask,
  connectFrom,
  connectToReset,
  converse,
  receive,
  receiveAll,
  send,
  text,
} from "./_sockets.ts";
import { assertAddsUp, Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";
import { until, untilSteady, within } from "./_waiting.ts";

/** Processor time that a process has used, in seconds (Linux: proc(5), with 100 ticks a second). */
function processorSecondsOf(pid: number): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function limitDescriptors(spawnd: Spawnd, limit: number): Promise<void> {
  const args = ["--pid", `${spawnd.pid}`, `--nofile=${limit}:${limit}`];
  assert((await new Deno.Command("prlimit", { args }).output()).success);
}

const OUT_OF_DESCRIPTORS: [what: string, options: string[], message: RegExp][] = [
  ["accepting", ["--max-connections", "3", "--queue", "100"], /^cannot accept/],
  ["starting a child", ["--max-connections", "100"], /^cannot start a child/],
];
for (const [what, options, message] of OUT_OF_DESCRIPTORS) {
  testWith(
    "prlimit",
    "util-linux",
    `without descriptors for ${what} it neither exits nor spins, and recovers`,
    async () => {
      await using spawnd = await Spawnd.start(...options, "--", "cat");
      await ask(spawnd.port, "the first"); // what the server opens once is open from here on
      const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
      const before = await descriptors();
      await limitDescriptors(spawnd, 60);
      const conns = await Promise.all(Array.from({ length: 60 }, () => spawnd.connect()));
      await send(conns[0]!, "served");
      assertEquals(text(await receive(conns[0]!, 6)), "served");
      await spawnd.record({ level: "WARN", message });
      await descriptors();

      const used = processorSecondsOf(spawnd.pid);
      const began = performance.now();
      await until("two seconds to pass", () => performance.now() - began > 2000);
      const share = (processorSecondsOf(spawnd.pid) - used) / (performance.now() - began) * 1000;
      assert(share < 0.1, `${Math.round(share * 100)} % of a core`);
      const warnings = spawnd.records({ level: "WARN" }).length;
      assert(warnings <= 12, `${warnings} warnings`);
      await send(conns[0]!, "still");
      assertEquals(text(await receive(conns[0]!, 5)), "still");

      for (const conn of conns) conn.close();
      const isServed = async () =>
        text(await ask(spawnd.port, "again").catch(() => new Uint8Array())) === "again";
      await until("it to serve again", isServed);
      assertEquals(await descriptors(), before);
      assertEquals((await spawnd.stop()).code, 0);
    },
  );
}

Deno.test("SIGTERM loses no idle, active, waiting or handshaking client", async () => {
  await using spawnd = await Spawnd.start(
    ...["--max-connections", "2", "--accept-proxy", "127.0.0.1", "--handshake-timeout", "1"],
    ...["--", "sh", "-c", "cat; sleep 0.3; echo bye"],
  );
  const header = "PROXY UNKNOWN\r\n";
  using idle = await spawnd.connect();
  await send(idle, header);
  await spawnd.record({ message: "open", id: 1 });
  using active = await spawnd.connect();
  await send(active, `${header}hello`);
  assertEquals(text(await receive(active, 5)), "hello");
  using waiting = await spawnd.connect();
  await send(waiting, `${header}waited`);
  await spawnd.record({ message: "waiting", id: 3 });
  using handshaking = await spawnd.connect();
  await send(handshaking, header.slice(0, 8));
  using silent = await spawnd.connect();
  await until("all to be accepted", async () => (await spawnd.status()).accepted === 5);
  const children = childrenOf(spawnd.pid);

  spawnd.kill("SIGTERM");
  await spawnd.record({ message: "draining", active: 2, waiting: 1 });
  await send(handshaking, `${header.slice(8)}late`);
  await spawnd.record({ message: "waiting", id: 4 });
  for (const conn of [active, idle, waiting, handshaking]) await conn.closeWrite();
  assertEquals(text(await receiveAll(active)), "bye\n");
  assertEquals(text(await receiveAll(idle)), "bye\n");
  assertEquals(text(await receiveAll(waiting)), "waitedbye\n");
  assertEquals(text(await receiveAll(handshaking)), "latebye\n");
  assertEquals(text(await receiveAll(silent)), "");
  silent.close();
  assertEquals((await spawnd.ended()).code, 0);
  const { accepted, ended, handshake, cut } = await spawnd.record({ message: "stopped" });
  assertEquals([accepted, ended, handshake, cut], [5, 4, 1, 0]);
  assert(!children.some(isAlive));
});

Deno.test("after the drain timeout waiting and handshaking clients are cut too", async () => {
  await using spawnd = await Spawnd.start(
    ...["--max-connections", "1", "--accept-proxy", "127.0.0.1", "--drain-timeout", "0.3"],
    ...["--kill-timeout", "0.2", "--queue-timeout", "60", "--refusal", "closing\n", "--", "cat"],
  );
  using active = await spawnd.connect();
  await send(active, "PROXY UNKNOWN\r\nx");
  await receive(active, 1);
  using waiting = await spawnd.connect();
  await send(waiting, "PROXY UNKNOWN\r\n");
  await spawnd.record({ message: "waiting" });
  using handshaking = await spawnd.connect();
  await until("all to be accepted", async () => (await spawnd.status()).accepted === 3);
  spawnd.kill("SIGTERM");
  assertEquals(text(await receiveAll(waiting)), "closing\n");
  for (const conn of [handshaking, active]) assertEquals(text(await receiveAll(conn)), "");
  for (const conn of [waiting, handshaking, active]) conn.close();
  assertEquals((await spawnd.ended()).code, 1);
  const { ended, busy, handshake, cut } = await spawnd.record({ message: "stopped" });
  assertEquals([ended, busy, handshake, cut], [1, 1, 1, 3]);
  const { error } = await spawnd.record({ message: "refused", reason: "handshake" });
  assertEquals(error, "the server is shutting down");
});

Deno.test("clients still in the backlog at SIGTERM are served", async () => {
  await using spawnd = await Spawnd.start("--", "cat");
  spawnd.kill("SIGSTOP");
  const asking = Array.from({ length: 50 }, (_, i) => ask(spawnd.port, `question ${i}`));
  const isQueued = () => {
    const port = spawnd.port.toString(16).toUpperCase().padStart(4, "0");
    const listening = Deno.readTextFileSync("/proc/net/tcp").split("\n").find((line) =>
      line.includes(`0100007F:${port} 00000000:0000 0A`)
    );
    return parseInt(/:([\dA-F]{8}) 00:/.exec(listening!)![1]!, 16) === 50; // proc_net_tcp: rx_queue
  };
  await until("all to be in the backlog", isQueued);
  spawnd.kill("SIGTERM");
  spawnd.kill("SIGCONT");
  assertEquals(
    (await Promise.all(asking)).map((answer) => text(answer)),
    asking.map((_, i) => `question ${i}`),
  );
  assertEquals((await spawnd.ended()).code, 0);
});

Deno.test("clients that connect while a closing server does not run are served", async () => {
  const tryOnce = async () => {
    await using spawnd = await Spawnd.start("--", "cat");
    spawnd.kill("SIGTERM");
    await new Promise((resolve) => setTimeout(resolve, 20)); // it closes 100 ms after the last client
    spawnd.kill("SIGSTOP");
    const asking = Array.from({ length: 10 }, (_, i) => ask(spawnd.port, `question ${i}`));
    await new Promise((resolve) => setTimeout(resolve, 200));
    spawnd.kill("SIGCONT");
    const answers = await Promise.allSettled(asking);
    const errors = answers.flatMap((answer) => answer.status === "rejected" ? [answer.reason] : []);
    if (errors.every((error) => error instanceof Deno.errors.ConnectionRefused) && errors[0]) {
      return false; // on a busy machine, it had closed before it stopped
    }
    assertEquals(errors, []);
    return true;
  };
  await until("a server that stops while it closes", tryOnce);
});

Deno.test("SIGTERM with a full queue serves the clients in the backlog as well", async () => {
  await using spawnd = await Spawnd.start(
    ...["--max-connections", "1", "--queue", "1", "--", "cat"],
  );
  using served = await spawnd.connect();
  await spawnd.record({ message: "open" });
  using waiting = await spawnd.connect();
  await spawnd.record({ message: "waiting" });
  const others = await Promise.all(Array.from({ length: 4 }, () => spawnd.connect()));
  await spawnd.record({ level: "WARN", message: /^full/ });
  for (const conn of [served, waiting, ...others]) await send(conn, "hello");
  spawnd.kill("SIGTERM");
  for (const conn of [served, waiting, ...others]) {
    await conn.closeWrite();
    assertEquals(text(await receiveAll(conn)), "hello");
  }
  for (const conn of others) conn.close();
  assertEquals((await spawnd.ended()).code, 0);
});

Deno.test("SIGTERM under load lets every open session complete its exchange", async () => {
  await using spawnd = await Spawnd.start();
  let [answers, isOver] = [0, false];
  const client = async () => {
    while (!isOver) {
      using conn = await spawnd.connect();
      await converse(conn);
      answers++;
    }
  };
  // A client may be refused or reset if it connects while the listener closes; the log has the rest.
  const clients = Promise.allSettled(Array.from({ length: 12 }, client));
  await until("some answers", () => answers > 50);
  const children = childrenOf(spawnd.pid);
  spawnd.kill("SIGTERM");
  const status = await spawnd.ended();
  isOver = true;
  await within("the clients", clients);
  assertEquals(status.code, 0);
  const { accepted, ended } = await spawnd.record({ message: "stopped" });
  assertEquals(ended, accepted);
  const complete = spawnd.records({ message: "end", reason: "client-closed", in: 14, out: 512 });
  assertEquals(complete.length, accepted);
  assert(!children.some(isAlive));
});

Deno.test("5,000 connections that end in every possible way leave nothing behind", async () => {
  const program = await Deno.makeTempFile();
  const script = "#!/bin/sh\nexec cat\n";
  await Deno.writeTextFile(program, script);
  await Deno.chmod(program, 0o755);
  await using spawnd = await Spawnd.start(
    ...["--max-connections", "3", "--queue", "4", "--queue-timeout", "0.003"],
    ...["--max-per-source", "1", "--idle-timeout", "0.15", "--kill-timeout", "0.5"],
    ...["--accept-proxy", "127.0.0.1", "--handshake-timeout", "0.1", "--deny", "192.0.2.66"],
    ...["--no-group", "--", program], // without a group, a program that is missing is no child
  );
  const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
  await ask(spawnd.port, "PROXY UNKNOWN\r\nfirst");
  const before = await descriptors();

  const from = (i: number) => `PROXY TCP4 192.0.2.${i % 50} 198.51.100.7 1 2\r\n`;
  const ways: ((i: number) => Promise<unknown>)[] = [
    (i) => ask(spawnd.port, `${from(i)}hello`),
    (i) => ask(spawnd.port, `${from(i)}${"x".repeat(100_000)}`),
    () => ask(spawnd.port, "no header\r\n"),
    () => ask(spawnd.port, "PROXY TCP4 192.0.2.66 198.51.100.7 1 2\r\nhello"),
    async () => (await spawnd.connect()).close(),
    async () => await (await connectToReset(spawnd.port))(),
    async (i) => {
      const socket = await connectFrom("127.0.0.1", spawnd.port);
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.on("error", () => {});
      socket.once("data", () => socket.resetAndDestroy());
      socket.once("end", () => socket.destroy());
      socket.write(`${from(i)}hello`);
      await closed;
    },
    async (i) => {
      if (i % 100 !== 7) return await ask(spawnd.port, from(i));
      using conn = await spawnd.connect(); // silent: the handshake times out
      await receiveAll(conn);
    },
    async (i) => {
      if (i % 100 !== 8) return await ask(spawnd.port, `${from(i)}hello`);
      using conn = await spawnd.connect(); // idle: the session times out
      await send(conn, from(i));
      await receiveAll(conn);
    },
    async (i) => {
      if (i % 100 !== 59) return await ask(spawnd.port, `${from(i)}hello`);
      await Deno.rename(program, `${program}.away`); // no child can be started
      await ask(spawnd.port, `${from(i)}hello`).finally(() =>
        Deno.rename(`${program}.away`, program)
      );
    },
  ];
  let next = 0;
  const client = async () => {
    for (let i = next++; i < 5000; i = next++) {
      await ways[i % ways.length]!(i).catch(() => {}); // reset, refused or served: all are fine
    }
  };
  await within("5,000 clients", Promise.all(Array.from({ length: 16 }, client)), 100_000);

  const isIdle = async () => {
    const { active, waiting } = await spawnd.status();
    return active === 0 && waiting === 0 && childrenOf(spawnd.pid).length === 0;
  };
  await until("it to be idle", isIdle);
  assertEquals(await descriptors(), before);
  const status = await spawnd.status();
  assertAddsUp(status);
  for (const outcome of ["ended", "failed", "denied", "busy", "handshake"]) {
    assert(Number(status[outcome]) > 0, `${outcome} did not happen`);
  }
  for (const reason of ["client-closed", "client-reset", "idle-timeout"]) {
    assert(spawnd.records({ message: "end", reason }).length > 0, `${reason} did not happen`);
  }
  // Every source can connect again.
  for (let i = 0; i < 50; i++) {
    assertEquals(text(await ask(spawnd.port, `${from(i)}x`)), "x");
    const { ended } = status;
    await until(
      "its end",
      async () => Number((await spawnd.status()).ended) === Number(ended) + i + 1,
    );
  }
  await Deno.remove(program);
});
