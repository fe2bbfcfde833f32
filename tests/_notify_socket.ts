/**
 * The service manager's end of sd_notify(3): a datagram socket, and the messages it has received.
 *
 * @module
 */

import { within } from "./_waiting.ts";

/** A message: the values by their names. */
export type Message = Record<string, string>;

/** The socket of a service manager. */
export class NotifySocket implements AsyncDisposable {
  readonly path: string;
  readonly #socket: Deno.DatagramConn;
  #receiving: Promise<[Uint8Array, Deno.Addr]> | undefined;

  constructor(path: string) {
    this.path = path;
    this.#socket = Deno.listenDatagram({
      transport: "unixpacket",
      path: path.replace(/^@/, "\0"),
    });
  }

  /** The next message. */
  async next(ms?: number): Promise<Message> {
    this.#receiving ??= this.#socket.receive(); // goes on where the last one was given up
    const [bytes] = await within("a notification", this.#receiving, ms);
    this.#receiving = undefined;
    const lines = new TextDecoder().decode(bytes).split("\n");
    return Object.fromEntries(lines.map((line) => /^([A-Z_]+)=(.*)$/.exec(line)!.slice(1)));
  }

  /** The next message that says this; those before it are dropped. */
  async message(name: string): Promise<Message> {
    for (;;) {
      const message = await this.next();
      if (message[name] === "1") return message;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.#receiving?.catch(() => {});
  }
}
