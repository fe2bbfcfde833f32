/** A server whose stdout and stderr have no reader, or whose children misuse them, goes on serving. */

import { assert, assertEquals } from "@std/assert";
import { ask, receive, send, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";
import { until, within } from "./_waiting.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** A server whose stderr is not read until the test does so. */
async function startUnread(...args: string[]) {
  using free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr;
  free.close();
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--allow-net", "--allow-run", `${ROOT}main.ts`],
      ...["--host", "127.0.0.1", "--port", `${port}`, "--log-format", "json", ...args],
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await until("the server to listen", async () => {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return true;
    } catch {
      return false;
    }
  });
  return { port, process };
}

/** Ends a server by SIGTERM; its exit status, and the log that was not read so far. */
async function stop(process: Deno.ChildProcess) {
  process.kill("SIGTERM");
  const log = new Response(process.stderr).text();
  const [status] = await within("the server to end", Promise.all([process.status, log]));
  await process.stdout.cancel();
  return { status, log: await log };
}

Deno.test("an unread stderr stops neither clients, nor the status listener, nor the shutdown", async () => {
  const { port, process } = await startUnread("--status", "0", "--", "cat");
  const reader = process.stdout.getReader();
  let stdout = "";
  await until("the status address", async () => {
    stdout += new TextDecoder().decode((await reader.read()).value);
    return /status on .*\n/.test(stdout);
  });
  reader.releaseLock();
  const [, url] = /status on (\S+)/.exec(stdout)!;
  // 200 bytes a record, two records a connection: a pipe holds those of some 160 connections.
  for (let i = 0; i < 500; i++) assertEquals(text(await ask(port, "hello")), "hello");
  const health = await within("its health", fetch(new URL("healthz", url)));
  assertEquals(await health.text(), "alive\n");

  process.kill("SIGTERM");
  const status = await within("the server to end", process.status);
  await process.stderr.cancel();
  await process.stdout.cancel();
  assertEquals(status.code, 0);
});

Deno.test("when a log is read again, it says how many lines were dropped", async () => {
  const { port, process } = await startUnread("--", "cat");
  for (let i = 0; i < 2600; i++) assertEquals(text(await ask(port, "")), "");
  const { status, log } = await stop(process);
  assertEquals(status.code, 0);
  const records = log.trimEnd().split("\n").map((line) => JSON.parse(line));
  const count = (message: string) => records.filter((record) => record.message === message).length;
  const [dropped] = records.filter(({ message }) => /were dropped/.test(message));
  assert(dropped && dropped.count > 0, log.slice(-500));
  assertEquals(count("open") + count("end") + dropped.count, 2 * 2601); // and the first client
});

Deno.test("a child that floods its stderr into the log does not displace other records", async () => {
  const { port, process } = await startUnread(
    "--stderr",
    "log",
    "--",
    "sh",
    "-c",
    "read x; eval $x",
  );
  using flooding = await Deno.connect({ hostname: "127.0.0.1", port });
  await send(flooding, "exec yes >&2\n");
  for (let i = 0; i < 30; i++) assertEquals(text(await ask(port, "echo hello\n")), "hello\n");
  flooding.close();
  const { status, log } = await stop(process);
  assertEquals(status.code, 0);
  const ends = log.split("\n").filter((line) => /"message":"end"/.test(line));
  assert(ends.length >= 31, `${ends.length} records`);
});

Deno.test("a client whose child is stuck on an inherited stderr delays no other client", async () => {
  const { port, process } = await startUnread(
    ...["--kill-timeout", "0.2", "--", "sh", "-c", "read x; eval $x"],
  );
  using stuck = await Deno.connect({ hostname: "127.0.0.1", port });
  await send(stuck, "echo started; exec yes >&2\n");
  await receive(stuck, 8);
  for (let i = 0; i < 30; i++) assertEquals(text(await ask(port, "echo hello\n")), "hello\n");
  stuck.close();
  process.kill("SIGTERM");
  const { code } = await within("the server to end", process.status);
  await process.stdout.cancel();
  await process.stderr.cancel();
  assertEquals(code, 0);
});

testWith(
  "node",
  "nodejs",
  "a child that makes the shared stderr non-blocking loses no record",
  async () => {
    await using spawnd = await Spawnd.start(
      ...[
        "--",
        "node",
        "-e",
        `process.stderr.write("x".repeat(1000) + "\\n"); process.stdin.pipe(process.stdout)`,
      ],
    );
    using conn = await spawnd.connect();
    await send(conn, "hello");
    assertEquals(text(await receive(conn, 5)), "hello");
    const refusals = 40;
    for (let i = 0; i < refusals; i++) assertEquals(text(await ask(spawnd.port, "hi")), "hi");
    await until("all records", () => spawnd.records({ message: "end" }).length === refusals);
  },
);
