/** How an address is opened, and what is said when it cannot be. */

import { assertEquals, assertRejects } from "@std/assert";
import { parseListenAddress } from "../lib/net/listen_address.ts";
import { Listener, ListenError } from "../lib/net/listener.ts";
import { freePort, makeFolder } from "./_service.ts";
import { Spawnd } from "./_spawnd.ts";
import { testAsRoot, testWith } from "./_test_with.ts";
import { ask, text } from "./_sockets.ts";

const OPTIONS = { backlog: 511, reusePort: false, keepAlive: true };

function open(text: string): Promise<Listener> {
  return Listener.open(parseListenAddress(text)!, OPTIONS);
}

/** Why an address cannot be listened on. */
async function reasonOf(text: string): Promise<string> {
  const { message } = await assertRejects(() => open(text), ListenError);
  const start = `Cannot listen on ${text}: `;
  assertEquals(message.slice(0, start.length), start);
  return message.slice(start.length);
}

/** Whether a listener gets a client that connects to this address of its port. */
async function takes(listener: Listener, hostname: string): Promise<string | undefined> {
  const { port } = listener.addr as Deno.NetAddr;
  const accepting = listener.accept();
  (await Deno.connect({ hostname, port })).close();
  const client = await accepting;
  client?.close();
  return client?.address;
}

Deno.test("a port without an address is listened on for IPv4 and IPv6", async () => {
  const listener = await open(":0");
  assertEquals(await takes(listener, "127.0.0.1"), "127.0.0.1");
  assertEquals(await takes(listener, "::1"), "::1");
  listener.closeNow();
});

Deno.test("an address and a name are listened on as they are", async () => {
  for (const hostname of ["127.0.0.1", "[::1]", "localhost"]) {
    const listener = await open(`${hostname}:0`);
    await takes(listener, (listener.addr as Deno.NetAddr).hostname);
    listener.closeNow();
  }
});

Deno.test("an address that cannot be listened on says what to do", async () => {
  const listener = await open("127.0.0.1:0");
  assertEquals(
    await reasonOf(listener.name),
    "the port is in use. Stop the program that listens there, or choose another port",
  );
  listener.closeNow();
  assertEquals(
    await reasonOf("192.0.2.1:0"),
    "this machine does not have that address. Choose another one",
  );
  assertEquals(
    await reasonOf("name.invalid:0"),
    "the host name cannot be resolved. Choose another host",
  );
});

Deno.test("a path that cannot be listened on says what to do", async () => {
  await using folder = await makeFolder();
  assertEquals(
    await reasonOf(`unix:${folder.path}/none/x.sock`),
    "the folder of the path does not exist. Create it, or choose another path",
  );
  const length = 107 - folder.path.length - 1;
  (await open(`unix:${folder.path}/${"a".repeat(length)}`)).closeNow();
  assertEquals(
    await reasonOf(`unix:${folder.path}/${"a".repeat(length - 1)}é`),
    "the path has 108 bytes, and may have 107. Choose a shorter one",
  );
});

/** Runs the command after it without IPv6: socket(2) fails as on a kernel that does not have it. */
const WITHOUT_IPV6 = `
import ctypes, os, struct, sys
SOCKET, AF_INET6, EAFNOSUPPORT = (198 if os.uname().machine == "aarch64" else 41), 10, 97
step = lambda code, k, yes=0, no=0: struct.pack("HBBI", code, yes, no, k)
steps = (step(0x20, 0) + step(0x15, SOCKET, 0, 3) + step(0x20, 16) + step(0x15, AF_INET6, 0, 1)
    + step(6, 0x00050000 | EAFNOSUPPORT) + step(6, 0x7fff0000))
buffer = ctypes.create_string_buffer(steps)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
libc = ctypes.CDLL(None)
program = Program(6, ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0
os.execvp(sys.argv[1], sys.argv[1:])
`;

testWith(
  "python3",
  "python3",
  "on a machine without IPv6 a port is listened on for IPv4",
  async () => {
    const via = ["python3", "-c", WITHOUT_IPV6];
    await using spawnd = Spawnd.startingVia(via, {}, "--listen", `:${freePort()}`, "--", "cat");
    assertEquals(text(await ask(await spawnd.listening(), "hello")), "hello");
    assertEquals(spawnd.stdout, `spawnd listening on 0.0.0.0:${spawnd.port}\n`);
  },
);

Deno.test("only the address counts, not what else the options hold", async () => {
  const settings = { ...OPTIONS, hostname: "192.0.2.1", port: 1 }; // such as a server's
  const listener = await Listener.open(parseListenAddress("127.0.0.1:0")!, settings);
  await takes(listener, "127.0.0.1");
  listener.closeNow();
});

testAsRoot("what the system does not allow says what to do", async () => {
  await using folder = await makeFolder();
  await Deno.chown(folder.path, 65_534, 65_534);
  await Deno.chmod(folder.path, 0o755);
  const first = await Deno.readTextFile("/proc/sys/net/ipv4/ip_unprivileged_port_start");
  const reasons = {
    [`unix:${folder.path}/s`]: "the system does not allow it. " +
      "Let the server's user write the folder, or choose another path",
    ...(Number(first) > 1 && {
      "127.0.0.1:1": "the system does not allow this port. Choose port 1024 or higher, " +
        "or give the server CAP_NET_BIND_SERVICE or a socket of systemd",
    }),
  };
  for (const [address, reason] of Object.entries(reasons)) {
    const via = ["setpriv", "--bounding-set=-net_bind_service,-dac_override"];
    const permissions = ["--allow-net", "--allow-run", "--allow-read", "--allow-write"];
    await using spawnd = Spawnd.startingVia(via, { permissions }, "--listen", address, "--", "cat");
    assertEquals((await spawnd.ended()).code, 1);
    assertEquals(spawnd.lines, [`spawnd: Cannot listen on ${address}: ${reason}`]);
  }
});
