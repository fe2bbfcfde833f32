#!/bin/sh
# A challenge host, as in capture the flag: runs a program for one player, who may try anything with
# it, so its resources are limited. spawnd limits how many players connect, and for how long. Here a
# calculator stands in for the program:
#
#     deno run --allow-net --allow-run main.ts \
#       --max-connections 100 --max-per-source 2 --rate-per-source 20/60 \
#       --idle-timeout 60 --session-timeout 300 --eof-timeout 5 --kill-timeout 1 \
#       --refusal 'Come back later. ' -- examples/challenge.sh busybox bc
#
# prlimit(1) is in the package util-linux. Its --nproc counts all processes of the user, for all
# players together, and does not apply to root.
set -eu
: "${1:?usage: challenge.sh PROGRAM [ARGUMENT...]}"

# Hides the server's environment from the player, and sends errors to the player, not to the
# server's stderr. exec replaces this shell with the program, so that spawnd stops that directly.
exec env -i PATH="$PATH" prlimit \
  --cpu=2 --as=268435456 --fsize=1048576 --nproc=512 --nofile=32 --core=0 "$@" 2>&1
