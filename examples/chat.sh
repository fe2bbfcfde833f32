#!/bin/sh
# A chat room for browsers: what one writes, all read. The room is a file; each client's process adds
# lines to it, and follows it with tail, which prints what the others have added.
#
#     deno run --allow-net --allow-run main.ts --websocket :8080 -- examples/chat.sh /tmp/chat.txt
#
# A client may write anything. So control characters are removed, and every line that is kept is
# short and begins with a name. The file grows until someone empties it, which tail notices.
set -eu
room=${1:?usage: chat.sh FILE}
: >>"$room"

add() { printf '%.400s\n' "$*" | LC_ALL=C tr -d '\000-\011\013-\037\177' |
  LC_ALL=C sed 's/\xc2[\x80-\x9f]//g' >>"$room"; }

echo "What is your name?"
IFS= read -r name || exit 0
name=$(printf %.20s "$name" | LC_ALL=C tr -cd 'A-Za-z0-9')
tail -n 10 -s 0.1 -F "$room" 2>/dev/null & # looks so often where no event tells it
trap '{ kill $! && wait; } 2>/dev/null || :' EXIT
add "${name:=Nobody} is here"
while IFS= read -r line; do add "$name: $line"; done
add "$name has left"
