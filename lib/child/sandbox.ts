/**
 * The sandbox of a module handler. Deno gives a module without permissions no files, network,
 * environment or programs, but leaves open what asks for no permission: imports at run time, and
 * storage on disk that later clients' children read. This closes what a flag, a variable or a
 * script that runs first can close, at no measurable cost (seen on Deno 2.9.6: wall and processor
 * time of a start 1.00 to 1.02). SECURITY.md names what stays open.
 *
 * @module
 */

/** The permissions of Deno that a module can be granted. */
export const PERMISSIONS = ["read", "write", "net", "env", "run", "sys", "ffi", "import"] as const;

/** Whether `text` names a permission, or one with values, such as `env=TZ`. */
export function isGrant(text: string): boolean {
  const [, name, values] = /^([a-z]+)(?:=(.+))?$/s.exec(text) ?? [];
  return PERMISSIONS.some((permission) => permission === name) && values !== "";
}

/** Stands between what a module lacks and the permission that would give it. */
const ADVICE = ": start spawnd with --grant ";

/**
 * Deletes what reaches the disk, or reads it: `localStorage`, and `Storage`, which makes another
 * one; workers, which have globals of their own; and the runtime's internals, where an error's
 * source line is read from any file. Where a permission is missing, Deno's message advises one of
 * its own flags, which the module's author cannot pass; this names the one of spawnd.
 */
const PRELOAD = `
for (const name of ["Storage", "localStorage", "sessionStorage", "Worker"]) delete globalThis[name];
delete Deno[Deno.internal];
const { NotCapable } = Deno.errors;
for (const type of ["error", "unhandledrejection"]) {
  addEventListener(type, ({ error, reason = error }) => {
    if (!(reason instanceof NotCapable)) return;
    reason.message = reason.message.replace(
      /^(Requires (\\w+) access(?: to "([^"]*)")?).*/s,
      (_, what, name, value) => what + "${ADVICE}" + name + (value ? "=" + value : ""),
    );
  });
}
`;

const PRELOAD_FLAG = "--preload=data:text/javascript,";
/** By this `serve()` knows whether a PROXY header comes first. */
const announcement = (isTrue: boolean) => `globalThis[Symbol.for("spawnd.header")] = ${isTrue};`;

/** The same arguments of a module's process, with the announcement that its input begins with a header. */
export function announceHeader(args: readonly string[]): string[] {
  return args.map((arg) =>
    arg.startsWith(PRELOAD_FLAG) ? arg + encodeURIComponent(announcement(true)) : arg
  );
}

/** The same message, with the grant for an import that Deno does not allow in place of its own flag. */
export function adviseImport(message: string): string {
  return message.replace(/^(Requires import access to "([^"]*)").*/, `$1${ADVICE}import=$2`);
}

/** The grant that a line of a module's stderr advises, if it is that of an uncaught error. */
export function advisedGrant(line: string): string | undefined {
  const grant = line.split(ADVICE)[1];
  const isError = /^(?:(?!Uncaught ).)*Uncaught (?:\(in promise\) )?NotCapable: Requires \w+ access/
    .test(line); // not where a client's text is quoted by another error
  return grant !== undefined && isError && isGrant(grant) ? grant : undefined;
}

/** Flags of `deno run`. Everything a module imports is cached by the check at start. */
export function sandboxFlags(grants: readonly string[]): string[] {
  return [
    ...(has(grants, "import") ? [] : ["--cached-only"]),
    PRELOAD_FLAG + encodeURIComponent(PRELOAD + announcement(false)),
    ...grants.map((grant) => `--allow-${grant}`),
  ];
}

/** Flags for what fetches the module and what it imports, before it runs. */
export function importFlags(grants: readonly string[]): string[] {
  return grants.filter((grant) => has([grant], "import")).map((grant) => `--allow-${grant}`);
}

/** Variables of a module's process, but not of the check: it has to look up names. */
export function sandboxEnv(grants: readonly string[]): Record<string, string> {
  return {
    DENO_CACHE_LSC_ENDPOINT: ",", // no address: the Cache API finds no store, here and in node's workers
    DENO_WEBGPU_BACKEND: "noop", // drivers write to a cache of their own
    // The inspector looks a name up before it asks for permission.
    ...(!has(grants, "net") && { RES_OPTIONS: "attempts:0" }),
  };
}

/** Whether a module may start or signal processes. */
export function canSpawn(grants: readonly string[]): boolean {
  return has(grants, "run") || has(grants, "ffi");
}

function has(grants: readonly string[], permission: (typeof PERMISSIONS)[number]): boolean {
  return grants.some((grant) => grant.split("=")[0] === permission);
}
