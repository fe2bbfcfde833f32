/**
 * What is wrong with an option that does not exist, and the one that was probably meant.
 *
 * @module
 */

import type { Option } from "../server/options.ts";
import { ALL_OPTIONS } from "./command_options.ts";
import { listOf } from "./option_values.ts";
import { placeOfFlags } from "./place_of_flags.ts";
import { abbreviated, nearest } from "./suggest.ts";
import { quoted } from "./usage_error.ts";

/** Options of Deno, of which some have a letter, too. */
const OF_DENO =
  /^(?:--(?:allow|deny)-(?:all|read|write|net|run|env|sys|ffi|import)\b|--(?:inspect|no-prompt|unstable|v8-flags|watch)\b|-[ARWNESI]$)/;

/** What others call it, and what it takes here. */
const HABITS: readonly (readonly [names: RegExp, advice: string])[] = [
  [/^(?:v+|verbose|debug)$/, "did you mean --log-level debug?"],
  [/^(?:q+|quiet|silent)$/, "did you mean --log-level warn?"],
  [/^(?:tls|ssl|https)$/, "TLS takes --cert and --key"],
  [/^(?:ca|cacert|ca-file)$/, "did you mean --client-ca?"],
  [/^(?:a|addr|address|bind|H|l|i|interface)$/, "did you mean --host or --listen?"],
  [/^(?:P)$/, "did you mean --port?"],
  [/^(?:n|m|limit|connections|max-clients|max-conns)$/, "did you mean --max-connections?"],
  [/^(?:t|timeout)$/, "did you mean --idle-timeout or --session-timeout?"],
  [/^(?:u|g)$/, "did you mean --user?"],
  [/^(?:C|chdir|dir|workdir)$/, "did you mean --cwd?"],
  [/^(?:e|exec|cmd|command)$/, "a program and its arguments go after --"],
  [/^(?:d|D|daemon|daemonize|background|fork)$/, "it stays in the foreground; see deploy/"],
  [/^[46]$/, "did you mean --host 0.0.0.0 for IPv4, or --host :: for IPv6 too?"],
  [/^\?$/, "did you mean --help?"],
];

/** What is wrong with an unknown option, and what to do about it. */
export function explainUnknown(arg: string): string {
  const what = `unknown option ${quoted(arg)}`;
  if (OF_DENO.test(arg)) return `${what}: it is one of deno's, and goes ${placeOfFlags()}`;
  const name = arg.replace(/^-+|=.*$/gs, "");
  const habit = HABITS.find(([names]) => names.test(name));
  if (habit) return `${what}${habit[1].startsWith("did ") ? "," : ":"} ${habit[1]}`;
  const options = ALL_OPTIONS.map(([, option]) => option);
  const on = options.find((option) => isSwitch(option) && option.name === `no-${name}`);
  if (on) return `${what}: that is the default, which --${on.name} turns off`;
  const off = options.find((option) => isSwitch(option) && name === `no-${option.name}`);
  if (off && off.default !== true) {
    return `${what}: that is the default, which --${off.name} changes`;
  }
  const names = options.map((option) => option.name);
  const meant = abbreviated(name, names) ?? nearest(name.toLowerCase(), names);
  if (meant === undefined) {
    const letter = options.find(({ short }) => arg.startsWith(`-${short}`));
    return letter?.argument ? `${what}, did you mean -${letter.short} ${arg.slice(2)}?` : what;
  }
  return `${what}, did you mean ${listOf([meant].flat().map((name) => `--${name}`))}?`;
}

function isSwitch({ argument }: Option): boolean {
  return argument === undefined;
}
