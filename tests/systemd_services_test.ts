/** Several services in one process under systemd, with sockets of its own or systemd's. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { commandOf, commandsOf, optionsIn, read, README, UNIT, valuesOf } from "./_deploy.ts";
import { NotifySocket } from "./_notify_socket.ts";
import { isAlive } from "./_processes.ts";
import { freePort, makeFolder, run } from "./_service.ts";
import { ask, receiveAll, send, text } from "./_sockets.ts";
import { testAsRoot, testWith } from "./_test_with.ts";
import {
  allowedCalls,
  callsIn,
  here,
  install,
  startAndStop,
  testUnits,
  traced,
  verify,
} from "./_units.ts";
import { until } from "./_waiting.ts";

const SERVICES = await read("services.conf");
const COMMAND = commandOf(UNIT, SERVICES);

/** The units and files in the README, by name; the last configuration is the one for sockets. */
const FILES = new Map(
  [...README.matchAll(
    /^```\w+\n(?:#|\/\/) \/etc\/(?:systemd\/system|spawnd)\/(\S+)\n(.*?)^```$/gms,
  )]
    .map(([, name, text]) => [name!, text!]),
);

/** A free port that takes a privilege. */
function lowPort(): number {
  for (let port = 1023; port > 0; port--) {
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error("There is no free port below 1024");
}

/** Asks over a Unix socket. */
async function askAt(path: string, question: string): Promise<string> {
  using conn = await Deno.connect({ transport: "unix", path });
  await send(conn, question);
  await conn.closeWrite();
  return text(await receiveAll(conn));
}

/** Calls `use` with a folder in place of /etc/spawnd and /run/spawnd, and a service manager. */
async function withFolder(
  use: (folder: string, manager: NotifySocket) => Promise<void>,
): Promise<void> {
  await using folder = await makeFolder();
  await using manager = new NotifySocket(`${folder.path}/notify`);
  await use(folder.path, manager);
}

/** Writes what is to be served into the folder. */
async function configure(folder: string, configuration: unknown): Promise<void> {
  await Deno.writeTextFile(`${folder}/services.jsonc`, JSON.stringify(configuration));
}

/** The command with no more capabilities than the unit gives it, and its umask. */
function confined(command: readonly string[]): string[] {
  const names = valuesOf(SERVICES, "CapabilityBoundingSet").at(-1)!.split(" ");
  const set = ["-all", ...names.map((name) => name.replace("CAP_", "+").toLowerCase())].join();
  return [
    ...["setpriv", `--bounding-set=${set}`, "--inh-caps=-all", "--no-new-privs", "--"],
    ...["sh", "-c", `umask ${valuesOf(SERVICES, "UMask").at(-1)}; exec "$@"`, "sh", ...command],
  ];
}

testUnits("systemd accepts the unit with several services and rates its exposure", async () => {
  await using folder = await install({
    "spawnd.service": "spawnd.service",
    "spawnd.service.d/services.conf": "services.conf",
  });
  const unit = `${folder.path}/spawnd.service`;
  assertEquals(await verify(unit), "");
  assertEquals(optionsIn(COMMAND), ["--config", "/etc/spawnd/services.jsonc"]);
  const command = ["systemd-analyze", "security", "--offline=true", "--threshold=25", unit];
  const { code, stdout } = await run(command);
  assertEquals(code, 0, stdout);
});

testAsRoot("the unit's capabilities suffice for several services of several users", async () => {
  await withFolder(async (folder, manager) => {
    const [low, stuck] = [lowPort(), freePort()];
    const identity = "id -un; id -G; grep -E '^(CapPrm|NoNewPrivs)' /proc/self/status; cat";
    await configure(folder, {
      user: "nobody",
      "kill-timeout": 0.1,
      services: {
        who: { listen: [`127.0.0.1:${low}`], command: ["sh", "-c", identity] },
        shout: { listen: [`unix:${folder}/shout.sock`], command: ["tr", "a-z", "A-Z"] },
        stuck: {
          listen: [`127.0.0.1:${stuck}`],
          command: ["sh", "-c", "id -un; echo $$; exec sleep 600"],
          user: "games",
          "session-timeout": 0.3,
        },
      },
    });
    await startAndStop(confined(here(COMMAND, manager, folder)), manager, async () => {
      const who = await until("it to listen", () => ask(low, "hello").catch(() => null));
      const groups = (await run(["id", "-g", "nobody"])).stdout;
      assertEquals(
        text(who),
        `nobody\n${groups}CapPrm:\t0000000000000000\nNoNewPrivs:\t1\nhello`,
      );

      const path = `${folder}/shout.sock`;
      assertEquals(await askAt(path, "hello"), "HELLO");
      const { mode, uid } = await Deno.lstat(path);
      assertEquals([mode! & 0o777, uid], [0o770, 0]);

      // Only CAP_KILL lets the server stop a child of another user.
      using conn = await Deno.connect({ hostname: "127.0.0.1", port: stuck });
      const [, pid] = /^games\n(\d+)\n$/.exec(text(await receiveAll(conn)))!;
      await until("the child's end", () => !isAlive(Number(pid)));
    });
  });
});

Deno.test("a file that is wrong fails the reload before the server is told of it", async () => {
  const [check, signal, ...others] = commandsOf("ExecReload", UNIT, SERVICES);
  assertEquals([signal, others], [["kill", "-HUP", "$MAINPID"], []]);
  await withFolder(async (folder, manager) => {
    const [program, ...args] = here(check!, manager, folder);
    const service = (command: string) => ({
      listen: ["127.0.0.1:7000", "fd:web", `unix:${folder}/s`],
      command: [command],
    });
    await configure(folder, { services: { shout: service("cat") } });
    assertEquals((await run([program!, ...args])).code, 0);
    await configure(folder, { services: { shout: service("no-such-program") } });
    const { code, stderr } = await run([program!, ...args]);
    assertEquals(code, 2);
    assertMatch(stderr, /^spawnd: shout: .*no-such-program/);
  });
});

testUnits(
  "systemd accepts the socket units in the README, each with a name of its own",
  async () => {
    await using folder = await install({
      "spawnd.service": "spawnd.service",
      "spawnd.service.d/services.conf": "services.conf",
    });
    const sockets = [...FILES.keys()].filter((name) => name.endsWith(".socket"));
    assertEquals(sockets.length, 2);
    for (const [name, text] of FILES) await Deno.writeTextFile(`${folder.path}/${name}`, text);
    for (const unit of ["spawnd.service", ...sockets]) {
      assertEquals(await verify(`${folder.path}/${unit}`), "");
    }
    assertEquals(
      sockets.flatMap((name) => valuesOf(FILES.get(name)!, "Service")),
      sockets.map(() => "spawnd.service"),
    );
    assertEquals(valuesOf(FILES.get("spawnd.service.d/sockets.conf")!, "Sockets"), [
      sockets.join(" "),
    ]);
  },
);

testWith(
  "systemd-socket-activate",
  "systemd",
  "the configuration in the README serves its sockets by their names",
  async () => {
    await withFolder(async (folder, manager) => {
      const [daytime, shout, path] = [freePort(), freePort(), `${folder}/shout.sock`];
      const actual: Record<string, string> = {
        "13": `127.0.0.1:${daytime}`,
        "7000": `127.0.0.1:${shout}`,
        "/run/shout.sock": path,
      };
      const units = [...FILES].filter(([name]) => name.endsWith(".socket")).map(([, unit]) => unit);
      const addresses = units.map((unit) => valuesOf(unit, "ListenStream"));
      const names = units.flatMap((unit, index) =>
        addresses[index]!.map(() => valuesOf(unit, "FileDescriptorName")[0]!)
      );
      const isRoot = Deno.uid() === 0;
      const configuration = FILES.get("services.jsonc")!;
      assert(configuration.includes('"user"'));
      await Deno.writeTextFile(
        `${folder}/services.jsonc`,
        isRoot ? configuration : configuration.replace(/^ *"user":.*\n/m, ""),
      );
      const command = [
        "systemd-socket-activate",
        ...addresses.flat().map((address) => `--listen=${actual[address]}`),
        ...[`--fdname=${names.join(":")}`],
        ...["NOTIFY_SOCKET", "HOME", "PATH"].map((name) => `--setenv=${name}`),
        ...here(COMMAND, manager, folder),
      ];
      await startAndStop(command, manager, async () => {
        const answer = await until(
          "systemd to listen",
          () => ask(shout, "hello").catch(() => null),
        );
        assertEquals(text(answer), "HELLO");
        assertEquals(await askAt(path, "hello"), "HELLO");
        assertMatch(text(await ask(daytime, "")), /\d\d:\d\d:\d\d/);
      });
    });
  },
);

testWith(
  "strace systemd-analyze",
  "strace systemd",
  "the unit allows every system call of children of other users",
  async () => {
    const isRoot = Deno.uid() === 0;
    await withFolder(async (folder, manager) => {
      const port = freePort();
      await configure(folder, {
        services: {
          echo: {
            listen: [`127.0.0.1:${port}`],
            command: ["cat"],
            ...(isRoot && { user: "nobody" }),
          },
        },
      });
      const trace = `${folder}/trace`;
      await startAndStop(traced(here(COMMAND, manager, folder), trace), manager, async () => {
        const answer = await until("it to listen", () => ask(port, "hello").catch(() => null));
        assertEquals(text(answer), "hello");
      });
      const { made } = await callsIn(trace);
      assert(made.has("execve") && made.has("setresuid") === isRoot);
      assertEquals([...made.difference(await allowedCalls(`${UNIT}\n${SERVICES}`))], []);
    });
  },
);
