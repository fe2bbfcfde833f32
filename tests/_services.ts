/**
 * Several services in one process, from a configuration file that the test can change.
 *
 * @module
 */

import { makeFolder } from "./_service.ts";
import { ask, text } from "./_sockets.ts";
import { type LogRecord, Spawnd } from "./_spawnd.ts";
import { until } from "./_waiting.ts";

/** The `services` of a configuration file, by name. */
export type ServicesText = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** A running server with a configuration file. */
export class ConfiguredSpawnd implements AsyncDisposable {
  readonly spawnd: Spawnd;
  /** A folder of its own, which has the file. */
  readonly folder: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(spawnd: Spawnd, folder: string, stack: AsyncDisposableStack) {
    this.spawnd = spawnd;
    this.folder = folder;
    this.#stack = stack;
  }

  /** Starts these services and waits until they listen. */
  static async start(
    services: ServicesText,
    { files = {}, via = [], ...top }: {
      /** What else is in the folder, by name. */
      readonly files?: Readonly<Record<string, string>>;
      /** A command that becomes the server. */
      readonly via?: readonly string[];
      readonly [option: string]: unknown;
    } = {},
    ...args: string[]
  ): Promise<ConfiguredSpawnd> {
    const stack = new AsyncDisposableStack();
    const { path } = stack.use(await makeFolder());
    for (const [name, content] of Object.entries(files)) {
      await Deno.writeTextFile(`${path}/${name}`, content);
    }
    await Deno.writeTextFile(`${path}/spawnd.jsonc`, JSON.stringify({ ...top, services }));
    const spawnd = stack.use(Spawnd.configured(`${path}/spawnd.jsonc`, via, ...args));
    const configured = new ConfiguredSpawnd(spawnd, path, stack);
    await spawnd.listening();
    for (const name of Object.keys(services)) await configured.addresses(name);
    return configured;
  }

  /** The last addresses of a service that the log has. */
  async addresses(service: string): Promise<string[]> {
    const isOfService = (record: LogRecord) =>
      record.message === "listening" && (record.service ?? service) === service;
    const record = await until(`${service} to listen`, () => this.spawnd.log.findLast(isOfService));
    return String(record.address).split(" ");
  }

  /** The port of a service's first address. */
  async port(service: string): Promise<number> {
    return Number(/:(\d+)(\/|$)/.exec((await this.addresses(service))[0]!)![1]);
  }

  /** Asks a service, and resolves to its answer as text. */
  async ask(service: string, question: string): Promise<string> {
    return text(await ask(await this.port(service), question));
  }

  /** Writes other services, or any text, into the file. */
  async write(content: ServicesText | string, top: Record<string, unknown> = {}): Promise<void> {
    const json = typeof content === "string"
      ? content
      : JSON.stringify({ ...top, services: content });
    await Deno.writeTextFile(`${this.folder}/spawnd.jsonc`, json);
  }

  /** Writes the file, has it read, and resolves to what the log says of that. */
  async reload(
    content: ServicesText | string,
    top: Record<string, unknown> = {},
  ): Promise<LogRecord> {
    const results = () => this.spawnd.records({ message: /^(reloaded|cannot reload)/ });
    const before = results().length;
    await this.write(content, top);
    this.spawnd.kill("SIGHUP");
    return await until("the end of a reload", () => results()[before]);
  }

  /** The numbers of a service. */
  async status(service: string): Promise<LogRecord> {
    const records = () => this.spawnd.records({ message: "status", service });
    const before = records().length;
    this.spawnd.kill("SIGUSR2");
    return await until(`the numbers of ${service}`, () => records()[before]);
  }

  /** Ends the server and removes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
