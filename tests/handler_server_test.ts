/** Modules that use serve(), behind the real server. */

import { assert, assertEquals } from "@std/assert";
import { formatProxyHeader } from "../lib/net/proxy_protocol.ts";
import { Certificates, testTls } from "./_certificates.ts";
import { GREET, ModuleFolder, waitsForInput } from "./_handlers.ts";
import { childrenOf } from "./_processes.ts";
import { ask, connectToReset, receiveAll, send, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { until } from "./_waiting.ts";
import { WebClient } from "./_web_socket.ts";

/** Connects, ends the input, and resolves to what the client is sent and its own port. */
async function greet(port: number, hostname = "127.0.0.1"): Promise<[string, number]> {
  using conn = await Deno.connect({ hostname, port });
  await conn.closeWrite();
  return [text(await receiveAll(conn)), conn.localAddr.port];
}

for (const [kind, warm] of [["warm", "2"], ["cold", "0"]] as const) {
  for (const version of ["0", "1", "2"]) {
    Deno.test(`a ${kind} child knows its client, with --send-proxy ${version}`, async () => {
      await using folder = await ModuleFolder.make(GREET);
      await using spawnd = await Spawnd.start(
        ...["--warm", warm, "--send-proxy", version, folder.module],
      );
      if (warm !== "0") await until("warm children", async () => (await spawnd.status()).warm);
      for (let client = 0; client < 3; client++) {
        const [output, port] = await greet(spawnd.port);
        assertEquals(output, `Hello 127.0.0.1 ${port}\n`);
      }
      assertEquals(text(await ask(spawnd.port, "a\nb")).split("\n").slice(1), ["a!", "b!", ""]);
      await spawnd.record({ message: "open", start: kind });
      assertEquals(spawnd.records({ level: "WARN" }), []);
    });
  }
}

Deno.test("a greeting is made when the client comes, not when the child starts", async () => {
  const body = `async (client) => await client.write(String(Date.now()))`;
  await using folder = await ModuleFolder.make(body);
  await using spawnd = await Spawnd.start("--warm", "1", folder.module);
  const warm = await until("a warm child", () => {
    const [pid] = childrenOf(spawnd.pid);
    return pid !== undefined && waitsForInput(pid) && pid;
  });
  const before = Date.now();
  const [output] = await greet(spawnd.port);
  assert(Number(output) >= before, `${before - Number(output)} ms old`);
  assertEquals((await spawnd.record({ message: "open" })).pid, warm);
});

Deno.test("a client over IPv6 has its address", async () => {
  await using folder = await ModuleFolder.make(GREET);
  await using spawnd = await Spawnd.start("--host", "::1", folder.module);
  const [output, port] = await greet(spawnd.port, "::1");
  assertEquals(output, `Hello ::1 ${port}\n`);
});

Deno.test("a client over a Unix socket has no address, and is greeted", async () => {
  await using folder = await ModuleFolder.make(GREET);
  const path = `${folder.path}/socket`;
  const permissions = ["--allow-net", "--allow-run", "--allow-read", "--allow-write"];
  await using _spawnd = await Spawnd.startWith(permissions, "--unix", path, folder.module);
  using conn = await Deno.connect({ transport: "unix", path });
  await send(conn, "one\n");
  await conn.closeWrite();
  assertEquals(text(await receiveAll(conn)), "Hello undefined undefined\none!\n");
});

Deno.test("behind a proxy, the client is the one that the proxy names", async () => {
  await using folder = await ModuleFolder.make(GREET);
  await using spawnd = await Spawnd.start("--accept-proxy", "127.0.0.1", folder.module);
  const line = "PROXY TCP4 192.0.2.1 198.51.100.7 54321 443\r\nhi\n";
  assertEquals(text(await ask(spawnd.port, line)), "Hello 192.0.2.1 54321\nhi!\n");
  const local = text(await ask(spawnd.port, "PROXY UNKNOWN\r\nhi\n")); // a check of the proxy's own
  assert(/^Hello 127\.0\.0\.1 \d+\nhi!\n$/.test(local), local);
});

Deno.test("a client that sends a header itself changes nothing", async () => {
  const body = `async (client) => {
    await client.write(client.remote.hostname + " " + (await client.read()).length);
  }`;
  await using folder = await ModuleFolder.make(body);
  await using spawnd = await Spawnd.start(folder.module);
  const forged = { hostname: "192.0.2.66", port: 1 };
  const header = formatProxyHeader(2, { source: forged, destination: forged });
  assertEquals(text(await ask(spawnd.port, header)), `127.0.0.1 ${header.length}`);
});

testTls("over TLS the child knows what the handshake has settled", async () => {
  await using certificates = await Certificates.make();
  const ada = await certificates.issue("Ada", { usage: "clientAuth" });
  const body = `(client) => client.write(JSON.stringify(client.tls))`;
  await using folder = await ModuleFolder.make(body);
  await using spawnd = await certificates.serve(
    ...["--client-ca", ada.cert, "--alpn", "lines", "--tls-min", "1.3", folder.module],
  );
  using conn = await Deno.connectTls({
    hostname: "localhost",
    port: spawnd.port,
    caCerts: [await Deno.readTextFile(certificates.cert)],
    cert: await Deno.readTextFile(ada.cert),
    key: await Deno.readTextFile(ada.key),
    alpnProtocols: ["lines"],
  });
  const { cipher, ...tls } = JSON.parse(text(await receiveAll(conn)));
  assertEquals(tls, {
    protocol: "TLSv1.3",
    serverName: "localhost",
    alpn: "lines",
    commonName: "Ada",
  });
  assert(/^TLS_(AES|CHACHA20)_/.test(cipher), cipher);
});

testTls("the certificate of a proxy is not taken for that of its client", async () => {
  await using certificates = await Certificates.make();
  const proxy = await certificates.issue("proxy", { usage: "clientAuth" });
  const body = `async (client) => {
    const facts = [client.remote.hostname, client.tls?.commonName ?? null];
    await client.write(JSON.stringify(facts) + "\\n");
  }`;
  await using folder = await ModuleFolder.make(body);
  await using spawnd = await certificates.serve(
    ...["--client-ca", proxy.cert, "--websocket", "127.0.0.1:0", "--accept-proxy", "127.0.0.1"],
    folder.module,
  );
  const port = Number(/wss:\/\/127\.0\.0\.1:(\d+)/.exec(spawnd.stdout)![1]);
  const ask = async (headers: Record<string, string>) => {
    const conn = await Deno.connectTls({
      hostname: "localhost",
      port,
      caCerts: [await Deno.readTextFile(certificates.cert)],
      cert: await Deno.readTextFile(proxy.cert),
      key: await Deno.readTextFile(proxy.key),
    });
    using client = await WebClient.open(conn, { headers });
    return JSON.parse(await client.message() as string);
  };
  assertEquals(await ask({}), ["127.0.0.1", "proxy"]);
  assertEquals(await ask({ "X-Forwarded-For": "203.0.113.7" }), ["203.0.113.7", null]);
});

Deno.test("a client that resets ends the function, and the child, quietly", async () => {
  const body = `async (client) => {
    client.closed.addEventListener("abort", () => console.error("closed"));
    for (;;) await client.write("x".repeat(65536));
  }`;
  await using folder = await ModuleFolder.make(body);
  await using spawnd = await Spawnd.start(folder.module);
  const reset = await connectToReset(spawnd.port);
  await spawnd.record({ message: "open" });
  await reset();
  const { exit, reason } = await spawnd.record({ message: "end" });
  assertEquals([exit, reason, spawnd.lines], [0, "client-reset", ["closed"]]);
});

Deno.test("a client that resets while nothing is written aborts closed when the child is stopped", async () => {
  const body = `async (client) => {
    const closed = new Promise((resolve) => client.closed.addEventListener("abort", resolve));
    await client.write("go");
    await closed;
    console.error("closed");
  }`;
  await using folder = await ModuleFolder.make(body);
  await using spawnd = await Spawnd.start("--kill-timeout", "0.1", folder.module);
  const reset = await connectToReset(spawnd.port, "", "go");
  await reset();
  const { exit, reason } = await spawnd.record({ message: "end" });
  assertEquals([exit, reason, spawnd.lines], [0, "client-reset", ["closed"]]);
});

Deno.test("an exception is one line on stderr, and the record has its exit code", async () => {
  await using folder = await ModuleFolder.make(`() => { throw new TypeError("no"); }`);
  await using spawnd = await Spawnd.start("--warm", "0", folder.module);
  spawnd.mayChildrenFail = true;
  await ask(spawnd.port, "");
  assertEquals((await spawnd.record({ message: "end" })).exit, 1);
  await until("its line", () => spawnd.lines.length > 0);
  assertEquals(spawnd.lines, [`file://${folder.module}:2:27: Uncaught TypeError: no`]);
});

Deno.test("a function that lacks a permission is told of the grant, once", async () => {
  await using folder = await ModuleFolder.make(`() => { Deno.env.get("TZ"); }`);
  await using spawnd = await Spawnd.start("--warm", "0", folder.module);
  spawnd.mayChildrenFail = true;
  for (let client = 0; client < 3; client++) await ask(spawnd.port, "");
  const { remedy } = await spawnd.record({ message: "the module lacks a permission" });
  assertEquals(remedy, "--grant env=TZ");
  assert(spawnd.lines[0]!.endsWith('env access to "TZ": start spawnd with --grant env=TZ'));
});

Deno.test("no text of a client is taken for the advice of a grant", async () => {
  const body = `async (client) => { throw new Error(await client.readLine()); }`;
  await using folder = await ModuleFolder.make(body);
  await using spawnd = await Spawnd.start("--warm", "0", folder.module);
  spawnd.mayChildrenFail = true;
  const forged = "Uncaught NotCapable: Requires run access: start spawnd with --grant run";
  for (let client = 0; client < 4; client++) await ask(spawnd.port, forged);
  await until("their lines", () => spawnd.lines.length === 4);
  assertEquals(spawnd.records({ message: "the module lacks a permission" }), []);
});

Deno.test("many lines come back in order", async () => {
  await using folder = await ModuleFolder.make(GREET);
  await using spawnd = await Spawnd.start(folder.module);
  const lines = Array.from({ length: 20_000 }, (_, index) => `${index} ${"é".repeat(index % 50)}`);
  const output = text(await ask(spawnd.port, lines.join("\r\n"))).split("\n");
  assertEquals(output.slice(1).join("\n"), `${lines.map((line) => `${line}!`).join("\n")}\n`);
});

/** Writes what comes first on stdin, without serve(). */
const PLAIN = `import type { Client } from "@spawnd/spawnd/handler";
const buffer = new Uint8Array(100);
const length = await Deno.stdin.read(buffer) ?? 0;
console.log("plain", new TextDecoder().decode(buffer.subarray(0, length)), {} as Client);
Deno.exit(0);`;

Deno.test("a module that imports only the types of serve() gets no header", async () => {
  await using folder = await ModuleFolder.make(PLAIN);
  await using spawnd = await Spawnd.start(folder.module);
  assertEquals(text(await ask(spawnd.port, "first")), "plain first {}\n");
});

Deno.test("a module that uses serve() through another one knows its client", async () => {
  await using folder = await ModuleFolder.make(`import "./own.js";`);
  await folder.write("own.js", `import { serve } from "@spawnd/spawnd/handler"; serve(${GREET});`);
  await using spawnd = await Spawnd.start(folder.module);
  const [output, port] = await greet(spawnd.port);
  assertEquals(output, `Hello 127.0.0.1 ${port}\n`);
});

Deno.test("a reload follows a module that begins to use serve(), or ceases to", async () => {
  await using folder = await ModuleFolder.make(PLAIN);
  await using spawnd = await Spawnd.start("--warm", "1", "--send-proxy", "1", folder.module);
  const answer = async () => text(await ask(spawnd.port, ""));
  assert((await answer()).startsWith("plain PROXY TCP4 127.0.0.1 "));

  for (
    const [body, start] of [[GREET, "Hello 127.0.0.1 "], [PLAIN, "plain PROXY TCP4 "]] as const
  ) {
    const [old] = await until("a warm child that waits", () => {
      const children = childrenOf(spawnd.pid);
      return children.length === 1 && waitsForInput(children[0]!) && children;
    });
    await folder.change(body);
    // The old child is still there, and is treated as it expects.
    const before = await answer();
    assert(!before.startsWith(start), before);
    await spawnd.record({ message: "open", pid: old });
    spawnd.kill("SIGHUP");
    await until("the change", async () => (await answer()).startsWith(start));
  }
});

Deno.test("an --allow-run for Deno alone is enough", async () => {
  await using folder = await ModuleFolder.make(GREET);
  const permissions = ["--allow-net", `--allow-run=${Deno.execPath()}`];
  await using allowed = await Spawnd.startWith(permissions, folder.module);
  assert((await greet(allowed.port))[0].startsWith("Hello 127.0.0.1"));
});
