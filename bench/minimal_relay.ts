/**
 * The least that a TCP super-server in Deno can do with Deno's public API: accept, start a program
 * for the connection, and carry bytes and half-closes both ways. It has no log, no limits, no
 * timeouts and no process groups, so what spawnd costs beyond it is the price of these.
 *
 *     deno run --allow-net --allow-run bench/minimal_relay.ts 9527 cat
 *
 * @module
 */

const BUFFER_BYTES = 65_536;

const [port, command, ...args] = Deno.args;

async function serve(conn: Deno.TcpConn): Promise<void> {
  conn.setNoDelay();
  const child = new Deno.Command(command!, { args, stdin: "piped", stdout: "piped" }).spawn();
  const stdin = child.stdin.getWriter();
  const stdout = child.stdout.getReader({ mode: "byob" });

  const relayInput = async () => {
    const buffer = new Uint8Array(BUFFER_BYTES);
    for (let length; (length = await conn.read(buffer)) !== null;) {
      await stdin.write(buffer.subarray(0, length));
    }
    await stdin.close();
  };
  const relayOutput = async () => {
    let buffer = new Uint8Array(BUFFER_BYTES);
    for (let chunk; !(chunk = await stdout.read(buffer)).done;) {
      for (let sent = 0; sent < chunk.value.length;) {
        sent += await conn.write(chunk.value.subarray(sent));
      }
      buffer = new Uint8Array(chunk.value.buffer);
    }
    await conn.closeWrite();
  };

  try {
    await Promise.all([relayInput(), relayOutput()]);
  } catch {
    // The client or the program has left: the other one sees its pipe, or its connection, end.
    await Promise.allSettled([stdin.abort(), stdout.cancel()]);
  }
}

const listener = Deno.listen({ hostname: "127.0.0.1", port: Number(port) });
for (;;) {
  // A client that has already reset its connection fails the accept, or the first call on it.
  // `for await` over the listener would end there (seen on 2.9).
  const conn = await listener.accept().catch(() => undefined);
  if (conn) serve(conn).catch(() => {}).finally(() => conn.close());
}
