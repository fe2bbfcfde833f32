#!/bin/sh
# A host for challenges, as in capture the flag: runs a program for one player, who may try anything
# with it, so it gets little of the machine. How many players come, and for how long, is spawnd's to
# limit. Here a calculator stands for the program:
#
#     deno run --allow-net --allow-run main.ts \
#       --max-connections 100 --max-per-source 2 --rate-per-source 20/60 \
#       --idle-timeout 60 --session-timeout 300 --eof-timeout 5 --kill-timeout 1 \
#       --refusal 'Come back later. ' -- examples/challenge.sh busybox bc
#
# prlimit(1) is in the package util-linux. Its --nproc counts all processes of the user, whichever
# player they serve, and does not bind root.
set -eu
: "${1:?usage: challenge.sh PROGRAM [ARGUMENT...]}"

# The environment is the server's, and none of a player's business; errors are a player's, and none
# of the server's. With exec the program takes the place of this shell: it is what spawnd stops.
exec env -i PATH="$PATH" prlimit \
  --cpu=2 --as=268435456 --fsize=1048576 --nproc=512 --nofile=32 --core=0 "$@" 2>&1
