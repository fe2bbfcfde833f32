/**
 * Shell completions for a command `spawnd`, from the tables of options. Run as a program with the
 * name of a shell (`bash`, `zsh` or `fish`), it prints that shell's; `deno task docs` writes them to
 * docs/completions.
 *
 * All three know where the command line has its handler: options come before it and are completed
 * only there, then a module's arguments are files, and what follows `--` is a command.
 *
 * @module
 */

import { PERMISSIONS } from "../child/sandbox.ts";
import type { Option } from "../server/options.ts";
import { ALL_OPTIONS, nameOf } from "./command_options.ts";

/** The endings of modules. */
export const ENDINGS = ["ts", "js", "mts", "mjs", "tsx", "jsx"] as const;

const OPTIONS = ALL_OPTIONS.map(([, option]) => option);

/** What can be offered as an option's argument: words, or what is on the machine. */
type Values = readonly string[] | "files" | "folders" | "users" | "nothing";

function valuesOf({ argument, words }: Option): Values {
  switch (argument) {
    case "DIR":
      return "folders";
    case "FILE":
      return "files";
    case "NAME[:GROUP]":
      return "users";
    case "PERMISSION[=VALUES]":
      return PERMISSIONS;
    default:
      return words ?? "nothing";
  }
}

/** An option as it is typed: with one letter, if it has one, and by its name. */
function flagsOf({ name, short }: Option): string[] {
  return [...(short ? [`-${short}`] : []), `--${name}`];
}

const flagsWith = (matches: (option: Option) => boolean) =>
  OPTIONS.filter(matches).flatMap(flagsOf);
const WITH_ARGUMENT = flagsWith(({ argument }) => argument !== undefined);

const head = (file: string, command: string, place: string) =>
  `# ${command} completion for spawnd. Written by \`deno task docs\`; do not edit.
# To install it, copy this file to ${place}${file}.
`;

/** The completion for bash, 4.3 or newer; it takes nothing of the package bash-completion. */
export function bash(): string {
  const actions: Record<string, string> = {
    files: "compgen -f",
    folders: "compgen -d",
    users: "compgen -u",
  };
  const groups = Map.groupBy(
    OPTIONS.filter((option) => valuesOf(option) !== "nothing"),
    (option) => {
      const values = valuesOf(option);
      return typeof values === "string" ? actions[values]! : `compgen -W "${values.join(" ")}"`;
    },
  );
  const cases = [...groups].map(([command, options]) =>
    `    ${options.flatMap(flagsOf).join("|")}) ${command} -- "$2" ;;`
  );
  return `${head("spawnd", "bash", "~/.local/share/bash-completion/completions/")}\
# Without the package bash-completion, source it in ~/.bashrc.

# Prints what the option $1 can have as its argument, beginning with $2.
_spawnd_values() {
  case $1 in
${cases.join("\n")}
  esac
}

_spawnd() {
  local word option= handler= line=$COMP_LINE words=() tail=\${COMP_WORDS[COMP_CWORD]}
  # Readline splits words at = and : too; here they are whole.
  for word in "\${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
    [[ $line == [[:space:]]* || \${#words[@]} == 0 ]] && words+=("")
    line=\${line#"\${line%%[![:space:]]*}"}
    words[\${#words[@]}-1]+=$word
    line=\${line#"$word"}
  done
  local current=\${words[-1]}
  for word in "\${words[@]:1:\${#words[@]}-2}"; do
    if [[ $handler == -- ]]; then handler=program
    elif [[ $handler ]]; then continue
    elif [[ $option ]]; then option=
    else
      case $word in
        --) handler=-- ;;
        ${WITH_ARGUMENT.join("|")}) option=$word ;;
        -*) ;;
        *) handler=module ;;
      esac
    fi
  done
  if [[ ! $handler && ! $option && $current == --*=* ]]; then
    option=\${current%%=*} current=\${current#*=}
  fi
  [[ $tail == [=:]* ]] && tail=
  COMPREPLY=()
  if [[ $option ]]; then
    mapfile -t COMPREPLY < <(_spawnd_values "$option" "$current")
  elif [[ $handler == -- ]]; then
    mapfile -t COMPREPLY < <(compgen -c -- "$current")
  elif [[ $handler ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  elif [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "-- ${flagsWith(() => true).join(" ")}" -- "$current")
    return
  else
    mapfile -t COMPREPLY < <(
      compgen -d -- "$current"
      for word in ${ENDINGS.join(" ")}; do compgen -f -X "!*.$word" -- "$current"; done
    )
  fi
  COMPREPLY=("\${COMPREPLY[@]#"\${current%"$tail"}"}")
  compopt -o filenames 2>/dev/null
}

complete -F _spawnd spawnd
`;
}

/** The completion for zsh. */
export function zsh(): string {
  const actions: Record<string, string> = {
    files: "_files",
    folders: "_files -/",
    users: "_users",
    nothing: "",
  };
  const specs = OPTIONS.map((option) => {
    const { name, short, argument, help, repeatable, excludes = [] } = option;
    const values = valuesOf(option);
    const action = typeof values === "string" ? actions[values]! : `(${values.join(" ")})`;
    const rest = `[${help.replaceAll(/[[\]\\]/g, "\\$&")}]` +
      (argument ? `:${argument.replaceAll(":", "\\:")}:${action}` : "");
    const excluded = [
      ...(repeatable ? [] : flagsOf(option)),
      ...excludes.map((key) => `--${nameOf(key)}`),
    ];
    const before = (excluded.length > 0 ? `(${excluded.join(" ")})` : "") + (repeatable ? "*" : "");
    const long = `--${name}${argument ? "=" : ""}`;
    const names = short ? `{-${short}${argument ? "+" : ""},${long}}` : long;
    return `  ${quoted(before)}${names}${quoted(rest)}`;
  });
  return `#compdef spawnd
${head("_spawnd", "zsh", "a folder of $fpath, such as /usr/local/share/zsh/site-functions/")}
# A program after --, else a module.
_spawnd_handler() {
  if (( \${words[(i)--]} < CURRENT )); then
    _command_names -e
  else
    _path_files -g '*.(${ENDINGS.join("|")})(-.) *(-/)' # unlike _files, never others
  fi
}

_arguments -s -S \\
${specs.join(" \\\n")} \\
  '(-)1:handler:_spawnd_handler' \\
  '*::argument:_normal'
`;
}

/** The completion for fish. */
export function fish(): string {
  const actions: Record<string, string> = {
    files: "-r -F",
    folders: "-x -a '(__spawnd_folders)'",
    users: "-x -a '(__fish_complete_users)'",
    nothing: "-x",
  };
  const lines = OPTIONS.map((option) => {
    const { name, short, argument, help } = option;
    const values = valuesOf(option);
    const action = typeof values === "string" ? actions[values]! : `-x -a '${values.join(" ")}'`;
    const flags = `${short ? `-s ${short} ` : ""}-l ${name}${argument ? ` ${action}` : ""}`;
    const text = help.replaceAll(/['\\]/g, "\\$&");
    return `complete -c spawnd -n '__spawnd_is_before_handler' ${flags} -d '${text}'`;
  });
  return `${head("spawnd.fish", "fish", "~/.config/fish/completions/")}
# Prints what the words before the cursor end in: options, an argument of a module, or the command
# after --, whose words follow.
function __spawnd_place
    set -l words (commandline -opc)
    set -e words[1]
    set -l is_argument no
    while set -q words[1]
        set -l word $words[1]
        set -e words[1]
        if test $is_argument = yes
            set is_argument no
            continue
        end
        switch $word
            case --
                printf '%s\\n' command $words
                return
            case ${WITH_ARGUMENT.join(" ")}
                set is_argument yes
            case '-*'
            case '*'
                echo argument
                return
        end
    end
    echo options
end

function __spawnd_is_before_handler
    test (__spawnd_place)[1] = options
end

function __spawnd_modules
    __fish_complete_path (commandline -ct) |
        string match -r '^[^\\t]*(?:/|\\.(?:${ENDINGS.join("|")}))(?:\\t.*)?$'
end

function __spawnd_folders
    __fish_complete_directories (string replace -r '^--[^=]*=' '' -- (commandline -ct))
end

function __spawnd_command
    set -l words (__spawnd_place)
    complete -C (string join ' ' -- (string escape -- $words[2..]) (commandline -ct))
end

complete -c spawnd -f
complete -c spawnd -n 'test (__spawnd_place)[1] = argument' -F
complete -c spawnd -n 'test (__spawnd_place)[1] = command' -a '(__spawnd_command)'
complete -c spawnd -n '__spawnd_is_before_handler' -a '(__spawnd_modules)'
${lines.join("\n")}
`;
}

/** A word in single quotes, as zsh takes it; nothing for an empty one. */
function quoted(text: string): string {
  return text && `'${text.replaceAll("'", "'\\''")}'`;
}

if (import.meta.main) {
  console.log({ bash, zsh, fish }[Deno.args[0] as "bash" | "zsh" | "fish"]().trimEnd());
}
