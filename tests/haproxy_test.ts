import { assertEquals } from "@std/assert";
import { freePort } from "./_service.ts";
import { converse, receiveAll, send } from "./_sockets.ts";
import { assertAddsUp, Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";
import { underLoad, until } from "./_waiting.ts";

const CONFIG = await Deno.readTextFile(new URL("../deploy/haproxy.cfg", import.meta.url));

testWith(
  "haproxy",
  "haproxy",
  "behind HAProxy a server drains under load without losing an exchange",
  async () => {
    const servers = await Promise.all(
      [1, 2].map(() => Spawnd.start("--accept-proxy", "127.0.0.1", "--stderr", "null")),
    );
    await using one = servers[0]!;
    await using two = servers[1]!;
    const port = freePort();
    const config = await Deno.makeTempFile({ suffix: ".cfg" });
    await Deno.writeTextFile(
      config,
      CONFIG.replace("0.0.0.0:9527", `127.0.0.1:${port}`)
        .replaceAll("/run/haproxy.sock", `${config}.sock`)
        .replaceAll("9001", `${one.port}`).replaceAll("9002", `${two.port}`),
    );
    const haproxy = new Deno.Command("haproxy", {
      args: ["-db", "-f", config],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    try {
      const connect = () => Deno.connect({ hostname: "127.0.0.1", port });
      const isListening = () =>
        connect().then((conn) => conn.close()).then(() => true, () => false);
      await until("HAProxy to listen", isListening);

      let exchanges = 0;
      const exchange = async () => {
        using conn = await connect();
        await converse(conn);
        exchanges++;
      };
      const served = (spawnd: Spawnd) => spawnd.records({ message: "end" }).length;
      await underLoad(8, exchange, async () => {
        await until("both to serve", () => served(one) > 20 && served(two) > 20);
        const admin = await Deno.connect({ transport: "unix", path: `${config}.sock` });
        await send(admin, "set server spawnd/one state drain\n");
        await receiveAll(admin); // ends once the command has run
        admin.close();
        assertEquals((await one.stop()).code, 0);
        assertAddsUp(await one.record({ message: "stopped" }));
        const before = exchanges;
        await until("the other server to go on", () => exchanges > before + 50);
      });

      // The client's own port, not HAProxy's.
      using conn = await connect();
      const { port: ownPort } = conn.localAddr;
      await send(conn, "hello");
      await two.record({ message: "open", client: `127.0.0.1:${ownPort}` });
    } finally {
      haproxy.kill("SIGTERM");
      await haproxy.status;
      await Deno.remove(config);
      await Deno.remove(`${config}.sock`).catch(() => {});
    }
  },
);
