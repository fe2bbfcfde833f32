/**
 * Servers that inherit their listening sockets, from systemd-socket-activate(1) or from a small
 * supervisor in Python: it opens sockets, then becomes the server, or starts one after the other.
 *
 * @module
 */

import { lines } from "../lib/base/lines.ts";
import { Spawnd } from "./_spawnd.ts";
import { makeFolder } from "./_service.ts";
import { receiveAll, send } from "./_sockets.ts";
import { testWith } from "./_test_with.ts";
import { until, within } from "./_waiting.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/**
 * Opens the sockets in its arguments up to `--` as descriptors 3, 4, and so on, and becomes the
 * command after it. A socket is `HOST:PORT`, a path, or what is no listening socket: `udp`, `file`,
 * `datagram` and `connected`.
 */
const OPENER = `
import os, socket, sys
at = sys.argv.index("--")
held = []
def listening(address):
    if address.startswith("/"):
        s = socket.socket(socket.AF_UNIX)
        s.bind(address)
    else:
        host, port = address.rsplit(":", 1)
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77)
        s.bind((host, int(port)))
    s.listen(511)
    return s
others = {
    "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "datagram": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    "connected": lambda: socket.socketpair()[0],
    "file": lambda: open("/etc/passwd"),
}
for address in sys.argv[1:at]:
    held.append(others[address]() if address in others else listening(address))
numbers = [os.dup(s.fileno()) for s in held]
numbers = [os.dup2(n, 100 + i) for i, n in enumerate(numbers)]
for s in held: s.close()
for i, n in enumerate(numbers): os.dup2(n, 3 + i, inheritable=True)
os.closerange(3 + len(numbers), 200)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(numbers))
`;

/** The command that becomes the one after it, once it has opened these sockets for it. */
export function opening(...sockets: string[]): string[] {
  return [
    "python3",
    "-c",
    `${OPENER}os.execvp(sys.argv[at + 1], sys.argv[at + 1:])`,
    ...sockets,
    "--",
  ];
}

/** Starts a server with these sockets, without waiting until it listens. */
export function startingWith(sockets: readonly string[], ...args: string[]): Spawnd {
  return Spawnd.startingVia(opening(...sockets), {}, ...args);
}

/** Starts a server with these sockets, and waits until it listens. */
export async function startWith(sockets: readonly string[], ...args: string[]): Promise<Spawnd> {
  const spawnd = startingWith(sockets, ...args);
  await spawnd.listening();
  return spawnd;
}

/** Starts a server as systemd-socket-activate(1) does: once a client comes. */
export function activated(
  options: readonly string[],
  permissions: readonly string[],
  ...args: string[]
): Spawnd {
  const variables = Deno.env.has("DENO_DIR") ? ["-E", "DENO_DIR"] : [];
  const via = ["systemd-socket-activate", ...variables, ...options];
  return Spawnd.startingVia(via, { permissions }, ...args);
}

/** Connects once there is a listening socket. */
export function connect(
  options: Deno.ConnectOptions | Deno.UnixConnectOptions,
): Promise<Deno.Conn> {
  return until(
    "a listening socket",
    () => Deno.connect(options as Deno.ConnectOptions).catch(() => null),
  );
}

/** Connects once there is a listening socket, asks, and reads the whole answer. */
export async function askAt(
  options: Deno.ConnectOptions | Deno.UnixConnectOptions,
  question: string | Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  using conn = await connect(options);
  const answer = receiveAll(conn);
  await send(conn, question);
  await conn.closeWrite();
  return await answer;
}

/** Calls `use` with how to connect to a server over TCP, and to one over a Unix socket. */
export async function overBoth(
  args: readonly string[],
  use: (spawnd: Spawnd, connect: () => Promise<Deno.Conn>) => Promise<void>,
): Promise<void> {
  {
    await using spawnd = await startWith(["127.0.0.1:0"], "--listen", "fd:3", ...args);
    await use(spawnd, () => spawnd.connect());
  }
  await using folder = await makeFolder();
  const path = `${folder.path}/s`;
  await using spawnd = await startWith([path], "--listen", "fd:3", ...args);
  await use(spawnd, () => Deno.connect({ transport: "unix", path }));
}

/** Declares a test with the small supervisor. */
export function testInherited(name: string, fn: () => Promise<void>): void {
  testWith("python3", "python3", name, fn);
}

/**
 * Opens sockets, and starts the command anew for each line of its input: when the one before has
 * ended by SIGTERM, of which it prints the exit code, and then the new one's first line.
 */
const SUPERVISOR = `${OPENER}
import subprocess
child = None
for line in sys.stdin:
    if child:
        child.terminate()
        print(child.wait(), flush=True)
    if line == "end\\n": break
    child = subprocess.Popen(sys.argv[at + 1:], stdout=subprocess.PIPE, close_fds=False, text=True)
    print(child.stdout.readline(), end="", flush=True)
if child and child.poll() is None: child.kill()
`;

/** A holder of a socket that starts servers on it, one after the other. */
export class Supervisor implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: AsyncIterator<string>;

  constructor(socket: string, ...args: string[]) {
    const server = [Deno.execPath(), "run", "--allow-net", "--allow-run", `${ROOT}main.ts`];
    this.#process = new Deno.Command("python3", {
      args: ["-c", SUPERVISOR, socket, "--", ...server, "--listen", "fd:3", ...args],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#lines = lines(this.#process.stdout)[Symbol.asyncIterator]();
  }

  /** Starts the first server; resolves to the port it listens on. */
  async start(): Promise<number> {
    await this.#say("start");
    return Number(/:(\d+)$/.exec(await this.#hear())?.[1]);
  }

  /** Ends the server by SIGTERM and starts another one; resolves to the exit code. */
  async restart(): Promise<number> {
    await this.#say("restart");
    const code = Number(await this.#hear());
    await this.#hear();
    return code;
  }

  /** Ends the server by SIGTERM; resolves to the exit code. */
  async end(): Promise<number> {
    await this.#say("end");
    return Number(await this.#hear());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#lines.return?.();
    await this.#process.status;
  }

  async #say(word: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${word}\n`));
  }

  async #hear(): Promise<string> {
    return (await within("a line of the supervisor's", this.#lines.next())).value;
  }
}
