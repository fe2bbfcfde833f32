/**
 * The manual page, spawnd(1), from the same tables as `--help`. Run as a program, it prints the page;
 * `deno task docs` writes it to docs/spawnd.1.
 *
 * The page is in mdoc(7), which groff and mandoc both read. What no table has is the text below, in
 * one piece, with mdoc's macros; what comes from a table is plain text, and is escaped.
 *
 * @module
 */

import config from "../../deno.json" with { type: "json" };
import { UNSET_VARIABLES } from "../child/environment.ts";
import { type Option, THEMES } from "../server/options.ts";
import { COMMAND_OPTIONS, nameOf } from "./command_options.ts";
import { escaped, list, prose } from "./mdoc.ts";
import { domainOf } from "./option_values.ts";
import { defaultOf, EXIT_STATUS, SIGNALS } from "./usage.ts";

/** When the texts of this file were last compared with what the server does. */
const DATE = "November 27, 2026";

/** Arguments that need no explanation beside the help of their options. */
const PLAIN: readonly Option["argument"][] = ["ADDRESS", "DIR", "FILE", "HOST", "TEXT"];

/** What the variables of the children say, by how their names begin. */
const VARIABLES: Readonly<Record<string, string>> = {
  PROTO: "TCP or UNIX.",
  TCP:
    "The addresses of both ends, as with tcpserver. Names are not looked up: HOST and INFO are " +
    "always empty.",
  REMOTE_: "The address of the client, as with systemd and xinetd.",
  SSL_: "What the TLS handshake settled, as with Apache and nginx.",
};

/** The page. */
export function manual(): string {
  return `.Dd ${DATE}
.Dt SPAWND 1
.Os "spawnd ${config.version}"
.Sh NAME
.Nm spawnd
.Nd TCP server that gives every connection a process of its own
.Sh SYNOPSIS
.Nm
.Op Ar option ...
.Op Ar module Op Ar argument ...
.Nm
.Op Ar option ...
.Fl \\-
.Ar program
.Op Ar argument ...
.Nm
.Fl \\-config Ar FILE
.Op Fl \\-check
.Sh DESCRIPTION
.Nm
accepts connections and gives each one a process of its own, which reads what
the client sends from its standard input and answers on its standard output.
The server relays the bytes, and takes care of limits, timeouts, TLS,
WebSockets, clean closing and one log record per connection.
Processes can be started before their clients connect.
.Pp
.Nm
stands for
.Ic deno run
with the path of
.Pa main.ts
and the permissions of Deno that it takes:
.Fl \\-allow\\-net
and
.Fl \\-allow\\-run
in any case.
To install it as a command, see
.Sx FILES .
.Sh HANDLER
What follows the options is the handler, which serves every connection:
.Bl -tag -width Ds
.It no handler
The counter service: a numbered block of 256 bytes for each message.
.It Ar module Op Ar argument ...
A module: a file that ends in .ts, .js, .mts, .mjs, .tsx or .jsx, or a file:,
https:, jsr: or npm: address.
It runs in Deno without permissions, except those of
.Fl \\-grant .
.It Fl \\- Ar program Op Ar argument ...
Any program that reads standard input and writes standard output.
No shell is involved.
.El
.Sh OPTIONS
Options stand before the handler.
A switch takes no argument.
${
    Object.entries({ ...THEMES, "The command itself": COMMAND_OPTIONS })
      .map(([theme, options]) => section(theme, Object.values(options)))
      .join("\n")
  }
.Sh CONFIGURATION FILE
The file of
.Fl \\-config
is JSON with comments.
Its
.Ql services
have names.
Each has options as keys, without the dashes, and a
.Ql module
with
.Ql args ,
or a
.Ql command ,
or else it is the counter service.
Options at the top are defaults for all services.
.Pa docs/reference.md
describes the file, and
.Pa docs/schema.json
is its schema, for editors.
.Sh SIGNALS
${list(SIGNALS)}
.Sh ENVIRONMENT
.Nm
reads these variables only where Deno's
.Fl \\-allow\\-env
lets it:
.Bl -tag -width Ds
.It Ev NOTIFY_SOCKET , Ev WATCHDOG_USEC , Ev WATCHDOG_PID
Where and how often it notifies the service manager; see
.Xr sd_notify 3 .
.It Ev JOURNAL_STREAM
Whether standard error is the systemd journal.
.It Ev LISTEN_FDNAMES
The names of the sockets that systemd passes, for
.Ql fd:NAME
addresses.
.It Ev TERM
Whether the terminal is dumb, and its log without colours.
.El
.Pp
In any case,
.Ev NO_COLOR
turns off the colours of the log.
.Pp
Children inherit the environment, less with
.Fl \\-clear\\-env ,
and get the variables of
.Fl \\-env .
A child that starts for its client also has the variables below.
In a warm child, which starts before its client connects, they are empty;
.Fl \\-send\\-proxy
tells it of its client on standard input.
.Bl -tag -width Ds
${Object.entries(VARIABLES).map(([prefix, text]) => variables(prefix, text)).join("\n")}
.It Ev REQUEST_URI , Ev QUERY_STRING , Ev HTTP_* No and others
The request for a WebSocket, as with CGI, and only over one.
.El
.Sh FILES
Paths are relative to the folder of spawnd.
.Bl -tag -width Ds
.It Pa main.ts
The command.
This makes it
.Nm ,
with the permissions that it is to have:
.Pp
.Dl deno install \\-\\-global \\-\\-name spawnd \\-\\-allow\\-net \\-\\-allow\\-run main.ts
.It Pa docs/spawnd.1
This page.
Copy it to
.Pa /usr/local/share/man/man1 .
.It Pa docs/completions
Completions for bash, zsh and fish.
The first lines of each say where to put it.
.It Pa docs/schema.json
The schema of configuration files.
.El
.Sh EXIT STATUS
${list(EXIT_STATUS)}
.Sh EXAMPLES
The counter service on port 9527:
.Pp
.Dl spawnd
.Pp
A module, for at most five connections of one source:
.Pp
.Dl spawnd \\-\\-port 7000 \\-\\-max\\-per\\-source 5 handler.ts
.Pp
A program, of which four processes are kept warm:
.Pp
.Dl spawnd \\-\\-host 127.0.0.1 \\-\\-warm 4 \\-\\- bc \\-l
.Pp
The same on a web page, at http://127.0.0.1:8080/:
.Pp
.Dl spawnd \\-\\-websocket 127.0.0.1:8080 \\-\\- bc \\-l
.Pp
What is wrong with a configuration, if anything:
.Pp
.Dl spawnd \\-\\-config services.jsonc \\-\\-check
.Sh SEE ALSO
.Xr deno 1 ,
.Xr setpriv 1 ,
.Xr setsid 1 ,
.Xr socat 1 ,
.Xr tcpserver 1 ,
.Xr systemd.socket 5 ,
.Xr tcp 7 ,
.Xr inetd 8
.Pp
In the folder of spawnd:
.Pa README.md ,
and in
.Pa docs
.Pa install.md ,
.Pa reference.md ,
.Pa handlers.md ,
.Pa operations.md ,
.Pa performance.md ,
.Pa programs.md ,
.Pa websockets.md
and
.Pa migrating.md .
`;
}

/** The options of a theme. */
function section(theme: string, options: readonly Option[]): string {
  return `.Ss ${escaped(theme)}\n.Bl -tag -width Ds\n${options.map(entryOf).join("\n")}\n.El`;
}

/** An option: its names and argument, what it does, and what it takes. */
function entryOf(option: Option): string {
  const { name, short, argument, help, repeatable, requires, excludes = [], needs = [] } = option;
  const defaultValue = defaultOf(option);
  const conditions = [...(requires ? [`--${nameOf(requires)}`] : []), ...needs].join(" and ");
  const exclusions = excludes.map((key) => `--${nameOf(key)}`).join(" or ");
  const sentences = [
    help,
    argument && !PLAIN.includes(argument) && `takes ${domainOf(option)}`,
    defaultValue && `default: ${defaultValue}`,
    repeatable && !domainOf(option).includes("may be repeated") && "may be repeated",
    conditions && `needs ${conditions}`,
    exclusions && `cannot be given with ${exclusions}`,
  ].filter((sentence) => typeof sentence === "string" && sentence !== "");
  const term = [
    ...(short ? [`Fl ${short} ,`] : []),
    `Fl ${escaped(`-${name}`)}`,
    ...(argument ? [`Ar ${escaped(argument)}`] : []),
  ];
  return `.It ${term.join(" ")}\n${sentences.map((text) => prose(text as string)).join("\n")}`;
}

/** The variables of a child that begin with `prefix`. */
function variables(prefix: string, text: string): string {
  const names = Object.keys(UNSET_VARIABLES).filter((name) => name.startsWith(prefix));
  return `.It Ev ${names.join(" , Ev ")}\n${text.split(/(?<=\.) /).map(prose).join("\n")}`;
}

if (import.meta.main) console.log(manual().trimEnd());
