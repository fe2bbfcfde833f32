/**
 * What the server asks of its system before it starts children: where the programs are that start
 * them, who a user is, and what the environment says. The server has no permission to look itself,
 * so sh(1) does, once.
 *
 * @module
 */

/** What to find out. */
export interface SystemQuery {
  /** A user's name, or `name:group`. */
  readonly user?: string;
  /** Ids that setpriv(1) should be able to change to. */
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** Names of environment variables to read. */
  readonly variables: readonly string[];
}

/** What was found; a program that is missing or does not do is absent. */
export interface SystemFacts {
  /** The path of sh(1). */
  readonly sh?: string;
  /** The path of setsid(1). */
  readonly setsid?: string;
  /** The path of a setpriv(1) that can change to the ids that were asked for. */
  readonly setpriv?: string;
  /** The user that was asked for. */
  readonly user?: {
    readonly uid: number;
    readonly gid: number;
    readonly env: Record<string, string>;
  };
  /** The variables that were asked for, where they are set. */
  readonly variables?: Record<string, string>;
  /** How many descriptors a process may have; Deno raises its own limit to the hard one (2.9.6). */
  readonly descriptors?: number;
}

/** $1 user, $2 group, $3 uid, $4 gid, the rest: names of variables to read. */
const SCRIPT = `
say() { printf '%s=%s\\0' "$1" "$2"; }
printf 'descriptors='; ulimit -n; printf '\\0'
fail() { echo "$1" >&2; exit 1; }
groups() { getent group -- "$1" 2>/dev/null; cat /etc/group; }
user=$1 group=$2 uid=$3 gid=$4
shift 4
for program in sh setsid; do path=$(command -v $program) && say $program "$path"; done
if [ "$user" ]; then
  uid=$(id -u -- "$user" 2>/dev/null) || fail "there is no user $user"
  user=$(id -un -- "$user") # it may have been a number
  say user "$user"
  gid=$(id -g -- "$user")
  case $user in *[!A-Za-z0-9._-]*) home= ;; *) eval "home=~$user" ;; esac
  case $home in /*) say HOME "$home" ;; esac
  if [ "$group" ]; then
    gid=$(groups "$group" | while IFS=: read -r name _ id _; do
      [ "$group" = "$name" ] || [ "$group" = "$id" ] && echo "$id" && break
    done)
    [ "$gid" ] || fail "there is no group $group"
  fi
  say uid "$uid"
  say gid "$gid"
fi
if [ "$gid" ] && path=$(command -v setpriv); then
  $path \${uid:+--reuid=$uid} --regid=$gid --clear-groups -- true 2>/dev/null && say setpriv "$path"
fi
for name; do eval "[ \\"\\\${$name+set}\\" ] && say =$name \\"\\$$name\\""; done
exit 0`;

/**
 * Finds it out.
 *
 * @throws {Error} There is no such user or group.
 * @throws What `Deno.Command` throws.
 */
export async function inspectSystem(
  { user, uid, gid, variables }: SystemQuery,
  signal?: AbortSignal,
): Promise<SystemFacts> {
  const [name = "", group = ""] = user?.split(":") ?? [];
  const ids = [uid, gid].map((id) => id === undefined ? "" : String(id));
  const { success, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", SCRIPT, "sh", name, group, ...ids, ...variables],
    stdin: "null",
    ...(signal && { signal }),
  }).output();
  signal?.throwIfAborted();
  const [answer, complaint] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(complaint!.trim());
  const facts = new Map(
    answer!.split("\0").map((entry) => {
      const at = entry.indexOf("=", 1);
      return [entry.slice(0, at), entry.slice(at + 1)] as const;
    }),
  );
  const programs = ["sh", "setsid", "setpriv"].filter((program) => facts.has(program));
  return {
    ...Object.fromEntries(programs.map((program) => [program, facts.get(program)])),
    ...(user !== undefined && {
      user: {
        uid: readId(facts.get("uid")),
        gid: readId(facts.get("gid")),
        env: {
          USER: facts.get("user")!,
          LOGNAME: facts.get("user")!,
          ...(facts.has("HOME") && { HOME: facts.get("HOME")! }),
        },
      },
    }),
    ...(Number(facts.get("descriptors")) > 0 && { descriptors: Number(facts.get("descriptors")) }),
    variables: Object.fromEntries(
      variables.filter((name) => facts.has(`=${name}`)).map((
        name,
      ) => [name, facts.get(`=${name}`)!]),
    ),
  };
}

/** An id; anything else must not become 0, which is root's. */
function readId(text: string | undefined): number {
  if (!/^\d+$/.test(text ?? "")) throw new Error(`id(1) answered ${text}`);
  return Number(text);
}
