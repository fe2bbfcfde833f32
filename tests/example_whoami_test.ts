/**
 * A handler that knows its client, examples/whoami.ts.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { Certificates, testTls } from "./_certificates.ts";
import { dialogue, receiveLine, ROOT, start } from "./_examples.ts";
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
  await using spawnd = await start("examples/whoami.ts", {
    "main.ts ": "main.ts --accept-proxy 127.0.0.1 ",
  });
  const header = "PROXY TCP6 2001:db8::1 2001:db8::2 54321 443\r\n";
  assertEquals(
    text(await ask(spawnd.port, `${header}hello`)),
    "You are 2001:db8::1, port 54321.\nhello",
  );
});

testTls("whoami.ts names the TLS of its client", async () => {
  await using certificates = await Certificates.make();
  await using spawnd = await certificates.serve(`${ROOT}examples/whoami.ts`);
  const answer = await certificates.ask(spawnd, "hello");
  assertMatch(
    answer,
    /^You are 127\.0\.0\.1, port \d+\.\nYou speak TLSv1\.3, as anybody\.\nhello$/,
  );
});

Deno.test("an idle whoami.ts prints nothing when it is stopped", async () => {
  await using spawnd = await start("examples/whoami.ts");
  await until("warm children", async () => (await spawnd.status()).warm);
  assertEquals((await spawnd.stop()).code, 0);
  assertEquals(spawnd.lines, []);
});
