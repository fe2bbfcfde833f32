/**
 * The bench's client that speaks WebSocket.
 */

import { assert, assertMatch } from "@std/assert";
import { Running } from "../bench/running.ts";
import { findServers, type Handler } from "../bench/servers.ts";
import { samplesOf } from "./_bench.ts";

/** Starts a server of the bench with WebSockets. */
async function startWebSocket(name: string, handler: Handler): Promise<Running> {
  const { servers } = await findServers("/nonexistent");
  const server = servers.find((server) => server.name === name)!;
  return await Running.start(server, { handler, options: [], isWebSocket: true });
}

Deno.test("a load over WebSockets has lines for an echo, and bytes for the counter service", async () => {
  await using counter = await startWebSocket("spawnd", "deno");
  await using echo = await startWebSocket("spawnd", "native");
  for (const { target } of [counter, echo]) {
    for (const measure of ["first", "last", "arrivals", "rtt", "messages", "rate"] as const) {
      const samples = await samplesOf({ ...target, measure, clients: 3, rate: 50 });
      assert(samples.every((s) => s > 0 && s < Infinity), `${measure}: ${samples}`);
    }
  }
});

const bytes = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
const HEAD = "HTTP/1.1 101 OK\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const HELLO = "\x81\x05hello";
const CLOSE = "\x88\x02\x03\xe8";

/**
 * Answers the handshake and the first message, if there are answers, and closes at whatever comes
 * then.
 */
function serveWebSocket(head: string, answer: string) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    using conn = await listener.accept();
    const buffer = new Uint8Array(4096);
    for (const part of [head, answer]) {
      if (part === "") return;
      await conn.read(buffer);
      await conn.write(bytes(part));
    }
    await conn.read(buffer).catch(() => {}); // the client may have left with a reset
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
    },
  };
}

Deno.test("a load over WebSockets checks handshake, frames and bytes", async () => {
  const cases: [head: string, answer: string, message: RegExp][] = [
    [HEAD, HELLO + CLOSE, /^$/],
    ["HTTP/1.1 403 Forbidden\r\n\r\n", "", /^the handshake failed: HTTP\/1\.1 403 Forbidden$/],
    [HEAD.replace("101", "200"), "", /^the handshake failed/],
    [HEAD.replace("xOo=", "xOp="), "", /^the handshake failed/],
    [HEAD.slice(0, -1), "", /^the connection ended$/],
    [HEAD, "\x81\x05hellp", /^byte 4 is 112, not 111$/],
    [HEAD, "\x81\x04hell", /^4 bytes came, not 5$/],
    [HEAD, "\x82\x05hello", /^a frame begins with byte 130$/], // not text
    [HEAD, "\x01\x05hello", /^a frame begins with byte 1$/], // not the end of a message
    [HEAD, `\x81\x7e\x00\x05hello${CLOSE}`, /^$/], // allowed here: the payload is the same
    [HEAD, HELLO, /^the connection ended$/], // without a close frame
    [HEAD, `${HELLO}\x81\x00${CLOSE}`, /^a frame begins with byte 129$/],
    [HEAD, `${HELLO}\x88\x02\x03\xe9`, /^byte 1 is 233, not 232$/],
    [HEAD, `${HELLO}${CLOSE}\x00`, /^the server sent too much$/],
  ];
  for (const [head, answer, message] of cases) {
    await using server = serveWebSocket(head, answer);
    const load = { measure: "rtt", port: server.port, service: "echo", clients: 1 } as const;
    const failure = await samplesOf({ ...load, isWebSocket: true })
      .then(() => "", (error) => error.message);
    assertMatch(failure, message, JSON.stringify(answer));
  }
});
