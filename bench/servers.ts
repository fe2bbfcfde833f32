/**
 * The servers that are compared, each started as a user would start it: spawnd, those of its peers
 * that are installed, and references.
 *
 * @module
 */

const ROOT = new URL("../", import.meta.url).pathname;
const DENO = Deno.execPath();

/** Forks and serves in one program, so that a process per connection cannot cost less. */
export const FORK_SERVER = "fork server in C";
/** Relays and does nothing else, so that a super-server in Deno cannot cost less. */
export const MINIMAL_RELAY = "minimal Deno relay";
/** Shows what TLS costs. */
export const WITHOUT_TLS = "spawnd without TLS";
/** Shows what a WebSocket costs. */
export const OVER_TCP = "spawnd over TCP";

/** Compared, but no peers. Each takes part in the rows that name it. */
export const REFERENCES: readonly string[] = [
  FORK_SERVER,
  MINIMAL_RELAY,
  WITHOUT_TLS,
  OVER_TCP,
];

/** What serves every connection: the counter service in Deno, or `cat`. */
export type Handler = "deno" | "native";

const HANDLERS: Record<Handler, string[]> = {
  deno: [DENO, "run", `${ROOT}child.ts`],
  native: ["cat"],
};

/** A certificate for `localhost`. */
export interface Certificate {
  /** The files with the certificate and its key. */
  readonly cert: string;
  readonly key: string;
  readonly pem: string;
}

/** What a server is to serve, and where. */
export interface Service {
  readonly port: number;
  readonly handler: Handler;
  /** Options of spawnd beyond its defaults. */
  readonly options: readonly string[];
}

/** A server to measure. */
export interface Candidate {
  readonly name: string;
  /** Its command line. A server that speaks something else has none. */
  command?(service: Service): string[];
  /** Its command line with TLS. */
  tlsCommand?(service: Service, certificate: Certificate): string[];
  /** Its command line for WebSockets: with lines for `cat`, with bytes for the counter service. */
  webSocketCommand?(service: Service): string[];
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
    command: ({ port, handler }) => [
      ...["tcpserver", "-H", "-R", "-l", "0", "-c", "2000", "-b", "511"],
      ...["127.0.0.1", `${port}`, ...HANDLERS[handler]],
    ],
  },
  {
    name: "tcpsvd",
    program: "tcpsvd",
    package: "ipsvd",
    // Without -l it looks up the local name in the DNS, and waits for that.
    command: ({ port, handler }) => [
      ...["tcpsvd", "-l", "0", "-c", "2000", "-b", "511"],
      ...["127.0.0.1", `${port}`, ...HANDLERS[handler]],
    ],
  },
  {
    name: "socat",
    program: "socat",
    package: "socat",
    // Without -t it waits only half a second for the answer to a client that half-closes.
    command: ({ port, handler }) => [
      ...["socat", "-t", "60", `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork,backlog=511`],
      `EXEC:${HANDLERS[handler].join(" ")}`,
    ],
    tlsCommand: ({ port, handler }, { cert, key }) => [
      ...["socat", "-t", "60"],
      `OPENSSL-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork,backlog=511,nodelay` +
      `,cert=${cert},key=${key},verify=0`,
      `EXEC:${HANDLERS[handler].join(" ")}`,
    ],
  },
  {
    name: "ncat",
    program: "ncat",
    package: "ncat",
    command: ncat,
    tlsCommand: (service, { cert, key }) => [
      ...ncat(service),
      ...["--ssl", "--ssl-cert", cert, "--ssl-key", key],
    ],
  },
  {
    name: "stunnel",
    program: "stunnel",
    package: "stunnel4",
    // It reads its configuration from a file only.
    tlsCommand: ({ port, handler }, { cert, key }) => {
      const configuration = [
        ...["foreground = yes", "pid =", "debug = err", "[bench]"],
        ...[`accept = 127.0.0.1:${port}`, `cert = ${cert}`, `key = ${key}`],
        ...["exec = /usr/bin/env", `execArgs = env ${HANDLERS[handler].join(" ")}`],
      ];
      return ["sh", "-c", `exec stunnel -fd 0 <<END\n${configuration.join("\n")}\nEND`];
    },
  },
  {
    name: "websocketd",
    program: "websocketd",
    package: "websocketd",
    webSocketCommand: ({ port, handler }) => [
      ...["websocketd", "--address=127.0.0.1", `--port=${port}`],
      ...[`--binary=${handler === "deno"}`, ...HANDLERS[handler]],
    ],
  },
];

function ncat({ port, handler }: Service): string[] {
  return [
    ...["ncat", "--listen", "--keep-open", "--max-conns", "2000", "127.0.0.1", `${port}`],
    ...["--exec", [`/usr/bin/env`, ...HANDLERS[handler]].join(" ")],
  ];
}

function spawnd(
  { port, handler, options }: Service,
  { permissions = [], scheme = "" }: { permissions?: string[]; scheme?: string } = {},
): string[] {
  return [
    ...[DENO, "run", "--allow-net", "--allow-run", ...permissions, `${ROOT}main.ts`],
    ...["--listen", `${scheme}127.0.0.1:${port}`, "--max-connections", "2000", ...options],
    ...(handler === "native" ? ["--", ...HANDLERS.native] : []),
  ];
}

const SPAWND: Candidate[] = [
  {
    name: "spawnd",
    program: DENO,
    command: (service) => spawnd(service),
    tlsCommand: (service, { cert, key }) => {
      const options = ["--cert", cert, "--key", key, ...service.options];
      return spawnd({ ...service, options }, { permissions: [`--allow-read=${cert},${key}`] });
    },
    webSocketCommand: (service) => spawnd(service, { scheme: "ws://" }),
  },
  { name: WITHOUT_TLS, program: DENO, command: (service) => spawnd(service) },
  { name: OVER_TCP, program: DENO, command: (service) => spawnd(service) },
];

const MINIMAL: Candidate = {
  name: MINIMAL_RELAY,
  program: DENO,
  command: ({ port, handler }) => [
    ...[DENO, "run", "--allow-net", "--allow-run", `${ROOT}bench/minimal_relay.ts`],
    ...[`${port}`, ...HANDLERS[handler]],
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
    command: ({ port }) => [program, "127.0.0.1", `${port}`],
  };
}

/** The installed servers, spawnd first, and the missing ones. */
export async function findServers(
  folder: string,
): Promise<{ servers: Candidate[]; missing: Candidate[] }> {
  const servers: Candidate[] = [];
  const missing: Candidate[] = [];
  for (const server of [...SPAWND, ...PEERS, MINIMAL, await forkServer(folder)]) {
    (await has(server.program) ? servers : missing).push(server);
  }
  return { servers, missing };
}
