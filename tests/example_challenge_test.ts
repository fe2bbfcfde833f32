/**
 * The challenge host, examples/challenge.sh.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { childOf, dialogue, receiveLine, start } from "./_examples.ts";
import { ask, receiveAll, send, text } from "./_sockets.ts";
import type { Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";

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
