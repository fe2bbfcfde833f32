/**
 * The sandbox of a module handler. Deno gives a module without permissions no files, network,
 * environment or programs, but leaves open what asks for no permission: imports at run time, and
 * storage on disk that later clients' children read. This closes what a flag, a variable or a
 * script that runs first can close, at no measurable cost (seen on Deno 2.9.6: wall and processor
 * time of a start 1.00 to 1.02). SECURITY.md names what stays open.
 *
 * @module
 */

/**
 * Deletes what reaches the disk, or reads it: `localStorage`, and `Storage`, which makes another
 * one; workers, which have globals of their own; and the runtime's internals, where an error's
 * source line is read from any file.
 */
const PRELOAD = `
for (const name of ["Storage", "localStorage", "sessionStorage", "Worker"]) delete globalThis[name];
delete Deno[Deno.internal];
`;

/** Flags of `deno run`. Everything a module imports is cached by the check at start. */
export const SANDBOX_FLAGS: readonly string[] = [
  "--cached-only",
  `--preload=data:text/javascript,${encodeURIComponent(PRELOAD)}`,
];

/** Variables of a module's process, but not of the check: it has to look up names. */
export const SANDBOX_ENV: Readonly<Record<string, string>> = {
  DENO_CACHE_LSC_ENDPOINT: ",", // no address: the Cache API finds no store, here and in node's workers
  DENO_WEBGPU_BACKEND: "noop", // drivers write to a cache of their own
  RES_OPTIONS: "attempts:0", // the inspector looks a name up before it asks for permission
};
