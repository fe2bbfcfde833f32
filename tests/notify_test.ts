/**
 * What the server tells the service manager that has started it, and what it does when that does
 * not listen.
 */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Notifier } from "../lib/systemd/notify.ts";
import { NotifySocket } from "./_notify_socket.ts";
import { childrenOf } from "./_processes.ts";
import { freePort, makeFolder } from "./_service.ts";
import { ask, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { until, within } from "./_waiting.ts";

const VARIABLES = "--allow-env=NOTIFY_SOCKET,WATCHDOG_USEC,WATCHDOG_PID";

/** Starts a server that notifies `socket` with the permissions of the unit in deploy/. */
function notifying(socket: string, env: Record<string, string>, ...args: string[]): Spawnd {
  const permissions = ["--allow-net", "--allow-run", "--allow-sys=osUptime", VARIABLES];
  if (!socket.startsWith("@")) permissions.push(`--allow-write=${socket}`);
  return Spawnd.startingIn({ permissions, env: { NOTIFY_SOCKET: socket, ...env } }, ...args);
}

/** Calls `use` with a socket of a service manager, at a path or with an abstract name. */
async function withManager(
  use: (manager: NotifySocket) => Promise<void>,
  isAbstract = false,
): Promise<void> {
  await using folder = await makeFolder();
  const path = `${folder.path}/notify`;
  await using manager = new NotifySocket(isAbstract ? `@${path}` : path);
  await use(manager);
}

Deno.test("the server is ready as soon as a client can connect, and not before", async () => {
  for (const isAbstract of [false, true]) {
    await withManager(async (manager) => {
      const port = freePort();
      await using spawnd = notifying(manager.path, {}, "--port", `${port}`, "--", "cat");
      assertEquals(await manager.next(), { READY: "1", STATUS: "0 connections" });
      assertEquals(text(await ask(port, "hello")), "hello");
      assertEquals((await spawnd.stop()).code, 0);
    }, isAbstract);
  }
});

Deno.test("a server that cannot listen is never ready", async () => {
  await withManager(async (manager) => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using spawnd = notifying(manager.path, {}, "--port", `${taken.addr.port}`, "--", "cat");
    assertEquals((await spawnd.ended()).code, 1);
    await assertRejects(() => manager.next(0), Error, "for a notification");
  });
});

/** The seconds since the system started (proc(5)). */
function uptime(): number {
  return parseFloat(Deno.readTextFileSync("/proc/uptime"));
}

Deno.test("SIGHUP is a reload from a time on, until the server is ready again", async () => {
  await withManager(async (manager) => {
    await using spawnd = notifying(manager.path, {}, "--", "cat");
    await manager.message("READY");
    const signalledAt = uptime();
    spawnd.kill("SIGHUP");
    const { MONOTONIC_USEC, ...message } = await manager.next();
    assertEquals(message, { RELOADING: "1", STATUS: "reloading" });
    const seconds = Number(MONOTONIC_USEC) / 1e6;
    assert(seconds >= signalledAt && seconds < uptime() + 1.01, `${seconds} from ${signalledAt}`);
    assertEquals(await manager.next(), { READY: "1", STATUS: "0 connections" });
    await spawnd.record({ message: "reloaded" });
  });
});

Deno.test("after reloads that overlap, the server is ready when the last one is done", async () => {
  await withManager(async (manager) => {
    Deno.env.set("NOTIFY_SOCKET", manager.path);
    using notifier = Notifier.open(() => "fine")!;
    Deno.env.delete("NOTIFY_SOCKET");
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const reloads = [notifier.reload(() => first.promise), notifier.reload(() => second.promise)];
    for (const _ of reloads) assertEquals((await manager.next()).RELOADING, "1");
    first.resolve();
    await reloads[0];
    await assertRejects(() => manager.next(50), Error, "for a notification");
    second.resolve();
    assertEquals(await manager.next(), { READY: "1", STATUS: "fine" });
    await reloads[1];

    notifier.stopping();
    assertEquals(await manager.next(), { STOPPING: "1", STATUS: "fine" });
    await notifier.reload(() => Promise.resolve());
    notifier.ready();
    await assertRejects(() => manager.next(50), Error, "for a notification");
  });
});

Deno.test("SIGTERM is the beginning of a stop, with the connections that are left", async () => {
  await withManager(async (manager) => {
    await using spawnd = notifying(manager.path, {}, "--", "cat");
    await spawnd.listening();
    using _ = await spawnd.connect();
    await spawnd.record({ message: "open" });
    await manager.message("READY");
    spawnd.kill("SIGTERM");
    assertEquals(await manager.next(), { STOPPING: "1", STATUS: "draining 1 connection" });
  });
});

Deno.test("an idle server says that it stops before it has stopped", async () => {
  for (let round = 0; round < 5; round++) {
    await withManager(async (manager) => {
      await using spawnd = notifying(manager.path, {}, "--log-level", "error", "--", "cat");
      await manager.message("READY");
      assertEquals((await spawnd.stop()).code, 0);
      assertEquals((await manager.next()).STOPPING, "1");
    });
  }
});

Deno.test("the server gives a sign of life twice in the time the watchdog allows", async () => {
  await withManager(async (manager) => {
    await using spawnd = notifying(manager.path, { WATCHDOG_USEC: "1000000" }, "--", "cat");
    await spawnd.listening();
    using _ = await spawnd.connect();
    await spawnd.record({ message: "open" });
    await manager.message("WATCHDOG");
    for (let sign = 0; sign < 3; sign++) {
      const sinceMs = performance.now();
      assertEquals(await manager.next(), { WATCHDOG: "1", STATUS: "1 connection" });
      const afterMs = performance.now() - sinceMs;
      assert(afterMs > 250 && afterMs < 1_000, `after ${afterMs} ms`);
    }
  });
});

Deno.test("a server that hangs gives no sign of life", async () => {
  await withManager(async (manager) => {
    await using spawnd = notifying(manager.path, { WATCHDOG_USEC: "200000" }, "--", "cat");
    await manager.message("WATCHDOG");
    spawnd.kill("SIGSTOP");
    const isStopped = () =>
      /^State:\s+T/m.test(Deno.readTextFileSync(`/proc/${spawnd.pid}/status`));
    await until("the server to hang", isStopped);
    await assertRejects(
      async () => { // a few may have been on their way
        for (let sign = 0; sign < 3; sign++) await manager.next(400);
      },
      Error,
      "for a notification",
    );
    spawnd.kill("SIGCONT");
    await manager.message("WATCHDOG");
  });
});

Deno.test("a watchdog that is meant for another process gets no sign of life", async () => {
  await withManager(async (manager) => {
    const env = { WATCHDOG_USEC: "20000", WATCHDOG_PID: "1" };
    await using _ = notifying(manager.path, env, "--", "cat");
    await manager.message("READY");
    await assertRejects(() => manager.next(200), Error, "for a notification");
  });
});

Deno.test("a server whose service manager has gone serves, and warns once", async () => {
  await using folder = await makeFolder();
  const env = { WATCHDOG_USEC: "10000" };
  await using spawnd = notifying(`${folder.path}/none`, env, "--", "cat");
  await spawnd.listening();
  await spawnd.record({ level: "WARN", message: "cannot notify the service manager" });
  assertEquals(text(await ask(spawnd.port, "hello")), "hello");
  assertEquals((await spawnd.stop()).code, 0);
  assertEquals(spawnd.records({ level: "WARN" }).map(({ error }) => error), [
    "No such file or directory (os error 2)",
  ]);
});

Deno.test("a service manager that is there again is logged", async () => {
  await using folder = await makeFolder();
  const path = `${folder.path}/notify`;
  await using spawnd = notifying(path, { WATCHDOG_USEC: "10000" }, "--", "cat");
  await spawnd.listening();
  await spawnd.record({ level: "WARN", message: "cannot notify the service manager" });
  await using manager = new NotifySocket(path);
  await manager.message("WATCHDOG");
  await spawnd.record({ level: "INFO", message: "the service manager is notified again" });
});

Deno.test("a service manager that reads nothing delays neither clients nor the end", async () => {
  await using folder = await makeFolder();
  const path = `${folder.path}/notify`;
  const manager = Deno.listenDatagram({ transport: "unixpacket", path });
  const senders: Deno.DatagramConn[] = [];
  let sending;
  for (let sent = 0;; sent++) {
    if (sent % 200 === 0) { // what one socket may have under way is limited too
      const own = `\0${path}.${sent}`;
      senders.unshift(Deno.listenDatagram({ transport: "unixpacket", path: own }));
    }
    sending = senders[0]!.send(new Uint8Array(1), { transport: "unixpacket", path });
    if (await isPending(sending)) break;
  }
  await using spawnd = notifying(path, { WATCHDOG_USEC: "2000" }, "--", "cat");
  await spawnd.listening();
  assertEquals(text(await ask(spawnd.port, "hello")), "hello");
  assertEquals((await spawnd.stop()).code, 0);
  assertEquals(spawnd.records({ level: "WARN" }), []);
  for (const socket of [manager, ...senders]) socket.close();
  await sending.catch(() => {});
});

/** Whether a promise is still pending after a while. */
function isPending(promise: Promise<unknown>): Promise<boolean> {
  return within("it", promise, 200).then(() => false, () => true);
}

Deno.test("without permission the server serves, and names the flags to add", async () => {
  const socket = "/run/systemd/notify";
  const env = { NOTIFY_SOCKET: socket };
  const warningsWith = async (...permissions: string[]) => {
    await using spawnd = Spawnd.startingIn({ permissions, env }, "--", "cat");
    assertEquals(text(await ask(await spawnd.listening(), "hello")), "hello");
    assertEquals((await spawnd.stop()).code, 0);
    return spawnd.records({ level: "WARN" }).map(({ error }) => error);
  };
  assertEquals(await warningsWith("--allow-net", "--allow-run", VARIABLES), [
    `Deno does not allow it: add --allow-write=${socket}`,
  ]);
  assertEquals(await warningsWith("--allow-net=127.0.0.1", "--allow-run", VARIABLES), [
    `Deno does not allow it: add --allow-net --allow-write=${socket}`,
  ]);
  assertEquals(await warningsWith("--allow-net", "--allow-run"), []);
});

Deno.test("a child cannot find the service manager", async () => {
  for (const warm of ["0", "1"]) {
    await withManager(async (manager) => {
      const env = { WATCHDOG_USEC: "60000000", WATCHDOG_PID: "1" };
      await using spawnd = notifying(
        manager.path,
        env,
        ...[
          "--warm",
          warm,
          "--",
          "sh",
          "-c",
          "cat >/dev/null; env | grep -E 'NOTIFY|WATCHDOG' | sort",
        ],
      );
      const port = await spawnd.listening();
      await until("its warm child", () => childrenOf(spawnd.pid).length === Number(warm));
      assertEquals(
        text(await ask(port, "")),
        "NOTIFY_SOCKET=\nWATCHDOG_PID=\nWATCHDOG_USEC=\n",
      );
      assertMatch(Deno.readTextFileSync(`/proc/${spawnd.pid}/environ`), /NOTIFY_SOCKET=./);
    });
  }
});
