#!/bin/sh
# A challenge host, as in capture the flag: runs a program for one player, who may take it over, so
# the program is locked up and limited. spawnd limits how many players connect, and for how long.
# Here a calculator stands in for the program:
#
#     deno run --allow-net --allow-run main.ts \
#       --max-connections 100 --max-per-source 2 --rate-per-source 20/60 \
#       --idle-timeout 60 --session-timeout 300 --eof-timeout 5 --kill-timeout 1 \
#       --refusal $'Come back later.\n' -- examples/challenge.sh busybox bc
#
# JAIL names the jail: bwrap (package bubblewrap), unshare (package util-linux), or prlimit, which
# only limits. Without it, the first of bwrap and unshare that works here is used.
set -eu
complain() { echo "challenge.sh: $*" >&2; }
command -v "${1:?usage: challenge.sh PROGRAM [ARGUMENT...]}" >/dev/null ||
  { complain "there is no program $1"; exit 127; }

# A program with a path starts in its own folder, any other in /usr. Those two are what bwrap shows.
case $1 in */*) cd "$(dirname "$1")" && program=./${1##*/} ;; *) cd /usr && program=$1 ;; esac
[ "$PWD" != / ] || { complain "$1 has to be in a folder of its own"; exit 2; }
shift

# As root, gives the player a user of its own, with a number that nothing else uses. The jail ends
# with the server, even if that is killed.
id=$((2000000000 + $$))
user="setpriv --no-new-privs --pdeathsig KILL"
[ "$(id -u)" != 0 ] || user="$user --reuid=$id --regid=$id --clear-groups"

# For each process, except that --nproc counts those of the user. In a user namespace for each
# player, those are the player's alone (since Linux 5.14).
limits="nice -n 5 prlimit --cpu=2 --as=134217728 --fsize=1048576 --nproc=16 --nofile=32 --core=0"
alone="unshare --user --map-current-user"

# Becomes a program in a jail: lock_up JAIL PROGRAM [ARGUMENT...]. What the program writes to stderr
# goes to the player, what the jail writes there to the server's stderr.
lock_up() {
  jail=$1
  shift
  set -- sh -c 'exec "$@" 2>&1' sh "$@"
  # shellcheck disable=SC2086 # the variables hold several words
  case $jail in
    bwrap) set -- $alone $limits bwrap --unshare-user --unshare-all --disable-userns --new-session \
      --die-with-parent --ro-bind /usr /usr --ro-bind /bin /bin --ro-bind /lib /lib \
      --ro-bind-try /lib64 /lib64 --ro-bind-try /etc/alternatives /etc/alternatives --proc /proc \
      --dev /dev --size 4194304 --tmpfs /tmp --ro-bind "$PWD" "$PWD" --remount-ro /dev \
      --remount-ro / --chdir "$PWD" "$@" ;;
    unshare) set -- $alone $limits unshare --map-root-user --mount --net --pid --ipc --uts \
      --kill-child --mount-proc sh -ec 'for each in /tmp /var/tmp /dev/shm; do
        mount -t tmpfs -o size=4m tmpfs $each; done; echo 1 >/proc/sys/user/max_user_namespaces
        exec 2>&1; unshare --map-user=65534 --map-group=65534 "$@"; exit' sh "$@" ;;
    prlimit) set -- $limits "$@" ;;
    *) complain "JAIL has to be bwrap, unshare, or prlimit, which only limits; not $jail"; exit 2 ;;
  esac
  # shellcheck disable=SC2086
  exec env -i PATH="$PATH" TCPREMOTEIP="${TCPREMOTEIP-}" $user "$@"
}

# Without JAIL, says what does not work, and never runs the program without any jail.
if [ -z "${JAIL-}" ]; then
  for JAIL in bwrap unshare none; do
    [ "$JAIL" != none ] || { complain "no jail, so nothing is run; JAIL=prlimit only limits"; exit 1; }
    why=$( (lock_up "$JAIL" true) 2>&1) && break
    complain "$JAIL does not work here: $why"
  done
fi
[ ! -t 0 ] || complain "the jail is $JAIL"
lock_up "$JAIL" "$program" "$@"
