/**
 * Random configurations: valid ones, and such as are wrong in some place or other.
 *
 * @module
 */

import fc from "fast-check";
import {
  FILE_COMMAND_OPTIONS,
  HANDLER_KEYS,
  SERVICE_OPTIONS,
  SHARED_OPTIONS,
} from "../lib/cli/config_keys.ts";
import type { Entry } from "../lib/cli/command_options.ts";
import type { Option } from "../lib/server/options.ts";

/** Texts of which some option takes each, or nearly does. */
const TEXTS = [
  ..."10.0.0.0/8 ::1/64 10.0.0.0/33 1.2.3 :9527 [::1]:7000 127.0.0.1:99999 unix:x.sock fd:3".split(
    " ",
  ),
  ..."fd:web unix: 30/60 30/.5 1/0 /1 9528 0.0.0.0:80 [::1]:80 host:65536 git www-data:git a:b:c"
    .split(" "),
  ..."env env=TZ env= all h2 http/1.1 a,b TERM SIGTERM sighup KILL 1.2 1.3 info json inherit".split(
    " ",
  ),
  ..."client handler.ts ./a.tsx npm:x file:///x.ts cat ../x a=b TZ=UTC".split(" "),
  ..."ws://:80 ws://:80/chat ws://unix:x.sock:/chat ws://fd:3/ :80/chat :80/a?b unix:x:/chat".split(
    " ",
  ),
  ..."fd:3/chat ws:// lines text https://a.example https://A.example http://a:80 app://x null *"
    .split(" "),
  "",
  " ",
  "\0",
  "a\0b",
  "a\nb",
  "\ud800",
  "__proto__",
  ..."unix fd [::1] ::1 localhost fd:a@b/c".split(" "),
];

/** JSON values at the edge of what some option takes. */
export const EDGES: readonly unknown[] = [...TEXTS, true, false, null, 0, 1, -1, 0.5, 65_536, 1e21];

/** Any JSON value, with a liking for those at the edge of what an option takes. */
export const anyValue = fc.oneof(
  {
    arbitrary: fc.constantFrom<unknown>(...EDGES),
    weight: 4,
  },
  fc.jsonValue({ maxDepth: 2 }),
  fc.array(fc.constantFrom<unknown>(...TEXTS, 1, null), { maxLength: 3 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);

/** Values that an option takes, as JSON. */
function validValue({ argument, words, range: [min, max] = [0, 0], repeatable }: Option) {
  const one = (): fc.Arbitrary<unknown> => {
    switch (argument) {
      case undefined:
        return fc.boolean();
      case "ADDRESS":
        return fc.oneof(
          fc.integer({ min: 1, max: 65_535 }).map((port) => `:${port}`),
          fc.constantFrom("127.0.0.1:0", "[::1]:9527", "unix:run/x.sock", "fd:3", "fd:web"),
          fc.constantFrom("ws://:81", "ws://[::1]:82/chat", "ws://unix:x.sock:/chat", "ws://fd:w/"),
        );
      case "ADDRESS[/PATH]":
        return fc.constantFrom(":83", "127.0.0.1:0/chat", "unix:y.sock:/", "unix:z", "fd:v/chat");
      case "CIDR":
        return fc.constantFrom("10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1");
      case "N":
        return fc.oneof(fc.integer({ min, max }), fc.constantFrom(min, max));
      case "SECONDS":
        return fc.oneof(
          fc.double({ min: min / 1000, max: max / 1000, noNaN: true }),
          fc.constantFrom(min / 1000, max / 1000, 1, 60),
        );
      case "N[/SECONDS]":
        return fc.constantFrom(0, 5, "5", "30/60", "1/0.5");
      case "NAME=VALUE":
        return fc.dictionary(fc.constantFrom("TZ", "LANG", "A"), fc.constantFrom("", "UTC", "a=b"));
      case "NAME[:GROUP]":
        return fc.constantFrom("git", "www-data:git");
      case "ORIGIN":
        return fc.constantFrom("*", "https://a.example", "http://[::1]:3000", "app://localhost");
      case "PERMISSION[=VALUES]":
        return fc.constantFrom("env", "env=TZ,LANG", "read=./data");
      case "PROTOCOL":
        return fc.constantFrom("h2", "http/1.1");
      case "SIGNAL":
      case "WORD":
        return fc.constantFrom(...words!);
      case "[HOST:]PORT":
        return fc.constantFrom(9528, "9528", "0.0.0.0:9528", "[::1]:0");
      default:
        return fc.constantFrom("a", "b.pem", "../c", "/d e");
    }
  };
  const isList = repeatable && argument !== "NAME=VALUE";
  return isList ? fc.oneof(one(), fc.array(one(), { maxLength: 2 })) : one();
}

/** Options that take others to be valid, and so are rare in configurations that shall be. */
const DEMANDING = ["cert", "key", "client-ca", "alpn", "tls-min", "user", "uid", "gid"];

/** An object with some of these options, each with a value that it takes. */
function someOf(options: readonly Entry[]): fc.Arbitrary<Record<string, unknown>> {
  const properties = options.map(([, option]) => {
    const weight = DEMANDING.includes(option.name) ? 1 : 4;
    const entry = validValue(option).map((value) => [[option.name, value]] as const);
    return fc.oneof(
      { arbitrary: fc.constant([]), weight: 60 },
      { arbitrary: entry, weight: 2 * weight },
    );
  });
  return fc.tuple(...properties).map((entries) => Object.fromEntries(entries.flat()));
}

const handler = fc.constantFrom<Record<string, unknown>>(
  {},
  {},
  { module: "handler.ts" },
  { module: "jsr:@a/b", args: ["-x", ""] },
  { module: "../a.ts", grant: ["env=TZ"] },
  { command: ["cat"] },
  { command: ["./run", "a b", ""] },
);

const name = fc.constantFrom("a", "b", "git", "web-1", "x_y.z");

/** A configuration whose every value is one that its key takes; together they may not do. */
export const plausible = fc.tuple(
  someOf([...FILE_COMMAND_OPTIONS, ...SHARED_OPTIONS]),
  fc.dictionary(
    name,
    fc.tuple(
      someOf([...SHARED_OPTIONS, ...SERVICE_OPTIONS.filter(([key]) => key !== "grant")]),
      handler,
      fc.integer({ min: 1, max: 65_535 }),
    ).map(([options, handler, port]) => ({ listen: `:${port}`, ...options, ...handler })),
    { minKeys: 1, maxKeys: 3 },
  ),
).map(([top, services]) => ({ ...top, services }));

/** Keys of all kinds, and some that are none. */
export const KEYS: readonly string[] = [
  ...[...FILE_COMMAND_OPTIONS, ...SHARED_OPTIONS, ...SERVICE_OPTIONS].map(([, { name }]) => name),
  ...HANDLER_KEYS,
  ...["$schema", "services", "check", "max-per-sorce", "maxQueue", "", "__proto__", "a\nb"],
];

/** A key with a value, at the top or in a service. */
const slip = fc.record({
  key: fc.constantFrom(...KEYS),
  value: anyValue,
  isTop: fc.boolean(),
});

/** A configuration with some keys set to anything. */
export const slipped = fc.tuple(plausible, fc.array(slip, { maxLength: 2 }), fc.boolean())
  .map(([{ services, ...top }, slips, isMisnamed]) => {
    const [first, ...others] = Object.entries(services);
    const put = (isTop: boolean) =>
      slips.filter((slip) => slip.isTop === isTop).map(({ key, value }) => [key, value]);
    const service = Object.fromEntries([...Object.entries(first![1]), ...put(false)]);
    const name = isMisnamed && slips.length > 1 ? "No Name" : first![0];
    const entries = [[name, service], ...others];
    return Object.fromEntries([
      ...Object.entries(top),
      ["services", Object.fromEntries(entries)],
      ...put(true),
    ]);
  });
