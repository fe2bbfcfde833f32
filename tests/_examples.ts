/**
 * The examples, started with the commands in their README.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { receive, send, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { until, untilSteady } from "./_waiting.ts";

export const ROOT = new URL("../", import.meta.url).pathname;
export const README = await Deno.readTextFile(`${ROOT}examples/README.md`);

/** The handlers that the README serves, in its order. */
export const HANDLERS = [
  "examples/echo.ts",
  "examples/guess.ts",
  "examples/whoami.ts",
  "examples/kv.ts",
  "examples/mail.ts",
  "git daemon",
  "busybox httpd",
  "examples/challenge.sh",
  "--websocket :8080 examples/guess.ts",
  "-- bc",
  "vmstat 1",
  "examples/chat.sh",
  "npm:@modelcontextprotocol/server-sequential-thinking",
  "examples/services.jsonc",
] as const;

/** Joins commands that are broken into lines, in Markdown or in a comment. */
export function joinLines(text: string): string {
  return text.replaceAll(/\\\n[ #*]*/g, "");
}

/** The README's commands that start a server, each on one line. */
export const COMMANDS = [...joinLines(README).matchAll(/^ {4}(deno run .*main\.ts.*)$/gm)]
  .map((match) => match[1]!);

/** Starts a server with the README's command, after some replacements. */
export async function start(
  handler: typeof HANDLERS[number],
  replacements: Record<string, string> = {},
): Promise<Spawnd> {
  let command = COMMANDS.find((command) => command.includes(handler))!;
  for (const [from, to] of Object.entries(replacements)) {
    assert(command.includes(from), `${from} is not in ${command}`);
    command = command.replaceAll(from, to);
  }
  const words = [...command.matchAll(/\$?'([^']*)'|\S+/g)].map(([word, quoted]) =>
    quoted?.replaceAll("\\n", "\n") ?? word
  );
  assertEquals(words.splice(0, 5), "deno run --allow-net --allow-run main.ts".split(" "));
  return await Spawnd.start(...words.map((word) => word.replace(/^examples\//, `${ROOT}$&`)));
}

/** The question and the answer that the README shows for this handler. */
export function dialogue(handler: typeof HANDLERS[number]): { question: string; answer: string } {
  const section = README.split("\n## ").find((section) => section.includes(handler))!;
  const [, question, answer] = /^ {4}\$ echo '?(.*?)'? \| nc -N 127\.0\.0\.1 9527\n((?: {4}.*\n)*)/m
    .exec(section)!;
  return { question: `${question}\n`, answer: answer!.replaceAll(/^ {4}/gm, "") };
}

export async function receiveLine(conn: Deno.Conn): Promise<string> {
  let line = "";
  while (!line.endsWith("\n")) line += text(await receive(conn, 1));
  return line.trimEnd();
}

/** How many bytes a process has read, from any descriptor (Linux: proc(5)). */
function bytesReadBy(pid: number): number {
  return Number(/^rchar: (\d+)$/m.exec(Deno.readTextFileSync(`/proc/${pid}/io`))![1]);
}

/** The process that serves a connection. */
export async function childOf(conn: Deno.TcpConn, spawnd: Spawnd): Promise<number> {
  const client = `127.0.0.1:${conn.localAddr.port}`;
  return Number((await spawnd.record({ message: "open", client })).pid);
}

/** Sends `pieces`, each after the child has read the previous one. */
export async function sendApart(
  conn: Deno.TcpConn,
  spawnd: Spawnd,
  pieces: string[],
): Promise<void> {
  const pid = await childOf(conn, spawnd);
  await untilSteady("the child to have started", () => bytesReadBy(pid));
  for (const piece of pieces) {
    const before = bytesReadBy(pid);
    await send(conn, piece);
    await until("the child to read", () => bytesReadBy(pid) > before);
  }
}
