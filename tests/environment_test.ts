import { assertEquals } from "@std/assert";
import { childrenOf, readProc } from "./_processes.ts";
import { ask, receiveAll, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { testAsRoot } from "./_test_with.ts";
import { until } from "./_waiting.ts";

/** Variables that a server inherits if, for example, tcpserver has started it. */
const INHERITED = {
  PROTO: "TCP",
  TCPLOCALHOST: "front",
  TCPLOCALIP: "203.0.113.1",
  TCPLOCALPORT: "1",
  TCPREMOTEHOST: "elsewhere",
  TCPREMOTEINFO: "somebody",
  TCPREMOTEIP: "203.0.113.2",
  TCPREMOTEPORT: "2",
  REMOTE_ADDR: "203.0.113.2",
  REMOTE_HOST: "elsewhere",
  REMOTE_PORT: "2",
};
const PRINT = "env | grep -E '^(PROTO|TCP|REMOTE_)' | sort";

/** The client variables of a child, and the two addresses of its connection. */
async function environmentOf(
  spawnd: Spawnd,
): Promise<[Record<string, string>, Deno.NetAddr, Deno.NetAddr]> {
  using conn = await spawnd.connect();
  await conn.closeWrite();
  const lines = text(await receiveAll(conn)).trim().split("\n");
  return [
    Object.fromEntries(lines.map((line) => line.split("="))),
    conn.localAddr,
    conn.remoteAddr,
  ];
}

Deno.test("a cold child has the classic environment, not what its server inherited", async () => {
  await using spawnd = await Spawnd.startIn(INHERITED, "--", "sh", "-c", PRINT);
  const [environment, client, server] = await environmentOf(spawnd);
  assertEquals(environment, {
    PROTO: "TCP",
    TCPLOCALHOST: "",
    TCPLOCALIP: "127.0.0.1",
    TCPLOCALPORT: `${server.port}`,
    TCPREMOTEHOST: "",
    TCPREMOTEINFO: "",
    TCPREMOTEIP: "127.0.0.1",
    TCPREMOTEPORT: `${client.port}`,
    REMOTE_ADDR: "127.0.0.1",
    REMOTE_HOST: "127.0.0.1",
    REMOTE_PORT: `${client.port}`,
  });
});

Deno.test("a warm child's client variables are empty, inherited ones too", async () => {
  await using spawnd = await Spawnd.startIn(
    INHERITED,
    ...["--warm", "1", "--", "sh", "-c", `cat >/dev/null; ${PRINT}`],
  );
  await until("a warm child", () => childrenOf(spawnd.pid).length === 1);
  const [environment] = await environmentOf(spawnd);
  await spawnd.record({ message: "open", start: "warm" });
  assertEquals(environment, Object.fromEntries(Object.keys(INHERITED).map((name) => [name, ""])));
});

Deno.test("an IPv6 client's address reaches the child", async () => {
  await using spawnd = await Spawnd.start("--host", "::1", "--", "sh", "-c", PRINT);
  using conn = await Deno.connect({ hostname: "::1", port: spawnd.port });
  await conn.closeWrite();
  const lines = text(await receiveAll(conn)).split("\n");
  assertEquals(lines.filter((line) => line.includes("::1")), [
    "REMOTE_ADDR=::1",
    "REMOTE_HOST=::1",
    "TCPLOCALIP=::1",
    "TCPREMOTEIP=::1",
  ]);
});

testAsRoot("children have only the user and group of --uid and --gid", async () => {
  for (const warm of ["0", "1"]) {
    await using spawnd = Spawnd.startingAt(
      "/", // which every user may enter
      ...["--uid", "65534", "--gid", "65533", "--warm", warm],
      ...["--", "sh", "-c", "cat; id -u; id -g; id -G"],
    );
    assertEquals(text(await ask(await spawnd.listening(), "")), "65534\n65533\n65533\n");
  }
});

testAsRoot("a working directory that the user of --uid cannot enter is named", async () => {
  const folder = await Deno.makeTempDir(); // mode 700
  await using spawnd = Spawnd.startingAt(folder, "--uid", "65534", "--gid", "65534", "--", "cat");
  assertEquals((await spawnd.ended()).code, 1);
  assertEquals(spawnd.lines, [
    'spawnd: Cannot start "cat": its user cannot enter the working directory. ' +
    "Choose one with --cwd, such as /",
  ]);
  await Deno.remove(folder);
});

testAsRoot("warm children of the counter service have the --gid too", async () => {
  // Another user might not be able to read the sources, so only the group differs.
  await using spawnd = await Spawnd.start("--uid", "0", "--gid", "65534");
  assertEquals((await ask(spawnd.port, "hello")).length, 256);
  await spawnd.record({ message: "open", start: "warm" });
  // A child is started as root, by setpriv.
  await until("every child to have the group", () =>
    childrenOf(spawnd.pid).every((pid) => {
      const status = readProc(pid, "status");
      return status === "" ||
        /^Gid:\t(.*)$/m.exec(status)?.[1] === Array(4).fill(65534).join("\t");
    }));
});

for (const handler of [[], ["--", "cat"]]) {
  const name = handler.at(-1) ?? "counter";
  testAsRoot(`without the right to change user, ${name} fails with one line`, async () => {
    const { code, stderr } = await new Deno.Command("setpriv", {
      args: [
        ...["--bounding-set=-setuid,-setgid", Deno.execPath(), "run", "--allow-net", "--allow-run"],
        ...[
          "main.ts",
          "--host",
          "127.0.0.1",
          "--port",
          "0",
          "--uid",
          "1",
          "--gid",
          "1",
          ...handler,
        ],
      ],
      cwd: new URL("../", import.meta.url),
    }).output();
    assertEquals([code, text(stderr)], [
      1,
      `spawnd: Cannot start "${name}": only root may run it as another user or group\n`,
    ]);
  });
}
