/**
 * The servers that are compared, each started as a user would start it: spawnd, and those of its
 * peers that are installed.
 *
 * @module
 */

const ROOT = new URL("../", import.meta.url).pathname;
const DENO = Deno.execPath();

/** Compared, but not a peer: it cannot run an arbitrary program. */
export const FORK_SERVER = "fork server in C";

/** What serves every connection: the counter service in Deno, or `cat`. */
export type Handler = "deno" | "native";

const HANDLERS: Record<Handler, string[]> = {
  deno: [DENO, "run", `${ROOT}child.ts`],
  native: ["cat"],
};

/** A server to measure. */
export interface Candidate {
  readonly name: string;
  /** Its command line. */
  command(port: number, handler: Handler, options: readonly string[]): string[];
  /** The program it needs. */
  readonly program: string;
  /** The Debian package that provides it. */
  readonly package?: string;
  /** Whether it is always the counter service, whatever the handler. */
  readonly isCounter?: boolean;
}

const PEERS: Candidate[] = [
  {
    name: "tcpserver",
    program: "tcpserver",
    package: "ucspi-tcp",
    // No host or ident lookups; as many connections and as long a backlog as spawnd has.
    command: (port, handler) => [
      ...["tcpserver", "-H", "-R", "-l", "0", "-c", "2000", "-b", "511"],
      ...["127.0.0.1", `${port}`, ...HANDLERS[handler]],
    ],
  },
  {
    name: "tcpsvd",
    program: "tcpsvd",
    package: "ipsvd",
    // Without -l it looks up the local name in the DNS, and waits for that.
    command: (port, handler) => [
      ...["tcpsvd", "-l", "0", "-c", "2000", "-b", "511"],
      ...["127.0.0.1", `${port}`, ...HANDLERS[handler]],
    ],
  },
  {
    name: "socat",
    program: "socat",
    package: "socat",
    // Without -t it waits only half a second for the answer to a client that half-closes.
    command: (port, handler) => [
      ...["socat", "-t", "60", `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork,backlog=511`],
      `EXEC:${HANDLERS[handler].join(" ")}`,
    ],
  },
  {
    name: "ncat",
    program: "ncat",
    package: "ncat",
    command: (port, handler) => [
      ...["ncat", "--listen", "--keep-open", "--max-conns", "2000", "127.0.0.1", `${port}`],
      ...["--exec", [`/usr/bin/env`, ...HANDLERS[handler]].join(" ")],
    ],
  },
];

const SPAWND: Candidate = {
  name: "spawnd",
  program: DENO,
  command: (port, handler, options) => [
    ...[DENO, "run", "--allow-net", "--allow-run", `${ROOT}main.ts`],
    ...["--host", "127.0.0.1", "--port", `${port}`, "--max-connections", "2000", ...options],
    ...(handler === "native" ? ["--", ...HANDLERS.native] : []),
  ],
};

/** Whether a program is installed. */
async function has(program: string): Promise<boolean> {
  const look = new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" });
  return (await look.output()).success;
}

/** Compiles the classic fork server if there is a compiler. */
async function forkServer(folder: string): Promise<Candidate> {
  const program = `${folder}/fork_server`;
  if (await has("cc")) {
    const args = ["-O2", "-o", program, `${ROOT}bench/fork_server.c`];
    await new Deno.Command("cc", { args }).output();
  }
  return {
    name: FORK_SERVER,
    program,
    package: "gcc libc6-dev",
    isCounter: true,
    command: (port) => [program, "127.0.0.1", `${port}`],
  };
}

/** The installed servers, spawnd first, and the missing ones. */
export async function findServers(
  folder: string,
): Promise<{ servers: Candidate[]; missing: Candidate[] }> {
  const servers = [SPAWND];
  const missing: Candidate[] = [];
  for (const peer of [...PEERS, await forkServer(folder)]) {
    (await has(peer.program) ? servers : missing).push(peer);
  }
  return { servers, missing };
}

/** A server that runs until it is disposed of. */
export class Running implements AsyncDisposable {
  readonly port: number;
  readonly #process: Deno.ChildProcess;

  private constructor(port: number, process: Deno.ChildProcess) {
    this.port = port;
    this.#process = process;
  }

  static async start(server: Candidate, handler: Handler, options: string[]): Promise<Running> {
    using free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = free.addr;
    free.close();
    const [command, ...args] = server.command(port, handler, options);
    const process = new Deno.Command(command!, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const running = new Running(port, process);
    for (let tries = 0; tries < 200; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 25));
      try {
        (await Deno.connect({ hostname: "127.0.0.1", port })).close();
        return running;
      } catch {
        // Not yet.
      }
    }
    await running[Symbol.asyncDispose]();
    throw new Error(`${server.name} does not listen`);
  }

  get pid(): number {
    return this.#process.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGTERM");
    } catch {
      // It has already exited.
    }
    const killing = setTimeout(() => this.#process.kill("SIGKILL"), 5000);
    await this.#process.status;
    clearTimeout(killing);
  }
}
