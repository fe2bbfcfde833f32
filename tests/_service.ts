/**
 * Runs commands, and the counter service as a service manager would.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { ask, text } from "./_sockets.ts";
import { until, within } from "./_waiting.ts";

/** Runs a command to completion. */
export async function run(
  [command, ...args]: readonly string[],
  options: Deno.CommandOptions = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, ...output } = await new Deno.Command(command!, { ...options, args }).output();
  return { code, stdout: text(output.stdout), stderr: text(output.stderr) };
}

/** A temporary folder, removed on disposal even if it has become read-only. */
export async function makeFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempDir();
  return {
    path,
    async [Symbol.asyncDispose]() {
      await run(["chmod", "-R", "u+w", path]);
      await Deno.remove(path, { recursive: true });
    },
  };
}

/** Ports that have been given to somebody. */
const given = new Set<number>();

/** A port that is free now, and another one each time. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  if (given.has(port)) return freePort();
  given.add(port);
  return port;
}

/**
 * Starts the counter service with this command as a service manager would, calls `use`, and stops the
 * service with SIGTERM. Returns what it wrote to stderr.
 */
export async function serve(
  [command, ...args]: readonly string[],
  env: Record<string, string>,
  use: () => Promise<void> = async () => {},
): Promise<string> {
  const port = freePort();
  const child = new Deno.Command(command!, {
    args: [...args, "--host", "127.0.0.1", "--port", `${port}`],
    cwd: "/",
    env,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const stderr = new Response(child.stderr).text();
  let exited = false;
  const status = child.status.finally(() => exited = true);
  try {
    const answer = await until("a first reply", async () => {
      assert(!exited, exited ? await stderr : "");
      return await ask(port, "hello").catch(() => null);
    });
    assertMatch(text(answer), /^This is server send message:0\0/);
    await use();
    child.kill("SIGTERM");
    assertEquals((await within("its end", status)).code, 0);
    return await stderr;
  } finally {
    if (!exited) child.kill("SIGKILL");
    await status;
  }
}
