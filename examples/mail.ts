/**
 * A mailbox for the mail of programs under test: it speaks SMTP (RFC 5321), takes every message, and
 * prints it on stderr. A client that sends no line in time, or one that is too long, is told so.
 *
 *     deno run --allow-net --allow-run main.ts --port 2525 examples/mail.ts 300
 *
 * The argument is how many seconds a line may take.
 *
 * @module
 */

import { type Client, LineTooLongError, serve, TimeoutError } from "@spawnd/spawnd/handler";

/** A line of RFC 5321 has up to 1,000 bytes with its end; many programs send longer ones. */
const LINE = { maxLength: 10_000, timeoutMs: Number(Deno.args[0] ?? 300) * 1000 };
const MAX_MESSAGE_LENGTH = 1_000_000;

/** The lines up to one with a dot only; `undefined` if they are too many, or that does not come. */
async function readMessage(client: Client): Promise<string | undefined> {
  let message = "";
  for await (const line of client.lines(LINE)) {
    if (line === ".") return message.length > MAX_MESSAGE_LENGTH ? undefined : message;
    if (message.length <= MAX_MESSAGE_LENGTH) message += `${line.replace(/^\./, "")}\n`;
  }
  return undefined;
}

/** The answer to a command. */
async function answer(line: string, client: Client): Promise<string> {
  const command = line.slice(0, 4).toUpperCase();
  if (/^(EHLO|HELO|MAIL|RCPT|RSET|NOOP)$/.test(command)) return "250 OK";
  if (command === "QUIT") return "221 Goodbye";
  if (command !== "DATA") return "500 Unknown command";
  await client.write("354 End with a dot\r\n");
  const message = await readMessage(client);
  if (message === undefined) return "552 The message is too long, or has no end";
  // Nothing that controls a terminal, or looks like a line of the log.
  const printable = message.trimEnd().replaceAll(/[^\n\P{C}]/gu, "?").replaceAll(/^/gm, "  | ");
  console.error(`from ${client.remote?.hostname}:\n${printable}`);
  return "250 OK";
}

await serve(async (client) => {
  const reply = (text: string) => client.write(`${text}\r\n`);
  await reply("220 Ready");
  try {
    for await (const line of client.lines(LINE)) {
      const text = await answer(line, client);
      await reply(text);
      if (text.startsWith("221")) return;
    }
  } catch (error) {
    if (error instanceof TimeoutError) await reply("421 That took too long, goodbye");
    else if (error instanceof LineTooLongError) await reply("500 That line is too long, goodbye");
    else throw error;
  }
});
