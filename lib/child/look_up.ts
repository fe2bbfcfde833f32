/**
 * Looks up a program without running it, as execvp(3) would, and says why it cannot be run. sh(1)
 * does it, since the server has no permission to read files.
 *
 * @module
 */

/** $1 program, $2 what a module may be told. */
const LOOK_UP = `
fail() { printf '%s\\n' "$1" >&2; exit 1; }
# Ends with success, unless the first line of a script names what is not there.
found() {
  [ -f "$1" ] || exit 0
  { IFS= read -r line <"$1"; } 2>/dev/null
  case $line in '#!'*) ;; *) exit 0 ;; esac
  line=\${line#'#!'}
  line=\${line#"\${line%%[! ]*}"}
  interpreter=\${line%%[ \t]*}
  [ -z "$interpreter" ] || [ -e "$interpreter" ] && exit 0
  case $interpreter in *\r) fail "its lines end in CR LF, as on Windows" ;; esac
  fail "its first line names $interpreter, which is not there"
}
case $1 in
  */*)
    folder=\${1%/*}
    [ -x "\${folder:-/}" ] || [ ! -d "\${folder:-/}" ] || fail "its user cannot enter its folder"
    [ -d "$1" ] && fail "it is a folder"
    [ -e "$1" ] || fail "there is no such file$2"
    [ -x "$1" ] || fail "its user may not execute it\${2:- (chmod +x?)}"
    found "$1" ;;
esac
IFS=:
for folder in $PATH; do
  file=\${folder:-.}/$1
  [ -f "$file" ] && [ -x "$file" ] && found "$file"
done
[ -f "$1" ] && [ -x "$1" ] && fail "there is no such program in PATH. For the file in this folder, write ./$1"
fail "there is no such program in PATH$2"`;

/**
 * A command that fails, with the reason on stderr, if a program cannot be run.
 *
 * @param command A path, or a name to look up in PATH.
 * @param isModule Whether it looks like a module, which goes without the dashes.
 */
export function lookUpCommand(command: string, isModule: boolean): [string, ...string[]] {
  const advice = isModule ? ". To run a module with Deno, leave out the --" : "";
  return ["sh", "-c", LOOK_UP, "sh", command, advice];
}
