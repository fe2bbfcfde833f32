# The steps of a page, for a script that _page_runner.ts writes. Each says where on the page it is
# before it begins; the first that fails ends the script, with what came.
set -u -o pipefail
log=$(mktemp) && out=$(mktemp)
servers=() streams=()

fail() {
  printf 'FAILED %s\n%s\n%s\n' "$where" "$what" "$1"
  [ ! -s "$log" ] || printf 'The log of the server ends with:\n%s\n' "$(tail -n 8 "$log")"
  exit 1
}

begin() { # PLACE COMMAND
  where=$1 what=$2
  printf 'step %s\n' "$where"
}

# The process of Deno that `npx`, or a program of npm, has started as its only child.
deno_of() { # PID
  local pid=$1 children
  until [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = deno ]; do
    children=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null)
    pid=${children%% *}
    [ -n "$pid" ] || return 1
  done
  echo "$pid"
}

stop_servers() {
  local index pid code
  for index in "${!servers[@]}"; do
    pid=$(deno_of "${servers[index]}") || fail 'there is no process of Deno to end'
    kill -TERM "$pid"
    wait "${servers[index]}"
    code=$?
    [ $code = 0 ] || fail "before it, the server ended with $code"
    exec {streams[index]}<&-
  done
  servers=() streams=()
  ! grep -E 'internal error|panicked|Uncaught' "$log" || fail 'the log has an error'
}

# Starts a server, beside those that run if there is a third word, and waits until it listens.
server() { # PLACE COMMAND [beside]
  [ -n "${3-}" ] || stop_servers
  begin "$1" "$2"
  [ -n "${3-}" ] || : >"$log"
  local line stream
  exec {stream}< <(eval "exec $2" </dev/null 2>>"$log")
  servers+=($!) streams+=("$stream")
  while read -r -t 20 line <&"$stream"; do
    case $line in *'listening on '*) return ;; esac
  done
  fail 'it does not listen'
}

command_() { # PLACE COMMAND
  begin "$1" "$2"
  local code
  eval "$2" </dev/null >"$out" 2>&1
  code=$?
  [ $code = 0 ] || fail "it ended with $code: $(cat "$out")"
}

# PATTERN is a pattern of bash for the whole output, without the end of its last line.
transcript() { # PLACE COMMAND PATTERN
  begin "$1" "$2"
  local came code
  (eval "$2") </dev/null >"$out" 2>&1
  code=$?
  came=$(cat "$out")
  [ $code -lt 126 ] || fail "it ended with $code: $came" # no such command, or a signal
  # shellcheck disable=SC2053
  [[ $came == $3 ]] || fail "its output is: $came"
}

save() { # PLACE NAME TEXT
  begin "$1" "saving $2"
  printf '%s\n' "$3" >"$2" || fail 'it cannot be written'
}
