/**
 * The files that `deno publish` would publish, and a server for them: for `jsr:` addresses it answers
 * as JSR does, and for others as any web server.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import config from "../deno.json" with { type: "json" };
import { run } from "./_service.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** Paths from the root of the package. */
export async function publishedFiles(): Promise<string[]> {
  const { code, stdout, stderr } = await run(
    [Deno.execPath(), "publish", "--dry-run", "--allow-dirty", "--no-check"],
    { cwd: ROOT, env: { NO_COLOR: "1" } },
  );
  assertEquals(code, 0, stderr);
  return [...(stdout + stderr).matchAll(/^ +file:\/\/(\/.+) \(.*B\)$/gm)]
    .map(([, path]) => decodeURI(path!).slice(ROOT.length));
}

/** A server with the published files, and nothing else. */
export class PublishedServer implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  /** What was asked for and not there. */
  readonly missing: string[] = [];

  private constructor(files: readonly string[]) {
    const { name, version, exports } = config;
    const base = `/${name}/${version}`;
    const known = new Map(files.map((file) => [`${base}/${file}`, Deno.readFileSync(ROOT + file)]));
    const manifest = Object.fromEntries(
      [...known].map(([path, bytes]) => [path.slice(base.length), {
        size: bytes.length,
        checksum: `sha256-${createHash("sha256").update(bytes).digest("hex")}`,
      }]),
    );
    const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
    known.set(`/${name}/meta.json`, json({ latest: version, versions: { [version]: {} } }));
    known.set(`${base}_meta.json`, json({ manifest, exports }));
    const types = { ts: "application/typescript", json: "application/json" };
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, ({ url }) => {
      const { pathname } = new URL(url);
      const body = known.get(pathname);
      if (body === undefined) this.missing.push(pathname);
      const type = types[pathname.split(".").at(-1) as keyof typeof types] ?? "text/plain";
      return new Response(body ?? null, {
        status: body ? 200 : 404,
        headers: { "content-type": type },
      });
    });
  }

  static async start(): Promise<PublishedServer> {
    return new PublishedServer(await publishedFiles());
  }

  /** Its address, for the variable JSR_URL. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  /** The address of a file of the package. */
  addressOf(file: string): string {
    return `${this.url}${config.name}/${config.version}/${file}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}
