/**
 * A handler that knows its client, examples/whoami.ts.
 */

import { assertEquals } from "@std/assert";
import { dialogue, receiveLine, sendApart, start } from "./_examples.ts";
import { ask, receiveAll, send, text } from "./_sockets.ts";
import { until } from "./_waiting.ts";

Deno.test("whoami.ts tells a client its address before any input, then echoes", async () => {
  await using spawnd = await start("examples/whoami.ts");
  using conn = await spawnd.connect();
  const greeting = `You are 127.0.0.1, port ${conn.localAddr.port}.`;
  assertEquals(await receiveLine(conn), greeting);
  await spawnd.record({ message: "open", start: "warm" });
  const header = "PROXY TCP4 192.0.2.1 198.51.100.7 54321 443\r\n"; // a second header is ordinary input
  await send(conn, header);
  await conn.closeWrite();
  assertEquals(text(await receiveAll(conn)), header);
  const { exit, reason } = await spawnd.record({ message: "end" });
  assertEquals([exit, reason], [0, "client-closed"]);

  const { question, answer } = dialogue("examples/whoami.ts");
  const port = /\d+(?=\.\n)/;
  assertEquals(text(await ask(spawnd.port, question)).replace(port, ""), answer.replace(port, ""));
});

Deno.test("whoami.ts names the client behind a proxy", async () => {
  const proxy = "--accept-proxy 127.0.0.1 --send-proxy 1";
  await using spawnd = await start("examples/whoami.ts", { "--send-proxy 1": proxy });
  const header = "PROXY TCP6 2001:db8::1 2001:db8::2 54321 443\r\n";
  assertEquals(
    text(await ask(spawnd.port, `${header}hello`)),
    "You are 2001:db8::1, port 54321.\nhello",
  );
});

/** Headers, and how whoami.ts greets their clients. */
const HEADERS = {
  "PROXY TCP4 192.0.2.1 198.51.100.7 54321 443\r\n": "You are 192.0.2.1, port 54321.\n",
  "PROXY TCP6 2001:db8::1 2001:db8::2 54321 443\r\n": "You are 2001:db8::1, port 54321.\n",
  "PROXY UNKNOWN\r\n": "I cannot tell who you are.\n",
  [`PROXY UNKNOWN${" ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".repeat(2)} 65535 65535\r\n`]:
    "I cannot tell who you are.\n", // the longest possible
};

Deno.test("whoami.ts reads a header in pieces, or together with what follows", async () => {
  for (const [header, greeting] of Object.entries(HEADERS)) {
    // Without --send-proxy the client can send any header itself.
    await using spawnd = await start("examples/whoami.ts", { "--send-proxy 1 ": "" });
    assertEquals(text(await ask(spawnd.port, `${header}\nhello\n`)), `${greeting}\nhello\n`);
    await spawnd.record({ message: "end", exit: 0 });
    using conn = await spawnd.connect();
    const pieces = [header.slice(0, 3), header.slice(3, -1), header.slice(-1), "hel", "lo"];
    await sendApart(conn, spawnd, pieces);
    await conn.closeWrite();
    assertEquals(text(await receiveAll(conn)), `${greeting}hello`);
  }
});

Deno.test("whoami.ts gives up on a bad header, and waits for no more than the longest", async () => {
  for (const junk of ["GET / HTTP/1.1\r\n", "PROXY TCP4 x\r\n", "PROXY ".padEnd(107, "x")]) {
    await using spawnd = await start("examples/whoami.ts", { "--send-proxy 1 ": "" });
    using conn = await spawnd.connect();
    await send(conn, junk);
    assertEquals(text(await receiveAll(conn)), ""); // though the client has not ended its input
    conn.close();
    await spawnd.record({ message: "end", exit: 1 });
    await until("its message", () => spawnd.lines.length > 0);
    assertEquals(spawnd.lines, [
      "whoami.ts got no PROXY header: start spawnd with --send-proxy 1",
    ]);
  }
});

Deno.test("an idle whoami.ts prints nothing when it is stopped", async () => {
  await using spawnd = await start("examples/whoami.ts");
  await until("warm children", async () => (await spawnd.status()).warm);
  assertEquals((await spawnd.stop()).code, 0);
  assertEquals(spawnd.lines, []);
});
