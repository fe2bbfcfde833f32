/**
 * How connections end, each rule tested with a real socket and a real process.
 */

import { assert, assertEquals } from "@std/assert";
import { descriptorsOf, isAlive, untilOutputStops } from "./_processes.ts";
import {
  ask,
  connectFrom,
  connectToReset,
  receive,
  receiveAll,
  receiveEach,
  send,
  text,
} from "./_sockets.ts";
import { serveScript, Spawnd } from "./_spawnd.ts";
import { untilSteady } from "./_waiting.ts";

const MB = 1024 * 1024;

Deno.test("a client that half-closes gets an answer two seconds later", async () => {
  await using spawnd = await serveScript("cat >/dev/null; sleep 2; echo done");
  assertEquals(text(await ask(spawnd.port, "question")), "done\n");
  const end = await spawnd.record({ message: "end" });
  assertEquals([end.in, end.out, end.exit, end.reason], [8, 5, 0, "client-closed"]);
});

Deno.test("a child that stays silent after end of input is stopped", async () => {
  await using spawnd = await serveScript(
    "exec sleep 60",
    "--eof-timeout",
    "0.3",
    "--kill-timeout",
    "10",
  );
  assertEquals(text(await ask(spawnd.port, "question")), "");
  const end = await spawnd.record({ message: "end" });
  assertEquals([end.exit, end.reason], ["SIGTERM", "eof-timeout"]);
  assert(Number(end.seconds) < 5, `its input ended long before, yet it took ${end.seconds} s`);
});

Deno.test("a child that keeps writing after end of input is not stopped", async () => {
  await using spawnd = await serveScript(
    "cat >/dev/null; for i in 1 2 3 4 5 6; do sleep 0.2; echo $i; done",
    "--eof-timeout",
    "0.6",
  );
  assertEquals(text(await ask(spawnd.port, "")), "1\n2\n3\n4\n5\n6\n");
  assertEquals((await spawnd.record({ message: "end" })).reason, "client-closed");
});

Deno.test("a child blocked by a slow client is not silent", async () => {
  await using spawnd = await serveScript("exec head -c 50000000 /dev/zero", "--eof-timeout", "0.2");
  using conn = await spawnd.connect();
  await conn.closeWrite();
  const { pid } = await spawnd.record({ message: "open" });
  await untilOutputStops(Number(pid)); // for longer than the timeout
  let length = 0;
  await receiveEach(conn, (chunk) => length += chunk.length);
  assertEquals(length, 50_000_000);
  assertEquals((await spawnd.record({ message: "end" })).reason, "client-closed");
});

Deno.test("--eof-timeout 0 never stops a silent child", async () => {
  await using spawnd = await serveScript(
    "cat >/dev/null; sleep 1; echo late",
    "--eof-timeout",
    "0",
  );
  assertEquals(text(await ask(spawnd.port, "")), "late\n");
});

Deno.test("a child that exits with 200 KB of input unread causes no reset", async () => {
  await using spawnd = await serveScript("echo bye");
  using conn = await spawnd.connect();
  await send(conn, new Uint8Array(200_000));
  assertEquals(text(await receiveAll(conn)), "bye\n");
  conn.close();
  assertEquals((await spawnd.record({ message: "end" })).reason, "child-closed");
});

Deno.test("input after a child's exit is dropped, without a reset", async () => {
  await using spawnd = await serveScript("read -r line; echo bye");
  using conn = await spawnd.connect();
  await send(conn, "line\n");
  assertEquals(text(await receive(conn, 4)), "bye\n");
  for (let i = 0; i < 50; i++) {
    await send(conn, new Uint8Array(1000));
    await new Promise((resolve) => setTimeout(resolve, 10)); // a slow client
  }
  assertEquals(text(await receiveAll(conn)), "");
});

Deno.test("a client that never closes is dropped soon after its child exits", async () => {
  await using spawnd = await serveScript("echo bye");
  using conn = await spawnd.connect();
  assertEquals(text(await receiveAll(conn)), "bye\n");
  const end = await spawnd.record({ message: "end" });
  assert(Number(end.seconds) < 10, `lingered ${end.seconds} s`);
});

Deno.test("a child that closes its stdin can still write, and its input is dropped", async () => {
  await using spawnd = await serveScript("exec <&-; sleep 0.5; echo still; sleep 0.2; echo here");
  using conn = await spawnd.connect();
  await send(conn, new Uint8Array(MB));
  assertEquals(text(await receiveAll(conn)), "still\nhere\n");
  conn.close();
  const end = await spawnd.record({ message: "end" });
  assertEquals([end.exit, end.reason], [0, "child-closed"]);
});

Deno.test("a child that closes its stdout is stopped once its client's input ends too", async () => {
  await using spawnd = await serveScript(
    "echo bye; exec >&-; exec sleep 60",
    "--kill-timeout",
    "1",
  );
  using conn = await spawnd.connect();
  assertEquals(text(await receiveAll(conn)), "bye\n");
  conn.close();
  const { pid } = await spawnd.record({ message: "open" });
  assert(isAlive(Number(pid)), "the client sees end of input while the child lives");
  const end = await spawnd.record({ message: "end" });
  assertEquals([end.exit, end.reason], ["SIGTERM", "child-closed"]);
});

Deno.test("after a client's reset the ladder ends even a child that ignores signals", async () => {
  await using spawnd = await serveScript(
    "trap '' TERM PIPE; echo ready; while :; do sleep 0.05; done",
    "--kill-timeout",
    "0.2",
  );
  const reset = await connectToReset(spawnd.port);
  const { pid } = await spawnd.record({ message: "open" });
  await reset();
  const end = await spawnd.record({ message: "end" });
  assertEquals([end.exit, end.reason], ["SIGKILL", "client-reset"]);
  assert(Number(end.seconds) >= 0.4, `two rungs of 0.2 s took ${end.seconds} s`);
  assertEquals(isAlive(Number(pid)), false);
});

Deno.test("a child that only writes gets EPIPE when its client is gone", async () => {
  await using spawnd = await serveScript("trap '' PIPE; while echo x; do :; done 2>/dev/null");
  const reset = await connectToReset(spawnd.port);
  const { pid } = await spawnd.record({ message: "open" });
  await reset();
  const end = await spawnd.record({ message: "end" });
  assertEquals([end.exit, end.reason], [0, "client-reset"]);
  assertEquals(isAlive(Number(pid)), false);
});

Deno.test("a server with 300 resets in its backlog keeps serving", async () => {
  await using spawnd = await Spawnd.start("--", "cat");
  spawnd.kill("SIGSTOP");
  const resets = await Promise.all(Array.from({ length: 300 }, () => connectToReset(spawnd.port)));
  await Promise.all(resets.map((reset) => reset()));
  spawnd.kill("SIGCONT");
  assertEquals(text(await ask(spawnd.port, "hello")), "hello");
  assertEquals(spawnd.records({ level: "WARN" }), []);
});

Deno.test("the record says how the child ended", async () => {
  for (
    const [script, exit] of [["exit 3", 3], ["kill -9 $$", "SIGKILL"], ["kill -40 $$", "unknown"]]
  ) {
    await using spawnd = await serveScript(String(script));
    assertEquals(text(await ask(spawnd.port, "")), "");
    assertEquals((await spawnd.record({ message: "end" })).exit, exit);
  }
});

Deno.test("a process that is left alone holds the connection only while it writes", async () => {
  await using spawnd = await serveScript(
    "(echo one; sleep 0.2; echo two; exec sleep 5 2>/dev/null) & exit 0",
    ...["--leave", "--eof-timeout", "1"],
  );
  const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
  const before = await descriptors();
  using conn = await spawnd.connect();
  assertEquals(text(await receiveAll(conn)), "one\ntwo\n");
  conn.close();
  const end = await spawnd.record({ message: "end" });
  assertEquals([end.exit, end.reason], [0, "eof-timeout"]);
  assertEquals(await descriptors(), before);
});

Deno.test("a process that is left alone cannot hold the connection by its stdin", async () => {
  await using spawnd = await serveScript(
    "exec 3<&0; sleep 5 <&3 >/dev/null 2>&1 & exit 0",
    "--leave",
  );
  using conn = await spawnd.connect();
  const sending = send(conn, new Uint8Array(10 * MB)).catch(() => {}); // more than all buffers hold
  const end = await spawnd.record({ message: "end" });
  assert(Number(end.seconds) < 4, `held for ${end.seconds} s`);
  conn.close();
  await sending;
});

Deno.test("a stopped child whose client has reset is ended, though it takes no input", async () => {
  await using spawnd = await Spawnd.start(
    ...["--kill-timeout", "0.2", "--", "sh", "-c", "kill -STOP $$; cat"],
  );
  const socket = await connectFrom("127.0.0.1", spawnd.port);
  const { pid } = await spawnd.record({ message: "open" });
  for (let sent = 0; sent < 10 * MB; sent += 100_000) socket.write(new Uint8Array(100_000));
  await untilSteady("the bytes that the server takes", () => socket.bytesWritten);
  assert(socket.writableLength > 0);
  socket.resetAndDestroy();
  assertEquals((await spawnd.record({ message: "end" })).reason, "client-reset");
  assert(!isAlive(Number(pid)));
});

Deno.test("when the program has been removed, the client is refused with a warning", async () => {
  const program = await Deno.makeTempFile();
  await Deno.writeTextFile(program, "#!/bin/sh\nexec cat\n");
  await Deno.chmod(program, 0o755);
  await using spawnd = await Spawnd.start("--no-group", "--", program);
  assertEquals(text(await ask(spawnd.port, "before")), "before");
  await Deno.rename(program, `${program}.away`);
  using conn = await spawnd.connect();
  assertEquals(text(await receiveAll(conn)), "");
  const warning = await spawnd.record({ level: "WARN" });
  assert(/^cannot start a child/.test(warning.message), warning.message);
  assert(String(warning.error).includes("NotFound"), String(warning.error));
  await Deno.rename(`${program}.away`, program);
  assertEquals(text(await ask(spawnd.port, "after")), "after");
  await Deno.remove(program);
  const { ended, failed, spawned, spawnFailures } = await spawnd.status();
  assertEquals({ ended, failed, spawned, spawnFailures }, {
    ended: 2,
    failed: 1,
    spawned: 2,
    spawnFailures: 1,
  });
});
