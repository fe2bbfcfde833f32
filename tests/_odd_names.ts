/**
 * Command lines with an option or a word that does not exist, or is used out of habit; a table as in
 * [_odd_lines.ts](./_odd_lines.ts).
 *
 * @module
 */

/** One a line: the arguments, the exit code, and what must be said. */
export const LINES = `
--reuse-port banana | 2 | a handler is a module (such as handler.ts) or -- and a program, got "banana"
--keepalive | 2 | unknown option "--keepalive": that is the default, which --no-keepalive turns off
--no-no-keepalive | 2 | unknown option "--no-no-keepalive", did you mean --no-keepalive?
--no-reuse-port | 2 | unknown option "--no-reuse-port": that is the default, which --reuse-port changes
--page | 2 | unknown option "--page": that is the default, which --no-page turns off
--ws | 2 | unknown option "--ws", did you mean --ws-mode, --ws-protocol, --ws-max-message or --ws-ping?
--max | 2 | unknown option "--max", did you mean --max-connections, --max-per-source or --max-children?
--log | 2 | unknown option "--log", did you mean --log-level or --log-format?
--time | 2 | unknown option "--time"
--tls | 2 | unknown option "--tls": TLS takes --cert and --key
--idle | 2 | unknown option "--idle", did you mean --idle-timeout?
-V | 0 | version
-v | 2 | unknown option "-v", did you mean --log-level debug?
-vv | 2 | unknown option "-vv", did you mean --log-level debug?
-q | 2 | unknown option "-q", did you mean --log-level warn?
-h | 0 | help
-? | 2 | unknown option "-?", did you mean --help?
-d | 2 | unknown option "-d": it stays in the foreground; see deploy/
-D | 2 | unknown option "-D": it stays in the foreground; see deploy/
-l | 2 | unknown option "-l", did you mean --host or --listen?
-w 3 | 2 | unknown option "-w"
-n | 2 | unknown option "-n", did you mean --max-connections?
-4 | 2 | unknown option "-4", did you mean --host 0.0.0.0 for IPv4, or --host :: for IPv6 too?
-6 | 2 | unknown option "-6", did you mean --host 0.0.0.0 for IPv4, or --host :: for IPv6 too?
-t 3 | 2 | unknown option "-t", did you mean --idle-timeout or --session-timeout?
-u nobody | 2 | unknown option "-u", did you mean --user?
-e | 2 | unknown option "-e": a program and its arguments go after --
-x | 2 | unknown option "-x"
-hV | 0 | help
-H | 2 | unknown option "-H", did you mean --host or --listen?
-- | 2 | -- takes a program and its arguments, got nothing
- | 2 | a handler is a module (such as handler.ts) or -- and a program, got "-"
--allow-net | 2 | unknown option "--allow-net": it is one of deno's, and goes before main.ts
-A | 2 | unknown option "-A": it is one of deno's, and goes before main.ts
--allow-all | 2 | unknown option "--allow-all": it is one of deno's, and goes before main.ts
-R | 2 | unknown option "-R": it is one of deno's, and goes before main.ts
--watch | 2 | unknown option "--watch": it is one of deno's, and goes before main.ts
--quiet | 2 | unknown option "--quiet", did you mean --log-level warn?
--verbose | 2 | unknown option "--verbose", did you mean --log-level debug?
--debug | 2 | unknown option "--debug", did you mean --log-level debug?
--daemon | 2 | unknown option "--daemon": it stays in the foreground; see deploy/
--background | 2 | unknown option "--background": it stays in the foreground; see deploy/
--HELP | 2 | unknown option "--HELP", did you mean --help?
--Port 3 | 2 | unknown option "--Port", did you mean --port?
--maxConnections 3 | 2 | unknown option "--maxConnections", did you mean --max-connections?
-port 1 | 2 | unknown option "-port", did you mean --port?
-host ::1 | 2 | unknown option "-host", did you mean --host?
-help | 2 | unknown option "-help", did you mean --help?
---port 1 | 2 | unknown option "---port", did you mean --port?
--=1 | 2 | unknown option "--=1"
handler.py | 2 | a handler is a module (such as handler.ts) or -- and a program, got "handler.py"
--help | 0 | help
--version | 0 | version
-vvv | 2 | unknown option "-vvv", did you mean --log-level debug?
-px | 2 | unknown option "-px", did you mean -p x?
-version | 2 | unknown option "-version", did you mean --version?
-warm 3 | 2 | unknown option "-warm", did you mean --warm?
-p80x | 2 | unknown option "-p80x", did you mean -p 80x?
--PORT=80 | 2 | unknown option "--PORT=80", did you mean --port?
--maxConnections=3 | 2 | unknown option "--maxConnections=3", did you mean --max-connections?
--rate-per | 2 | unknown option "--rate-per", did you mean --rate-per-source?
--kill | 2 | unknown option "--kill", did you mean --kill-timeout?
--no | 2 | unknown option "--no", did you mean --no-keepalive, --no-page or --no-group?
--proxy | 2 | unknown option "--proxy", did you mean --accept-proxy or --send-proxy?
--timeout 3 | 2 | unknown option "--timeout", did you mean --idle-timeout or --session-timeout?
--ssl | 2 | unknown option "--ssl": TLS takes --cert and --key
--https | 2 | unknown option "--https": TLS takes --cert and --key
--ca a | 2 | unknown option "--ca", did you mean --client-ca?
--cacert=a | 2 | unknown option "--cacert=a", did you mean --client-ca?
--bind ::1 | 2 | unknown option "--bind", did you mean --host or --listen?
--address ::1 | 2 | unknown option "--address", did you mean --host or --listen?
--interface lo | 2 | unknown option "--interface", did you mean --host or --listen?
-H ::1 | 2 | unknown option "-H", did you mean --host or --listen?
-P 80 | 2 | unknown option "-P", did you mean --port?
-n 3 | 2 | unknown option "-n", did you mean --max-connections?
-m 3 | 2 | unknown option "-m", did you mean --max-connections?
--max-clients 3 | 2 | unknown option "--max-clients", did you mean --max-connections?
-u git | 2 | unknown option "-u", did you mean --user?
-g git | 2 | unknown option "-g", did you mean --user?
-C / | 2 | unknown option "-C", did you mean --cwd?
--dir / | 2 | unknown option "--dir", did you mean --cwd?
-e cat | 2 | unknown option "-e": a program and its arguments go after --
--exec cat | 2 | unknown option "--exec": a program and its arguments go after --
--silent | 2 | unknown option "--silent", did you mean --log-level warn?
--group | 2 | unknown option "--group": that is the default, which --no-group turns off
--no-leave | 2 | unknown option "--no-leave": that is the default, which --leave changes
--no-once | 2 | unknown option "--no-once": that is the default, which --once changes
--no-port | 2 | unknown option "--no-port", did you mean --port?
--no-no-page | 2 | unknown option "--no-no-page", did you mean --no-page?
--allow-net=:80 | 2 | unknown option "--allow-net=:80": it is one of deno's, and goes before main.ts
-N | 2 | unknown option "-N": it is one of deno's, and goes before main.ts
--inspect | 2 | unknown option "--inspect": it is one of deno's, and goes before main.ts
--unstable-net | 2 | unknown option "--unstable-net": it is one of deno's, and goes before main.ts
--no-prompt | 2 | unknown option "--no-prompt": it is one of deno's, and goes before main.ts
--frobnicate | 2 | unknown option "--frobnicate"
--__proto__=1 | 2 | unknown option "--__proto__=1"
--constructor | 2 | unknown option "--constructor"
--= | 2 | unknown option "--="
git | 2 | a handler is a module (such as handler.ts) or -- and a program, got "git"
'' | 2 | a handler is a module (such as handler.ts) or -- and a program, got ""
—port | 2 | a handler is a module (such as handler.ts) or -- and a program, got "—port": options begin with plain hyphens
–port | 2 | a handler is a module (such as handler.ts) or -- and a program, got "–port": options begin with plain hyphens
--port 1 git | 2 | a handler is a module (such as handler.ts) or -- and a program, got "git"
`;
