/**
 * The graph of a module, as `deno info --json` prints it, and what it says of the module: whether it
 * uses `serve()`, which reads a PROXY header first.
 *
 * @module
 */

/** What is used of the output of `deno info --json` (Deno 2.9.6). */
interface Graph {
  readonly roots: readonly string[];
  readonly redirects?: Readonly<Record<string, string>>;
  readonly modules: readonly {
    readonly specifier: string;
    readonly error?: string;
    readonly dependencies?: readonly { readonly code?: { readonly specifier?: string } }[];
  }[];
}

/** Whether a module is a folder, which `deno cache` takes for one without contents. */
export function isFolder(json: string): boolean {
  const { roots, modules }: Graph = JSON.parse(json);
  return modules.some(({ specifier, error = "" }) =>
    specifier === roots[0] && error.startsWith("[ERR_UNSUPPORTED_DIR_IMPORT]")
  );
}

/** The file that this spawnd's `@spawnd/spawnd/handler` is. */
export const SERVE: string = new URL("../handler/serve.ts", import.meta.url).href;

/** The same of another version, or from elsewhere. */
const OTHER_SERVE =
  /spawnd.*\/lib\/handler\/serve\.[jt]s$|^npm:\/@spawnd\/spawnd(?:@[^\/]+)?\/handler$/s;

/** Whether a module imports `serve()`, itself or through others; importing its types does not count. */
export function usesServe(json: string): boolean {
  const { roots, redirects = {}, modules }: Graph = JSON.parse(json);
  const found = new Map(modules.map((module) => [module.specifier, module]));
  const seen = new Set(roots);
  for (const name of seen) { // grows while it is walked
    const specifier = redirects[name] ?? name;
    if (specifier === SERVE || OTHER_SERVE.test(specifier)) return true;
    for (const { code } of found.get(specifier)?.dependencies ?? []) {
      if (code?.specifier !== undefined) seen.add(code.specifier);
    }
  }
  return false;
}
