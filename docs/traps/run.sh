#!/usr/bin/env bash
# Compiles the traps in this folder as they are and with -DFIXED, runs both, and prints a line for
# each: the broken one goes wrong, the fixed one holds.
#
#     docs/traps/run.sh                   all traps
#     docs/traps/run.sh zombies sigpipe   some
#
# The exit code is 1 if one does otherwise, or does not compile.
set -euo pipefail
cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

[ $# -gt 0 ] || set -- *.c

result=0
for name in "${@%.c}"; do
  for version in broken fixed; do
    flags=()
    expected=1
    [ "$version" = broken ] || flags=(-DFIXED) expected=0
    cc -O1 -Wall -Wextra "${flags[@]}" -o "$build/$name" "$name.c"
    code=0
    line=$("$build/$name") || code=$?
    [ "$code" = "$expected" ] || { result=1 line="UNEXPECTED (exit code $code): $line"; }
    printf '%-20s  %-6s  %s\n' "$name" "$version" "$line"
  done
done
exit "$result"
