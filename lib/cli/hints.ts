/**
 * What was probably meant by a value that an option cannot have, where its domain alone does not
 * say what to do.
 *
 * @module
 */

import type { Option } from "../server/options.ts";

/** What a wrong value looks like, and what to do about it; options are named as on the command line. */
type Hint = readonly [looksLike: RegExp, advice: string];

const LOWER: Hint = [/[A-Z]/, "write it in small letters"];
const EACH: Hint = [/[,;]/, "repeat the option for each"];
const BRACKETS: Hint = [
  /^(?!fd:)[\da-f]*:[\da-f:.]*:[\da-f.]*$/i,
  "write an IPv6 address in brackets, such as [::1]:9527",
];
const LARGEST_PORT: Hint = [
  /(?:^|:)(?:\d{6,}|6553[6-9]|655[4-9]\d|65[6-9]\d\d|6[6-9]\d{3}|[7-9]\d{4})(?:\/|$)/,
  "a port is at most 65535",
];
const FOUR_NUMBERS: Hint = [
  /^(?:ws:\/\/)?[\d.]+(?::\d+(?:\/|$)|$)/,
  "an IPv4 address has four numbers from 0 to 255",
];
const NO_PORT: Hint = [/^(?:[^:]+|\[.*\])$/, "add a colon and the port"];

const PATH_HINTS: readonly Hint[] = [
  [/\/.*[?#%]/, "a path has no ?, # or %"],
  [/:.*\/\.{1,2}(?:\/|$)/, "browsers resolve . and .. in a path"],
];

const ADDRESS_HINTS: readonly Hint[] = [
  [/^[A-Z]+:\/\//, "write it in small letters"],
  [/^(?:unix|fd):?$/, "put the path, or the number, after the colon"],
  [/^wss:/, "write ws://; with --cert, it is over TLS"],
  [/^https:/, "give --cert and --key for TLS, and the address without https://"],
  [/^(?!ws:)[a-z]+:\/\//, "write it without the scheme"],
  ...PATH_HINTS,
  [/^\d{1,5}$/, "put a colon before a port"],
  [/^[^/]*,/, "repeat the option for each address"],
  [/^[.]{0,2}\//, "put unix: before a path"],
  [/^[^/]*:[a-z]+$/i, "give the number of the port"],
  LARGEST_PORT,
  BRACKETS,
  NO_PORT,
  FOUR_NUMBERS,
];

const NO_LIMIT = /^(?:inf|infinity|max|never|none|off|unlimited)$/i;

/** By an option's name, or else by what it takes. */
const HINTS: Readonly<Record<string, readonly Hint[]>> = {
  ADDRESS: [[/^[^/]*:\d+\/./, "where there is a path, put ws:// before it"], ...ADDRESS_HINTS],
  "ADDRESS[/PATH]": [
    [/^wss?:/, "write it without the scheme; with --cert, it is over TLS"],
    [/^\/[^/]*$/, "put the address before the path, such as :8080/chat"],
    ...ADDRESS_HINTS,
  ],
  HOST: [
    [/:\/\//, "give the host alone"],
    [/^(?:\[.*\]|[^:]*):\d+$/, "the port goes in --port, or both in --listen"],
    [/^\[.*\]$/, "write it without the brackets"],
    [/^\*$/, "all addresses are 0.0.0.0, or :: with IPv6"],
    [/,/, "repeat --listen for each address"],
    [/[/\s]/, "give the host alone"],
    FOUR_NUMBERS,
    [/:/, "it is no IPv6 address"],
  ],
  port: [
    [/^[^,]*:\d+$/, "give both in --listen, or the address in --host"],
    [/^\d+[,-]\d/, "repeat --listen for each port"],
    [/^[a-z]{2,}$/i, "give its number"],
    [/^\d+\//, "give the number alone"],
  ],
  CIDR: [
    EACH,
    [/^[\d.]+\/\d+\./, "write the netmask as a number of bits, such as /24"],
    [/^[\d.]+-/, "write a range as networks"],
    [/^(?:\*|all|any)$/i, "all are 0.0.0.0/0 and ::/0"],
    [/^[\d.]+:\d+$|^\[.*\]:\d+$/, "write it without a port"],
    [/^\[.*\]$/, "write it without the brackets"],
    [/^\d+(?:\.\d+){0,2}(?:\/\d+)?$/, "write all four numbers, such as 10.0.0.0/8"],
    [/\*/, "write it with a number of bits, such as 10.0.0.0/8"],
    [/^(?=.*[g-z])[\w.-]+$/i, "names are not looked up"],
  ],
  N: [[/^\d+(?:[_,' ]\d+)+$|^\d+[kmg]i?b?$/i, "write it in digits alone"], [
    /^(?:inf|infinity|max|none|unlimited)$/i,
    "no limit is 0, where the option can have it",
  ]],
  "[HOST:]PORT": [
    [/^:\d+$/, "write the port alone, or 0.0.0.0 before the colon"],
    [/:\/\//, "write it without the scheme"],
    [/^unix:|^\//, "it is served over TCP only"],
    [/\//, "write it without a path"],
    LARGEST_PORT,
    BRACKETS,
    NO_PORT,
    FOUR_NUMBERS,
  ],
  "N[/SECONDS]": [
    [/^\d+\/0*\.?0*$/, "the seconds are at least 0.001"],
    [/^\d*\.\d*$/, "the number is a whole one"],
    [/^\d+\/[\d.]*[a-z]+$/i, "give seconds, such as 30/60 for 30 in a minute"],
    [/^\d{5,}/, "a number is at most 1000000"],
  ],
  SECONDS: [
    [/^[\d.]+ ?[a-z][\da-z]*$|^\d+:/i, "give seconds, without a unit"],
    [/^\d+,\d+$/, "write the fraction with a point"],
  ],
  WORD: [[/^warning$/, "it is warn"], LOWER],
  SIGNAL: [
    [/^\d+$/, "give its name"],
    [/KILL$/i, "SIGKILL follows by itself, after --kill-timeout"],
  ],
  "tls-min": [
    [/^(?:ssl|tls)?v?1\.[23]$/i, "write the number alone"],
    [/^(?:ssl|tls)?v?1(?:\.[01])?$/i, "older versions are not secure"],
  ],
  "PERMISSION[=VALUES]": [
    [/^(?:--)?allow-(?!all)/, "write it without --allow-"],
    [/^[a-z]+,[a-z,]+$/, "repeat the option for each"],
    [/^(?:--allow-)?all$|^-A$/, "name the ones that it needs"],
  ],
  ORIGIN: [
    EACH,
    LOWER,
    [/^[a-z]+:\/\/[^/*]+\/.*$/, "write it without what follows the host"],
    [/\*\./, "there are no wildcards; repeat the option for each"],
    [/^[\w.-]+(?::\d+)?$/, "put https:// or http:// before it"],
  ],
  PROTOCOL: [EACH],
  TOKEN: [EACH],
  "send-proxy": [[/^v[12]$/i, "write the number alone"]],
  "stop-signal": [[/^(?:SIG)?(?:STOP|CONT|TSTP)$/i, "it has to end the child"]],
  env: [[/^[^=]+$/, "put = and the value after the name"]],
  uid: [[/^[a-z]/i, "names go in --user"], [/:/, "the group goes in --gid"]],
  gid: [[/^[a-z]/i, "names go in --user"]],
  "ws-mode": [[/^bin(?:ary)?$/i, "it is bytes"], [/^line$/i, "it is lines"]],
  stderr: [[/^(?:\/dev\/null|none|discard)$/, "it is null"], [/^(?:2|stderr)$/, "it is inherit"]],
  "log-level": [[/^(?:trace|verbose|all)$/i, "the most is debug"], [
    /^(?:fatal|off|none|quiet)$/i,
    "the least is error",
  ]],
  unix: [[/^unix:/, "write it without unix:"]],
  config: [[/^-$/, "it is not read from stdin"]],
};

/**
 * What to do about a wrong value, for after a message; empty if that is all there is to say.
 *
 * @param dashes What goes before the name of an option.
 */
export function hintFor({ name, argument, help }: Option, text: string, dashes = "--"): string {
  if (NO_LIMIT.test(text) && help.includes("0 is no limit")) return ": no limit is 0";
  const hints = [...HINTS[name] ?? [], ...HINTS[argument ?? ""] ?? []];
  const advice = hints.find(([looksLike]) => looksLike.test(text))?.[1];
  return advice === undefined ? "" : `: ${advice.replaceAll(/--(?=[a-z])/g, dashes)}`;
}
