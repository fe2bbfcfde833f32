/**
 * TLS with a byte changed, inserted or missing, in the handshake or after it, in either direction:
 * whatever the engine makes of it, the server goes on, and nothing is left.
 */

import { assertEquals } from "@std/assert";
import { Random } from "../bench/random.ts";
import { Certificates, testTls } from "./_certificates.ts";
import { descriptorsOf } from "./_processes.ts";
import { send } from "./_sockets.ts";
import { untilSteady, within } from "./_waiting.ts";

const CONNECTIONS = 120;
/** More than a handshake takes in one direction. */
const MAX_OFFSET = 2_500;

for (const options of [[], ["--client-ca"], ["--cert", "--key"]]) {
  testTls(`mangled TLS harms no one but its client ${options.join(" ")}`, async () => {
    await using certificates = await Certificates.make();
    const { cert, key } = await certificates.issue("other.example");
    const files = { "--cert": cert, "--key": key, "--client-ca": cert };
    const args = options.flatMap((option) => [option, files[option as keyof typeof files]]);
    await using spawnd = await certificates.serve(...args, "--handshake-timeout", "1", "--", "cat");
    const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
    const before = await descriptors();
    const random = new Random(1);
    const clients = Array.from(
      { length: CONNECTIONS },
      () => () => speak(certificates, spawnd.port, random),
    );
    await Promise.all(Array.from({ length: 8 }, async () => {
      for (let client; (client = clients.pop());) await client();
    }));
    assertEquals(await descriptors(), before);
    if (!options.includes("--client-ca")) {
      assertEquals(await certificates.ask(spawnd, "still here"), "still here");
    }
    assertEquals((await spawnd.stop()).code, 0);
  });
}

/** Speaks TLS to the server, over a connection that mangles it once. */
async function speak({ cert }: Certificates, port: number, random: Random): Promise<void> {
  using proxy = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const plain = await Deno.connect({ hostname: "127.0.0.1", port: proxy.addr.port });
  const [inner, server] = [
    await proxy.accept(),
    await Deno.connect({ hostname: "127.0.0.1", port }),
  ];
  const isUp = random.chance(0.7);
  const carrying = [
    carry(inner, server, isUp ? random.integer(0, MAX_OFFSET) : Infinity, random),
    carry(server, inner, isUp ? Infinity : random.integer(0, MAX_OFFSET), random),
  ];
  const talking = (async () => {
    const caCerts = [await Deno.readTextFile(cert)];
    using conn = await Deno.startTls(plain, { hostname: "localhost", caCerts });
    await send(conn, new Uint8Array(random.integer(1, 3_000)));
    await conn.read(new Uint8Array(100));
    await conn.read(new Uint8Array(100));
  })();
  const timer = setTimeout(() => [inner, server].forEach(close), 500);
  await within("the client's end", talking.catch(() => {}));
  clearTimeout(timer);
  [inner, server].forEach(close);
  await Promise.all(carrying);
}

/** Carries bytes, and damages those at `offset`. */
async function carry(
  from: Deno.Conn,
  to: Deno.TcpConn,
  offset: number,
  random: Random,
): Promise<void> {
  const buffer = new Uint8Array(16_384);
  try {
    for (let carried = 0, length; (length = await from.read(buffer)) !== null; carried += length) {
      const bytes = buffer.subarray(0, length);
      const at = offset - carried;
      if (at < 0 || at >= length) await send(to, bytes);
      else {
        const way = random.weighted({ change: 6, insert: 2, cut: 2 });
        if (way === "change") bytes[at]! ^= 1 << random.integer(0, 7);
        await send(to, bytes.subarray(0, at));
        if (way === "cut") break;
        if (way === "insert") await send(to, crypto.getRandomValues(new Uint8Array(1000)));
        await send(to, bytes.subarray(at));
      }
    }
    await to.closeWrite();
  } catch {
    // The other side has closed.
  }
}

function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // It is closed.
  }
}
