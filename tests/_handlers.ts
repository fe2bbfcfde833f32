/**
 * Modules that use `serve()`, in a folder outside the checkout.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { text } from "./_sockets.ts";

const ROOT = new URL("../", import.meta.url);

/** Where `@spawnd/spawnd/handler` is, for a module's own import map. */
export const IMPORTS = { "@spawnd/spawnd/handler": new URL("lib/handler/serve.ts", ROOT).href };

/** A folder with a module, and a configuration that knows `@spawnd/spawnd/handler`. */
export class ModuleFolder implements AsyncDisposable {
  private constructor(readonly path: string) {}

  /** @param body What `serve()` is given, or with an `import` a whole module. */
  static async make(body: string, configuration: object = { imports: IMPORTS }) {
    const folder = new ModuleFolder(await Deno.makeTempDir());
    await folder.write("deno.json", JSON.stringify(configuration));
    await folder.change(body);
    return folder;
  }

  /** The path of the module. */
  get module(): string {
    return `${this.path}/handler.ts`;
  }

  /** Gives the module another text. */
  async change(body: string): Promise<void> {
    const whole = `import { serve } from "@spawnd/spawnd/handler";\nawait serve(${body});\n`;
    await this.write("handler.ts", /^import\b/m.test(body) ? body : whole);
  }

  async write(name: string, content: string): Promise<void> {
    await Deno.writeTextFile(`${this.path}/${name}`, content);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** Greets at once with the client's address, and echoes lines. */
export const GREET = `async (client) => {
  await client.write(\`Hello \${client.remote?.hostname} \${client.remote?.port}\\n\`);
  for await (const line of client.lines()) await client.write(\`\${line}!\\n\`);
}`;

/** Runs a module by hand; the output is cut after the first error. */
export async function runByHand(
  module: string,
  input: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", module],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input)).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await child.output();
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Asserts how a module that is run by hand ends. */
export async function assertRun(
  body: string,
  input: string,
  expected: { code: number; stdout: string; stderr: string },
): Promise<void> {
  await using folder = await ModuleFolder.make(body);
  const { stderr, ...rest } = await runByHand(folder.module, input);
  assertEquals({ ...rest, stderr: stderr.replaceAll(`file://${folder.path}/`, "") }, expected);
}

/** Whether a module has started and waits for its input, which a thread of its own reads. */
export function waitsForInput(pid: number): boolean {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/task`)].some(({ name }) =>
      Deno.readTextFileSync(`/proc/${pid}/task/${name}/wchan`).endsWith("pipe_read")
    );
  } catch {
    return false; // a thread has just ended
  }
}
