/**
 * The mailbox, examples/mail.ts: a line protocol with timeouts.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { receiveLine, start } from "./_examples.ts";
import { ask, receiveAll, send, text } from "./_sockets.ts";
import type { Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";
import { until } from "./_waiting.ts";

/** Starts the server; a line may take `seconds`. */
function serve(seconds: number): Promise<Spawnd> {
  return start("examples/mail.ts", { "--port 2525 ": "", " 300": ` ${seconds}` });
}

Deno.test("mail.ts takes messages and prints them, with nothing that controls a terminal", async () => {
  await using spawnd = await serve(300);
  const mail = ["DATA", "Subject: a", "", "..dot", "\x1b[31mred", "."];
  const lines = [
    "EHLO me",
    "mail from:<a@b>",
    "RCPT TO:<c@d>",
    ...mail,
    "NOOP",
    "BREW",
    "QUIT",
    "NOOP",
  ];
  const answer = text(await ask(spawnd.port, lines.map((line) => `${line}\r\n`).join("")));
  assertEquals(answer.match(/^\d+/gm)!.join(" "), "220 250 250 250 354 250 250 500 221");
  await until("the message", () => spawnd.lines.length >= 5);
  assertEquals(spawnd.lines, [
    "from 127.0.0.1:",
    "  | Subject: a",
    "  | ",
    "  | .dot",
    "  | ?[31mred",
  ]);
});

Deno.test("mail.ts tells a client that keeps it waiting, and ends", async () => {
  await using spawnd = await serve(0.2);
  for (const first of ["", "NOO", "DATA\r\nabc\r\n"]) { // before, within and after a line
    using conn = await spawnd.connect();
    await send(conn, first);
    assertMatch(text(await receiveAll(conn)), /^220 Ready\r\n(354 .*\r\n)?421 .*\r\n$/);
  }
  await spawnd.record({ message: "end", exit: 0 });
  assertEquals(spawnd.lines, []);
});

Deno.test("mail.ts tells a client whose line is too long, and ends", async () => {
  await using spawnd = await serve(300);
  assertMatch(text(await ask(spawnd.port, "x".repeat(20_000))), /^220 Ready\r\n500 .* long.*\r\n$/);
});

Deno.test("mail.ts refuses a message that is too long, and goes on", async () => {
  await using spawnd = await serve(300);
  const message = `${"x".repeat(9_000)}\r\n`.repeat(120);
  const answer = text(await ask(spawnd.port, `DATA\r\n${message}.\r\nNOOP\r\nDATA\r\nno end`));
  assertEquals(answer.match(/^\d+/gm)!.join(" "), "220 354 552 250 354 552");
  assertEquals(spawnd.lines, []);
});

Deno.test("mail.ts greets a client before it has sent anything", async () => {
  await using spawnd = await serve(300);
  using conn = await spawnd.connect();
  assertEquals(await receiveLine(conn), "220 Ready");
});

testWith("curl", "curl", "mail.ts takes what curl sends", async () => {
  await using spawnd = await serve(300);
  const letter = await Deno.makeTempFile();
  await Deno.writeTextFile(letter, "Subject: hello\r\n\r\nHello.\r\n");
  const { success, stderr } = await new Deno.Command("curl", {
    args: [
      ...["--silent", "--show-error", `smtp://127.0.0.1:${spawnd.port}`],
      ...["--mail-from", "a@example.com", "--mail-rcpt", "b@example.com", "-T", letter],
    ],
  }).output();
  assertEquals([success, text(stderr)], [true, ""]);
  await until("the message", () => spawnd.lines.length >= 4);
  assertEquals(spawnd.lines.slice(0, 4), [
    "from 127.0.0.1:",
    "  | Subject: hello",
    "  | ",
    "  | Hello.",
  ]);
  await Deno.remove(letter);
});
