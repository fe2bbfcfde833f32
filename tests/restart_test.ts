/** A restart on a listening socket that somebody else holds open loses no client. */

import { assertEquals } from "@std/assert";
import { Supervisor } from "./_inherited.ts";
import { receiveAll, send, text } from "./_sockets.ts";
import { testWith } from "./_test_with.ts";
import { until, within } from "./_waiting.ts";

const RESTARTS = 5;

/** Asks over a connection, in two parts, and reads the whole answer. */
async function converse(conn: Deno.Conn): Promise<string> {
  await send(conn, "hel");
  await send(conn, "lo");
  await conn.closeWrite();
  return text(await receiveAll(conn));
}

/** Restarts the server again and again while clients come; none of them may be lost. */
async function restartUnderLoad(
  supervisor: Supervisor,
  connect: () => Promise<Deno.Conn>,
): Promise<void> {
  let [answers, isOver] = [0, false];
  const wrong: string[] = [];
  const client = async () => {
    while (!isOver) {
      try {
        using conn = await connect();
        const answer = await converse(conn);
        if (answer !== "hello") wrong.push(answer);
      } catch (error) {
        wrong.push(String(error));
      }
      answers++;
    }
  };
  const clients = Array.from({ length: 8 }, client);
  for (let restart = 0; restart < RESTARTS; restart++) {
    const before = answers;
    await until("answers", () => answers > before + 30);
    assertEquals(await supervisor.restart(), 0);
  }
  isOver = true;
  await within("the last answers", Promise.all(clients));
  assertEquals(wrong, []);
  assertEquals(await supervisor.end(), 0);
}

testWith("python3", "python3", "restarts on a held TCP socket lose no client", async () => {
  await using supervisor = new Supervisor("127.0.0.1:0", "--log-level", "warn", "--", "cat");
  const port = await supervisor.start();
  await restartUnderLoad(supervisor, () => Deno.connect({ hostname: "127.0.0.1", port }));
});

testWith("python3", "python3", "restarts on a held Unix socket lose no client", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/s`;
  {
    await using supervisor = new Supervisor(path, "--log-level", "warn", "--", "cat");
    await supervisor.start();
    await restartUnderLoad(supervisor, () => Deno.connect({ transport: "unix", path }));
  }
  await Deno.remove(folder, { recursive: true });
});

testWith(
  "python3",
  "python3",
  "restarts of a full server on a held socket lose no client",
  async () => {
    await using supervisor = new Supervisor(
      "127.0.0.1:0",
      ...["--log-level", "error", "--max-connections", "2", "--queue", "1", "--", "cat"],
    );
    const port = await supervisor.start();
    await restartUnderLoad(supervisor, () => Deno.connect({ hostname: "127.0.0.1", port }));
  },
);
