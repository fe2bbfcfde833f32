/**
 * Command lines with an odd value: what each one exits with, and what its message must contain.
 *
 * @module
 */

import { LINES as NAMES } from "./_odd_names.ts";

/** A command line, its exit code, and what stdout (0) or the one line on stderr must contain. */
export interface OddLine {
  readonly args: readonly string[];
  readonly code: number;
  readonly message: string;
}

/** A path that is one byte too long for a socket. */
const LONG = `/run/${"x".repeat(103)}`;

const VALUES = `
--host 127.0.0.1:80 | 2 | "127.0.0.1:80": the port goes in --port, or both in --listen
--host [::1]:80 | 2 | "[::1]:80": the port goes in --port, or both in --listen
--host fe80::1 | 2 | --host: [fe80::1]:9527: a link-local address needs its zone, such as fe80::1%eth0
--host '' | 2 | got nothing
--host 127.1 | 2 | "127.1": an IPv4 address has four numbers from 0 to 255
--host 256.1.1.1 | 2 | "256.1.1.1": an IPv4 address has four numbers from 0 to 255
--host * | 2 | "*": all addresses are 0.0.0.0, or :: with IPv6
--host ::1% | 2 | "::1%": it is no IPv6 address
--host fe80::1%a/b | 2 | "fe80::1%a/b": give the host alone
--host FE80::1 | 2 | --host: [FE80::1]:9527: a link-local address needs its zone, such as FE80::1%eth0
--host ::g | 2 | "::g": it is no IPv6 address
--host 1.2.3 | 2 | "1.2.3": an IPv4 address has four numbers from 0 to 255
--host . | 2 | ".": an IPv4 address has four numbers from 0 to 255
--host a..b | 2 | got "a..b"
--host a%b | 2 | got "a%b"
--host a,b | 2 | "a,b": repeat --listen for each address
--host ::1,127.0.0.1 | 2 | "::1,127.0.0.1": repeat --listen for each address
--host [::1] | 2 | "[::1]": write it without the brackets
--host unix | 2 | got "unix"
--host tcp://127.0.0.1:80 | 2 | "tcp://127.0.0.1:80": give the host alone
--listen [fe80::1]:80 | 2 | --listen: [fe80::1]:80: a link-local address needs its zone, such as fe80::1%eth0
--listen a..b:80 | 2 | got "a..b:80"
--listen [a..b]:80 | 2 | got "[a..b]:80"
--listen [1.2.3.4]:80 | 2 | got "[1.2.3.4]:80"
--listen 1.2.3:80 | 2 | "1.2.3:80": an IPv4 address has four numbers from 0 to 255
--listen ws://300.1.1.1:80/chat | 2 | "ws://300.1.1.1:80/chat": an IPv4 address has four numbers from 0 to 255
--listen wss://:80 | 2 | "wss://:80": write ws://; with --cert, it is over TLS
--listen https://:80 | 2 | "https://:80": give --cert and --key for TLS, and the address without https://
--listen http://:80 | 2 | "http://:80": write it without the scheme
--listen tcp://:80 | 2 | "tcp://:80": write it without the scheme
--listen unix | 2 | "unix": put the path, or the number, after the colon
--listen unix: | 2 | "unix:": put the path, or the number, after the colon
--listen 80 | 2 | "80": put a colon before a port
--listen localhost | 2 | "localhost": add a colon and the port
--listen ::1 | 2 | "::1": write an IPv6 address in brackets, such as [::1]:9527
--listen ::1:80 | 2 | "::1:80": write an IPv6 address in brackets, such as [::1]:9527
--listen 127.0.0.1 | 2 | "127.0.0.1": add a colon and the port
--listen :99999 | 2 | ":99999": a port is at most 65535
--listen fd: | 2 | "fd:": put the path, or the number, after the colon
--listen /run/x.sock | 2 | "/run/x.sock": put unix: before a path
--listen :80,:81 | 2 | ":80,:81": repeat the option for each address
--listen :80 --listen :80 | 2 | --listen: :80 is given twice
--listen :80/chat | 2 | ":80/chat": where there is a path, put ws:// before it
--listen unix:{long} | 2 | --listen: unix:{long}: the path has 108 bytes, and may have 107. Choose a shorter one
--listen ws://unix:{long} | 2 | --listen: unix:{long}: the path has 108 bytes, and may have 107. Choose a shorter one
--listen ws://unix:{long}:/chat | 2 | --listen: unix:{long}: the path has 108 bytes, and may have 107. Choose a shorter one
--listen WS://:80 | 2 | "WS://:80": write it in small letters
--listen ws://:80/a?b | 2 | "ws://:80/a?b": a path has no ?, # or %
--listen [::1] | 2 | "[::1]": add a colon and the port
--listen [::1:80 | 2 | got "[::1:80"
--listen :http | 2 | ":http": give the number of the port
--listen 0.0.0.0:80 --listen :80 | 2 | --listen: :80 overlaps 0.0.0.0:80
--listen 127.0.0.1:80 --port 80 | 2 | --port: 0.0.0.0:80 overlaps 127.0.0.1:80
--port 127.0.0.1:80 | 2 | "127.0.0.1:80": give both in --listen, or the address in --host
--port :80 | 2 | ":80": give both in --listen, or the address in --host
--port http | 2 | "http": give its number
--port 80,81 | 2 | "80,81": repeat --listen for each port
--port 1 --port 2 | 2 | --port can be given once, got "1" and "2"
--port -1 | 2 | got "-1"
--port --help | 2 | got "--help"
--port= 1 | 2 | got nothing
--allow a,b | 2 | "a,b": repeat the option for each
--allow 10.0.0.0/255.0.0.0 | 2 | "10.0.0.0/255.0.0.0": write the netmask as a number of bits, such as /24
--allow 10.* | 2 | "10.*": write it with a number of bits, such as 10.0.0.0/8
--allow example.com | 2 | "example.com": names are not looked up
--allow ::/129 | 2 | got "::/129"
--allow 10 | 2 | "10": write all four numbers, such as 10.0.0.0/8
--allow 10.0.0 | 2 | "10.0.0": write all four numbers, such as 10.0.0.0/8
--allow * | 2 | "*": all are 0.0.0.0/0 and ::/0
--allow all | 2 | "all": all are 0.0.0.0/0 and ::/0
--rate-per-source 30/0 | 2 | "30/0": the seconds are at least 0.001
--rate-per-source 99999999999/1 | 2 | "99999999999/1": a number is at most 1000000
--rate 30/0 | 2 | "30/0": the seconds are at least 0.001
--rate 0.5 | 2 | "0.5": the number is a whole one
--rate 10/s | 2 | "10/s": give seconds, such as 30/60 for 30 in a minute
--rate 10/ | 2 | "10/": the seconds are at least 0.001
--rate /10 | 2 | got "/10"
--rate 10/-1 | 2 | got "10/-1"
--rate 2000000 | 2 | "2000000": a number is at most 1000000
--rate 10 --rate 20 | 2 | --rate can be given once, got "10" and "20"
--status 9527 | 2 | --status: 0.0.0.0:9527 overlaps 127.0.0.1:9527, where the status page listens
--status 9527 --port 9527 | 2 | --port: 0.0.0.0:9527 overlaps 127.0.0.1:9527, where the status page listens
--status 80 --listen ws://127.0.0.1:80 | 2 | --listen: ws://127.0.0.1:80/ overlaps 127.0.0.1:80, where the status page listens: a socket has one path; a proxy can join several
--status a..b:80 | 2 | got "a..b:80"
--status 300.1.1.1:80 | 2 | "300.1.1.1:80": an IPv4 address has four numbers from 0 to 255
--status :80 | 2 | ":80": write the port alone, or 0.0.0.0 before the colon
--status localhost | 2 | "localhost": add a colon and the port
--status 127.0.0.1 | 2 | "127.0.0.1": add a colon and the port
--status http://127.0.0.1:80 | 2 | "http://127.0.0.1:80": write it without the scheme
--status 127.0.0.1:80/metrics | 2 | "127.0.0.1:80/metrics": write it without a path
--status 99999 | 2 | "99999": a port is at most 65535
--status unix:/run/x | 2 | "unix:/run/x": it is served over TCP only
--status 80 --status 81 | 2 | --status can be given once, got "80" and "81"
--reuse-port=banana | 2 | --reuse-port is a switch and takes no value, got "--reuse-port=banana"
--reuse-port true | 2 | --reuse-port is a switch and takes no value, got "true"
-p 1 --port 2 | 2 | --port can be given once, got "1" and "2"
-p | 2 | got nothing
-p -1 | 2 | got "-1"
-p x | 2 | got "x"
-p 1 -p 2 | 2 | --port can be given once, got "1" and "2"
--no-keepalive=false | 2 | --no-keepalive is a switch and takes no value, got "--no-keepalive=false"
--no-page=false | 2 | --no-page is a switch and takes no value, got "--no-page=false"
--no-page true | 2 | --no-page is a switch and takes no value, got "true"
--no-page | 2 | --no-page is for WebSockets, but there is no address for them: add --websocket
--config - | 2 | "-": it is not read from stdin
--config=- | 2 | "-": it is not read from stdin
--config a.jsonc --config b.jsonc | 2 | --config can be given once, got "a.jsonc" and "b.jsonc"
--config | 2 | got nothing
--config --check | 2 | got "--check"
--config a.jsonc --port 1 | 2 | --port cannot be given with --config: set it in the file
--config a.jsonc handler.ts | 2 | a handler cannot be given with --config: set it in the file, got "handler.ts"
--config a.jsonc -- cat | 2 | a handler cannot be given with --config: set it in the file, got "--"
-c - | 2 | "-": it is not read from stdin
--websocket ws://:80/chat | 2 | "ws://:80/chat": write it without the scheme; with --cert, it is over TLS
--websocket /chat | 2 | "/chat": put the address before the path, such as :8080/chat
--websocket 300.1.1.1:80 | 2 | "300.1.1.1:80": an IPv4 address has four numbers from 0 to 255
--websocket a%b:80 | 2 | got "a%b:80"
--websocket 8080 | 2 | "8080": put a colon before a port
--websocket :80/a/../b | 2 | ":80/a/../b": browsers resolve . and .. in a path
--websocket unix:x:/. | 2 | "unix:x:/.": browsers resolve . and .. in a path
--listen ws://:80/.. | 2 | "ws://:80/..": browsers resolve . and .. in a path
--websocket :80/a?b | 2 | ":80/a?b": a path has no ?, # or %
--websocket unix:{long} | 2 | --websocket: unix:{long}: the path has 108 bytes, and may have 107. Choose a shorter one
--websocket [fe80::1]:80/chat | 2 | --websocket: [fe80::1]:80: a link-local address needs its zone, such as fe80::1%eth0
--websocket localhost | 2 | "localhost": add a colon and the port
--websocket :80/a#b | 2 | ":80/a#b": a path has no ?, # or %
--websocket :80/a%20b | 2 | ":80/a%20b": a path has no ?, # or %
--websocket :70000/a | 2 | ":70000/a": a port is at most 65535
--websocket https://a:80 | 2 | "https://a:80": give --cert and --key for TLS, and the address without https://
--unix unix:/run/x | 2 | "unix:/run/x": write it without unix:
--unix {long} | 2 | --unix: unix:{long}: the path has 108 bytes, and may have 107. Choose a shorter one
--cert a | 2 | --cert requires --key
--cert a --key b --key c | 2 | every --cert takes a --key, got 1 --cert and 2 --key
--cert a --cert b --key c | 2 | every --cert takes a --key, got 2 --cert and 1 --key
--user root: | 2 | got "root:"
--user :root | 2 | got ":root"
--user a --user b | 2 | --user can be given once, got "a" and "b"
--user a --uid 1 --gid 1 | 2 | --user cannot be given with --uid
--env A | 2 | "A": put = and the value after the name
--env =A | 2 | got "=A"
--grant all handler.ts | 2 | "all": name the ones that it needs
--grant allow-net handler.ts | 2 | "allow-net": write it without --allow-
--grant --allow-net handler.ts | 2 | "--allow-net": write it without --allow-
--grant env | 2 | --grant applies to modules only; a program has the rights of its user
--grant | 2 | got nothing
--grant read,write handler.ts | 2 | "read,write": repeat the option for each
--grant -A handler.ts | 2 | "-A": name the ones that it needs
--grant hrtime handler.ts | 2 | got "hrtime"
--stderr 2 | 2 | "2": it is inherit
--stderr /dev/null | 2 | "/dev/null": it is null
--stderr stderr | 2 | "stderr": it is inherit
--stderr INHERIT | 2 | "INHERIT": write it in small letters
--stop-signal 15 | 2 | "15": give its name
--stop-signal KILL | 2 | "KILL": SIGKILL follows by itself, after --kill-timeout
--stop-signal SIGSTOP | 2 | "SIGSTOP": it has to end the child
--idle-timeout 5s | 2 | "5s": give seconds, without a unit
--idle-timeout 500ms | 2 | "500ms": give seconds, without a unit
--idle-timeout 1e3 | 2 | "1e3": give seconds, without a unit
--idle-timeout 1,5 | 2 | "1,5": write the fraction with a point
--idle-timeout infinity | 2 | "infinity": no limit is 0
--idle-timeout 1 --idle-timeout 2 | 2 | --idle-timeout can be given once, got "1" and "2"
--queue-timeout 0 | 2 | got "0"
--max-connections unlimited | 2 | a whole number from 1 to 1000000, got "unlimited"
--max-connections 1k | 2 | "1k": write it in digits alone
--max-connections 1_000 | 2 | "1_000": write it in digits alone
--log-level trace | 2 | "trace": the most is debug
--log-level warning | 2 | "warning": it is warn
--log-level WARN | 2 | "WARN": write it in small letters
--log-level none | 2 | "none": the least is error
--log-level 3 | 2 | got "3"
--log-level info --log-level debug | 2 | --log-level can be given once, got "info" and "debug"
--log-format JSON | 2 | "JSON": write it in small letters
--cwd | 2 | got nothing
--cwd /a --cwd /b | 2 | --cwd can be given once, got "/a" and "/b"
--send-proxy v2 | 2 | "v2": write the number alone
--send-proxy v1 | 2 | "v1": write the number alone
--accept-proxy true | 2 | "true": names are not looked up
--accept-proxy localhost | 2 | "localhost": names are not looked up
--accept-proxy 10.0.0.1:80 | 2 | "10.0.0.1:80": write it without a port
--help=1 | 2 | --help is a switch and takes no value, got "--help=1"
--help --port | 2 | got nothing
--once true | 2 | --once is a switch and takes no value, got "true"
--once --config a.jsonc | 2 | --once cannot be given with --config
--check false | 2 | --check is a switch and takes no value, got "false"
--clear-env false | 2 | --clear-env is a switch and takes no value, got "false"
--no-group=1 | 2 | --no-group is a switch and takes no value, got "--no-group=1"
--leave=1 | 2 | --leave is a switch and takes no value, got "--leave=1"
--check-types=true handler.ts | 2 | --check-types is a switch and takes no value, got "--check-types=true"
--check-types | 2 | --check-types applies to modules only
--check-types -- cat | 2 | --check-types applies to modules only
--warm 3 --warm 4 | 2 | --warm can be given once, got "3" and "4"
--warm 1.5 | 2 | a whole number from 0 to 10000, got "1.5"
--warm= | 2 | got nothing
--queue 1e6 | 2 | got "1e6"
--queue 1'000 | 2 | "1'000": write it in digits alone
--kill-timeout 5sec | 2 | "5sec": give seconds, without a unit
--session-timeout 00:30 | 2 | "00:30": give seconds, without a unit
--session-timeout 1h30m | 2 | "1h30m": give seconds, without a unit
--session-timeout never | 2 | "never": no limit is 0
--eof-timeout . | 2 | got "."
--ws-ping 30s --websocket :80 | 2 | "30s": give seconds, without a unit
--ws-max-message 1MiB --websocket :80 | 2 | "1MiB": write it in digits alone
--ws-mode binary --websocket :80 | 2 | "binary": it is bytes
--ws-mode Lines --websocket :80 | 2 | "Lines": write it in small letters
--ws-mode text | 2 | --ws-mode is for WebSockets, but there is no address for them: add --websocket
--origin https://a.example | 2 | --origin is for WebSockets, but there is no address for them: add --websocket
--origin a.example --websocket :80 | 2 | "a.example": put https:// or http:// before it
--origin a.example:443 --websocket :80 | 2 | "a.example:443": put https:// or http:// before it
--origin https://a.example/ --websocket :80 | 2 | "https://a.example/": write it without what follows the host
--origin https://*.a.example --websocket :80 | 2 | "https://*.a.example": there are no wildcards; repeat the option for each
--origin https://a.example,https://b.example --websocket :80 | 2 | "https://a.example,https://b.example": repeat the option for each
--origin HTTPS://A.example --websocket :80 | 2 | "HTTPS://A.example": write it in small letters
--ws-protocol mqtt,chat --websocket :80 | 2 | "mqtt,chat": repeat the option for each
--key a | 2 | --key requires --cert
--client-ca a | 2 | --client-ca requires --cert
--alpn h2 | 2 | --alpn requires --cert
--alpn h2,http/1.1 --cert a --key b | 2 | "h2,http/1.1": repeat the option for each
--tls-min 1.1 --cert a --key b | 2 | "1.1": older versions are not secure
--tls-min TLSv1.2 --cert a --key b | 2 | "TLSv1.2": write the number alone
--tls-min tls1.3 --cert a --key b | 2 | "tls1.3": write the number alone
--tls-min 1 --cert a --key b | 2 | "1": older versions are not secure
--deny 2001:db8::/32,10.0.0.0/8 | 2 | "2001:db8::/32,10.0.0.0/8": repeat the option for each
--refusal | 2 | got nothing
--refusal a --refusal b | 2 | --refusal can be given once, got "a" and "b"
--uid 1 | 2 | --uid requires --gid
--uid git --gid 1 | 2 | "git": names go in --user
--uid 1 --gid git | 2 | "git": names go in --user
--uid 1:1 --gid 1 | 2 | "1:1": the group goes in --gid
-h=1 | 2 | --help is a switch and takes no value, got "1"
`;

/** All of them. In the tables, `''` is an empty argument. */
export const ODD_LINES: readonly OddLine[] = (VALUES + NAMES).split("\n")
  .filter((row) => row !== "")
  .map((row) => {
    const [line, code, message] = row.replaceAll("{long}", LONG).split(" | ");
    const args = line!.split(" ").map((word) => word === "''" ? "" : word);
    return { args, code: Number(code), message: message! };
  });
