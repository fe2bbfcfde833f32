/**
 * The options: everything a server can be told, in one table that owns each option's name on the
 * command line, argument, default, range and help. Range checks, parsing, `--help` and the tables
 * of docs/reference.md are read from it or tested against it.
 *
 * The table is in the library's units: durations are milliseconds. The command line speaks seconds.
 *
 * @module
 */

import type { Rate } from "../admission/token_bucket.ts";
import type { Observer } from "../base/observer.ts";
import type { Handler } from "../child/handler.ts";
import { STOP_SIGNALS, type StopSignal } from "../child/stop_ladder.ts";
import type { StderrMode } from "../child/launch.ts";
import { MESSAGE_MODES, type MessageMode } from "../net/message_mode.ts";
import { TLS_VERSIONS, type TlsVersion } from "../net/tls_version.ts";

/** How {@linkcode Server.listen} sets a server up. */
export interface ServerOptions {
  /** The program or module that serves every connection. */
  handler: Handler;
  /**
   * The addresses to listen on: `127.0.0.1:9527`, `[::1]:9527`, `:9527` (all addresses, IPv4 and
   * IPv6), `unix:/run/x.sock`, or `fd:3`, a listening socket that the program was started with. After
   * `ws://`, and perhaps with a path at its end, it is one for WebSockets: `ws://:8080/chat`. To them
   * come those of `hostname` and `port`, of `unix` and of `webSocket`, if these are given.
   *
   * @default {[]}
   */
  listen?: readonly string[];
  /**
   * The address or name to listen on, with `port`. `::` is IPv6 and IPv4.
   *
   * @default {"0.0.0.0"}
   */
  hostname?: string;
  /**
   * The TCP port, 0 to 65535; 0 takes a free one. Where neither it, `hostname`, `listen`, `unix` nor
   * `webSocket` is given, the server listens on the defaults of the first two.
   *
   * @default {9527}
   */
  port?: number;
  /**
   * How many connections the kernel holds until they are accepted; at least 1. The kernel has a
   * limit of its own (Linux: net.core.somaxconn, listen(2)).
   *
   * @default {511}
   */
  backlog?: number;
  /**
   * Whether other servers may listen on the same port and share its clients (Linux: SO_REUSEPORT,
   * socket(7)). Needs Deno's `--unstable-net`, which spawnd's deno.json sets.
   *
   * @default {false}
   */
  reusePort?: boolean;
  /**
   * The path of a Unix socket to listen on. No address rule, source limit or TLS applies to it.
   * Needs `--allow-read` and `--allow-write`.
   *
   * @default {undefined}
   */
  unix?: string;
  /**
   * Whether the kernel probes TCP clients that say nothing, and ends the connection if they do not
   * answer. When it does is the system's setting (Linux: two hours, tcp_keepalive_time of tcp(7));
   * Deno can only turn it on or off.
   *
   * @default {true}
   */
  keepAlive?: boolean;
  /**
   * Trusted proxies, as networks in CIDR notation. A connection from one of them has to begin with
   * a PROXY header, and counts as the client that the header names; over HTTP, `Forwarded` or
   * `X-Forwarded-For` will do. From other addresses no header is read.
   *
   * @default {[]}
   */
  acceptProxy?: readonly string[];
  /**
   * Addresses at which clients speak WebSocket (RFC 6455), each perhaps with a path, such as
   * `:8080/chat`: what `listen` takes after `ws://`. It is served there and below; with `cert`, over
   * TLS.
   *
   * @default {[]}
   */
  webSocket?: readonly string[];
  /**
   * What a message is: `lines`, a line of text; `text`, text as it comes; or `bytes`. A client
   * chooses by the sub-protocols `spawnd.lines`, `spawnd.text` and `spawnd.bytes`.
   *
   * @default {handler.wsMode}
   */
  wsMode?: MessageMode;
  /**
   * The sub-protocols of the handler: a client gets the first one of its list that is here.
   *
   * @default {[]}
   */
  wsProtocol?: readonly string[];
  /**
   * The origins of the pages that may open a WebSocket besides those of the server's own host and
   * port, such as `https://example.com`, or `*`. Clients other than browsers name none.
   *
   * @default {[]}
   */
  origin?: readonly string[];
  /**
   * The largest message that a client may send over a WebSocket, in bytes; at least 1.
   *
   * @default {1048576}
   */
  wsMaxMessageBytes?: number;
  /**
   * How often a client is pinged over a WebSocket, and how long it has for the answer, in
   * milliseconds; 0 is never.
   *
   * @default {30000}
   */
  wsPingMs?: number;
  /**
   * Whether a browser that asks for no WebSocket gets a page that opens one.
   *
   * @default {true}
   */
  page?: boolean;
  /**
   * Files of certificate chains in PEM. With them and `key`, TCP clients have to speak TLS, after
   * their PROXY header if they send one. A client that asks for a name gets the first certificate
   * that is for it, any other client the first. Needs `--allow-read`.
   *
   * @default {[]}
   */
  cert?: readonly string[];
  /**
   * The files of their private keys in PEM, in the same order.
   *
   * @default {[]}
   */
  key?: readonly string[];
  /**
   * Files of certificates in PEM, one of which has to have issued the client's. Clients without
   * such a certificate are refused. Needs `--allow-read`.
   *
   * @default {[]}
   */
  clientCa?: readonly string[];
  /**
   * The protocols that a TLS client can choose from, the preferred one first (ALPN, RFC 7301). A
   * client that offers only others is refused; one that offers none is served.
   *
   * @default {[]}
   */
  alpn?: readonly string[];
  /**
   * The lowest version of TLS.
   *
   * @default {"1.2"}
   */
  tlsMin?: TlsVersion;
  /**
   * How many connections are served at once; at least 1.
   *
   * @default {256}
   */
  maxConnections?: number;
  /**
   * How many connections may wait for a slot; with 0, a connection without a slot is refused at
   * once. While the queue is full, nothing is accepted, and the kernel's backlog holds the rest.
   *
   * @default {64}
   */
  queue?: number;
  /**
   * How long a connection waits for a slot before it is refused, in milliseconds; at least 1.
   *
   * @default {10000}
   */
  queueTimeoutMs?: number;
  /**
   * How many connections one source may have, waiting or served; 0 is no limit. A source is an IPv4
   * address or an IPv6 network of 64 bits.
   *
   * @default {0}
   */
  maxPerSource?: number;
  /**
   * How often one source may connect: `count` times at once, and `count` times more in every
   * `periodMs` milliseconds; a count of 0 is no limit.
   *
   * @default {{"count":0,"periodMs":1000}}
   */
  ratePerSource?: Rate;
  /**
   * How many clients may begin to be served, of all sources together: `count` at once, and `count`
   * more in every `periodMs` milliseconds. Those that come sooner wait in the queue; a count of 0 is
   * no limit.
   *
   * @default {{"count":0,"periodMs":1000}}
   */
  rate?: Rate;
  /**
   * The networks to which the limits of a source do not apply, in CIDR notation: those behind which
   * many clients share an address, or a monitor.
   *
   * @default {[]}
   */
  exempt?: readonly string[];
  /**
   * The networks that may connect, in CIDR notation; an empty list admits every address.
   *
   * @default {[]}
   */
  allow?: readonly string[];
  /**
   * The networks that may not connect, even if `allow` includes them.
   *
   * @default {[]}
   */
  deny?: readonly string[];
  /**
   * The text a refused client is sent before its connection is closed.
   *
   * @default {""}
   */
  refusal?: string;
  /**
   * The text a client is sent when it begins to be served, before its child's output.
   *
   * @default {""}
   */
  banner?: string;
  /**
   * How long a TLS handshake, a PROXY header or the request for a WebSocket may take, in
   * milliseconds; at least 1.
   *
   * @default {5000}
   */
  handshakeTimeoutMs?: number;
  /**
   * How long a connection may go without a byte in either direction, in milliseconds; 0 is no
   * limit.
   *
   * @default {0}
   */
  idleTimeoutMs?: number;
  /**
   * How long a connection may last, in milliseconds; 0 is no limit.
   *
   * @default {0}
   */
  sessionTimeoutMs?: number;
  /**
   * How long a child may be silent after its client's input has ended, in milliseconds; 0 is no
   * limit.
   *
   * @default {30000}
   */
  eofTimeoutMs?: number;
  /**
   * How long a child that is being stopped gets after its stdin has been closed, and again after
   * the stop signal, in milliseconds.
   *
   * @default {5000}
   */
  killTimeoutMs?: number;
  /**
   * How long a shutdown lets open connections go on, in milliseconds.
   *
   * @default {30000}
   */
  drainTimeoutMs?: number;
  /**
   * How many children to keep started ahead of their clients; 0 starts every child cold. The default
   * is at most `maxConnections`.
   *
   * @default {handler.warm}
   */
  warm?: number;
  /**
   * The version of the PROXY header that a child reads before its client's bytes, 1 or 2; 0 sends
   * none.
   *
   * @default {0}
   */
  sendProxy?: number;
  /**
   * Variables to add to the children's environment, by name.
   *
   * @default {{}}
   */
  env?: Readonly<Record<string, string>>;
  /**
   * Whether children inherit nothing of the server's environment but `PATH`, `HOME`, `LANG`, `LC_*`
   * and `TZ`. Needs to run sh(1).
   *
   * @default {false}
   */
  clearEnv?: boolean;
  /**
   * The working directory of the children.
   *
   * @default {undefined}
   */
  cwd?: string;
  /**
   * The user that children run as, by name, or `name:group`: with that group, or the user's own, and
   * no supplementary ones. Needs a server run by root, and to run sh(1), which looks the names up.
   *
   * @default {undefined}
   */
  user?: string;
  /**
   * The numeric id of the user that children run as. Needs `gid`, and a server run by root.
   *
   * @default {undefined}
   */
  uid?: number;
  /**
   * The numeric id of the group that children run as, and the only group they have.
   *
   * @default {undefined}
   */
  gid?: number;
  /**
   * Whether each child has a session and process group of its own, so that it can be stopped
   * together with what it starts. A module that may not start processes gets one only where Ctrl-C
   * on a terminal would reach it. Takes setsid(1), and an `--allow-run` without a list.
   *
   * @default {true}
   */
  group?: boolean;
  /**
   * Whether what a child leaves behind when it exits is left alone. What it still runs when it is
   * stopped is stopped with it.
   *
   * @default {false}
   */
  leave?: boolean;
  /**
   * The first signal that a child is stopped with.
   *
   * @default {"SIGTERM"}
   */
  stopSignal?: StopSignal;
  /**
   * Where the children's stderr goes.
   *
   * @default {"inherit"}
   */
  stderr?: StderrMode;
}

/** What else {@linkcode Server.listen} takes. */
export interface ListenOptions {
  /** Is told how long things take; its functions must not throw. */
  observer?: Observer;
  /** Ends the start, which rejects then, or shuts the server down once it listens. */
  signal?: AbortSignal;
}

/** The smallest and the largest value of an option that is a number. */
export type Range = readonly [min: number, max: number];

/** One option, as the table has it. */
export interface Option {
  /** Its name on the command line, without the dashes. */
  readonly name: string;
  /** One letter that stands for it, without the dash. */
  readonly short?: string;
  /** What its argument is called; a switch has none. */
  readonly argument?:
    | "ADDRESS"
    | "ADDRESS[/PATH]"
    | "CIDR"
    | "DIR"
    | "FILE"
    | "HOST"
    | "N"
    | "NAME=VALUE"
    | "NAME[:GROUP]"
    | "ORIGIN"
    | "PERMISSION[=VALUES]"
    | "PROTOCOL"
    | "N[/SECONDS]"
    | "SECONDS"
    | "SIGNAL"
    | "TOKEN"
    | "TEXT"
    | "WORD"
    | "[HOST:]PORT";
  /** What it does, on one line. */
  readonly help: string;
  /** Its value where it is not given; nothing where its absence means something of its own. */
  readonly default?: unknown;
  /** The default in words, where it is no fixed value. */
  readonly defaultText?: string;
  /** The range of a number; of a duration, in milliseconds. */
  readonly range?: Range;
  /** Its allowed values. */
  readonly words?: readonly string[];
  /** Whether it may be given several times. */
  readonly repeatable?: boolean;
  /** The key of another option that must be given with it. */
  readonly requires?: string;
  /** The keys of options that cannot be given with it. */
  readonly excludes?: readonly string[];
  /** What else it takes to use it: a permission of Deno's, or to be root. */
  readonly needs?: readonly string[];
}

/** The longest delay a timer can have, in milliseconds: with a longer one it fires at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;
const COUNT: Range = [0, 1_000_000];
const DURATION: Range = [0, MAX_DELAY_MS];
/** A duration that cannot be switched off. */
const LIMIT: Range = [1, MAX_DELAY_MS];
const ID: Range = [0, 2 ** 32 - 2];

/** The ranges of a rate's two parts. */
export const RATE_RANGES = { count: COUNT, periodMs: LIMIT } as const;

const LISTENING = {
  listen: {
    name: "listen",
    argument: "ADDRESS",
    default: [],
    repeatable: true,
    help:
      "address to listen on: HOST:PORT, :PORT for all IPv4 and IPv6 addresses, unix:PATH, or fd:N or fd:NAME for a socket passed by systemd; after ws:// for WebSockets",
  },
  hostname: {
    name: "host",
    argument: "HOST",
    default: "0.0.0.0",
    help: "address or name to listen on; :: is IPv6 and IPv4",
  },
  port: {
    name: "port",
    short: "p",
    argument: "N",
    default: 9527,
    range: [0, 65_535],
    help: "TCP port; 0 takes a free one",
  },
  backlog: {
    name: "backlog",
    argument: "N",
    default: 511,
    range: [1, 2 ** 31 - 1],
    help: "connections the kernel holds until they are accepted",
  },
  reusePort: {
    name: "reuse-port",
    default: false,
    help: "share the port with other servers (Linux)",
  },
  unix: {
    name: "unix",
    argument: "FILE",
    needs: ["Deno's --allow-read", "--allow-write"],
    help: "listen on this Unix socket",
  },
  keepAlive: {
    name: "no-keepalive",
    default: true,
    help: "do not have the kernel probe clients that say nothing",
  },
  acceptProxy: {
    name: "accept-proxy",
    argument: "CIDR",
    default: [],
    repeatable: true,
    help: "proxies that send a PROXY header first, or over HTTP name their client in a header",
  },
} as const satisfies Table;

/** What of WebSockets can be told; all but the first make sense only where there are some. */
export const WEB_SOCKETS = {
  webSocket: {
    name: "websocket",
    argument: "ADDRESS[/PATH]",
    default: [],
    repeatable: true,
    help: "listen for WebSockets on this address, at this path and below",
  },
  wsMode: {
    name: "ws-mode",
    argument: "WORD",
    defaultText: "lines; bytes for the counter",
    words: MESSAGE_MODES,
    help: "what a message is",
  },
  wsProtocol: {
    name: "ws-protocol",
    argument: "TOKEN",
    default: [],
    repeatable: true,
    help: "sub-protocol that a client may ask for",
  },
  origin: {
    name: "origin",
    argument: "ORIGIN",
    default: [],
    repeatable: true,
    help:
      "pages that may connect besides those of this host and port, such as https://example.com, or * for all",
  },
  wsMaxMessageBytes: {
    name: "ws-max-message",
    argument: "N",
    default: 1024 * 1024,
    range: [1, 2 ** 31 - 1],
    help: "bytes of the largest message that a client may send",
  },
  wsPingMs: {
    name: "ws-ping",
    argument: "SECONDS",
    default: 30_000,
    range: DURATION,
    help: "how often clients are pinged, and how long they have to answer; 0 is never",
  },
  page: {
    name: "no-page",
    default: true,
    help: "do not serve the console page to browsers",
  },
} as const satisfies Table;

const TLS = {
  cert: {
    name: "cert",
    argument: "FILE",
    default: [],
    repeatable: true,
    requires: "key",
    needs: ["Deno's --allow-read"],
    help:
      "speak TLS with this certificate chain, in PEM; of several, with the one for the name that a client asks for, by default the first",
  },
  key: {
    name: "key",
    argument: "FILE",
    default: [],
    repeatable: true,
    requires: "cert",
    needs: ["Deno's --allow-read"],
    help: "private key of each certificate, in PEM, in the same order",
  },
  clientCa: {
    name: "client-ca",
    argument: "FILE",
    default: [],
    repeatable: true,
    requires: "cert",
    needs: ["Deno's --allow-read"],
    help: "serve only clients with a certificate from one of these, in PEM",
  },
  alpn: {
    name: "alpn",
    argument: "PROTOCOL",
    default: [],
    repeatable: true,
    requires: "cert",
    help:
      "protocol that TLS clients can choose, the preferred one first; those that offer only others are refused",
  },
  tlsMin: {
    name: "tls-min",
    argument: "WORD",
    words: TLS_VERSIONS,
    default: "1.2",
    requires: "cert",
    help: "lowest version of TLS",
  },
} as const satisfies Table;

const ADMISSION = {
  maxConnections: {
    name: "max-connections",
    argument: "N",
    default: 256,
    range: [1, 1_000_000],
    help: "connections served at once",
  },
  queue: {
    name: "queue",
    argument: "N",
    default: 64,
    range: COUNT,
    help: "connections that may wait for a slot; 0 refuses at once",
  },
  queueTimeoutMs: {
    name: "queue-timeout",
    argument: "SECONDS",
    default: 10_000,
    range: LIMIT,
    help: "how long a connection waits for a slot",
  },
  maxPerSource: {
    name: "max-per-source",
    argument: "N",
    default: 0,
    range: COUNT,
    help: "connections of one source; 0 is no limit",
  },
  ratePerSource: {
    name: "rate-per-source",
    argument: "N[/SECONDS]",
    default: { count: 0, periodMs: 1000 },
    help:
      "new connections of one source: N at once, then N in SECONDS, or a second, evenly spread; 0 is no limit",
  },
  rate: {
    name: "rate",
    argument: "N[/SECONDS]",
    default: { count: 0, periodMs: 1000 },
    help:
      "how many clients of all sources together may begin to be served: N at once, then N in SECONDS, or a second, evenly spread; others wait; 0 is no limit",
  },
  exempt: {
    name: "exempt",
    argument: "CIDR",
    default: [],
    repeatable: true,
    help: "do not apply the limits of a source to this network",
  },
  allow: {
    name: "allow",
    argument: "CIDR",
    default: [],
    repeatable: true,
    help: "admit only clients in this network",
  },
  deny: {
    name: "deny",
    argument: "CIDR",
    default: [],
    repeatable: true,
    help: "refuse clients in this network, even if --allow includes them",
  },
  refusal: {
    name: "refusal",
    argument: "TEXT",
    default: "",
    help: "what a refused client is sent",
  },
  banner: {
    name: "banner",
    argument: "TEXT",
    default: "",
    help: "what a client is sent first when it is served",
  },
} as const satisfies Table;

const TIMEOUTS = {
  handshakeTimeoutMs: {
    name: "handshake-timeout",
    argument: "SECONDS",
    default: 5_000,
    range: LIMIT,
    help: "for a TLS handshake, a PROXY header or a WebSocket's request",
  },
  idleTimeoutMs: {
    name: "idle-timeout",
    argument: "SECONDS",
    default: 0,
    range: DURATION,
    help: "without a byte in either direction; 0 is no limit",
  },
  sessionTimeoutMs: {
    name: "session-timeout",
    argument: "SECONDS",
    default: 0,
    range: DURATION,
    help: "for a whole connection; 0 is no limit",
  },
  eofTimeoutMs: {
    name: "eof-timeout",
    argument: "SECONDS",
    default: 30_000,
    range: DURATION,
    help: "without output after the end of input; 0 is no limit",
  },
  killTimeoutMs: {
    name: "kill-timeout",
    argument: "SECONDS",
    default: 5_000,
    range: DURATION,
    help: "wait after end of input, and again after the stop signal",
  },
  drainTimeoutMs: {
    name: "drain-timeout",
    argument: "SECONDS",
    default: 30_000,
    range: DURATION,
    help: "for open connections at shutdown",
  },
} as const satisfies Table;

const CHILDREN = {
  warm: {
    name: "warm",
    argument: "N",
    defaultText: "8 for modules, 0 for programs",
    range: [0, 10_000],
    help: "children started ahead of their clients; by default at most --max-connections",
  },
  sendProxy: {
    name: "send-proxy",
    argument: "N",
    default: 0,
    range: [0, 2],
    help: "PROXY header that a child reads first: 1 is text, 2 is binary, 0 sends none",
  },
  env: {
    name: "env",
    argument: "NAME=VALUE",
    default: {},
    defaultText: "",
    repeatable: true,
    help: "set this variable in the children's environment",
  },
  clearEnv: {
    name: "clear-env",
    default: false,
    help: "children inherit only PATH, HOME, LANG, LC_* and TZ",
  },
  cwd: {
    name: "cwd",
    argument: "DIR",
    defaultText: "the server's",
    help: "working directory of the children",
  },
  user: {
    name: "user",
    argument: "NAME[:GROUP]",
    defaultText: "the server's",
    excludes: ["uid", "gid"],
    needs: ["root"],
    help: "user that children run as, without supplementary groups",
  },
  uid: {
    name: "uid",
    argument: "N",
    defaultText: "the server's",
    range: ID,
    requires: "gid",
    needs: ["root"],
    help: "user id that children run as",
  },
  gid: {
    name: "gid",
    argument: "N",
    defaultText: "the server's",
    range: ID,
    needs: ["root"],
    help: "group id that children run as",
  },
  group: {
    name: "no-group",
    default: true,
    help: "children stay in the server's process group",
  },
  leave: {
    name: "leave",
    default: false,
    help: "leave alone what a child leaves behind",
  },
  stopSignal: {
    name: "stop-signal",
    argument: "SIGNAL",
    default: "SIGTERM",
    words: STOP_SIGNALS,
    help: "first signal that a child is stopped with",
  },
  stderr: {
    name: "stderr",
    argument: "WORD",
    default: "inherit",
    words: ["inherit", "log", "client", "null"],
    help: "where the children's stderr goes",
  },
} as const satisfies Table;

/** What a module handler can be told. */
export const MODULE_OPTIONS = {
  grant: {
    name: "grant",
    argument: "PERMISSION[=VALUES]",
    repeatable: true,
    help: "give a module this permission of Deno, and no others",
  },
  checkTypes: {
    name: "check-types",
    default: false,
    help: "check the types of a module at the start and at SIGHUP; it takes a second",
  },
} as const satisfies Record<string, Option>;

/** Options by the keys of {@linkcode ServerOptions}. */
type Table = Partial<Record<Exclude<keyof ServerOptions, "handler">, Option>>;

/** All options of a server, by their keys in {@linkcode ServerOptions}. */
export const OPTIONS = {
  ...LISTENING,
  ...WEB_SOCKETS,
  ...TLS,
  ...ADMISSION,
  ...TIMEOUTS,
  ...CHILDREN,
};

/** The same by theme, in the order in which a reader needs them. */
export const THEMES: Readonly<Record<string, Readonly<Record<string, Option>>>> = {
  "Where to listen": LISTENING,
  "WebSockets": WEB_SOCKETS,
  "TLS": TLS,
  "Who may connect (a source is an IPv4 address or an IPv6 /64)": ADMISSION,
  "Time limits, in seconds, which may have a fraction": TIMEOUTS,
  "Child processes": { ...CHILDREN, ...MODULE_OPTIONS },
};
