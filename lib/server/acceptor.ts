/**
 * The acceptor: takes clients from one listener, one after the other, and passes them to the server
 * that the listener belongs to, which may change while it waits.
 *
 * It never waits for a client, but for its server to have room for one: the kernel's backlog holds
 * further ones meanwhile.
 *
 * @module
 */

import { isTurnDue, nextTurn } from "../base/event_loop.ts";
import type { Logger } from "../base/log.ts";
import type { Connection } from "../net/connection.ts";
import { formatWebSocketAddress } from "../net/listen_address.ts";
import type { Listener } from "../net/listener.ts";
import type { WebSocketEndpoint } from "../web/upgrade.ts";

/** What an acceptor needs of a server. */
export interface Target {
  /** Its log. */
  readonly log: Logger;
  /** Whether nothing more should be accepted. */
  readonly isFull: boolean;
  /** Resolves when it is not full. */
  capacity(): Promise<void>;
  /** Takes a client, which has to ask for a WebSocket first if there is an endpoint. Never throws. */
  handle(client: Connection, endpoint?: WebSocketEndpoint): void;
}

/** Accepts the clients of one listener. */
export class Acceptor {
  readonly listener: Listener;
  /** The address of its socket, as it was given. */
  readonly address: string;
  /** What tells it from another one: the address, and the options of its socket. */
  readonly key: string;
  /** Resolves when the listener has been closed, and immediately before it accepts. */
  finished: Promise<void> = Promise.resolve();
  #target: Target | undefined;
  #endpoint: WebSocketEndpoint | undefined;
  #moved = Promise.withResolvers<void>();
  #isClosing = false;

  constructor(listener: Listener, address: string, key: string) {
    this.listener = listener;
    this.address = address;
    this.key = key;
  }

  /** Where it listens, as shown in the log. */
  get name(): string {
    const { name } = this.listener;
    const { path } = this.#endpoint ?? {};
    return path === undefined ? name : formatWebSocketAddress(name, path);
  }

  /**
   * Accepts for a server from now on; further clients of the listener are no one else's.
   *
   * @param endpoint What they speak WebSocket with, if they do.
   */
  acceptFor(target: Target, endpoint?: WebSocketEndpoint): void {
    const isAccepting = this.#target !== undefined;
    this.#target = target;
    this.#endpoint = endpoint;
    this.#moved.resolve();
    this.#moved = Promise.withResolvers();
    if (!isAccepting) this.finished = this.#run();
  }

  /**
   * Accepts what the kernel has completed, even if there is no room for it, and closes.
   *
   * @param options As those of {@linkcode Listener.close}.
   */
  close(options?: Parameters<Listener["close"]>[0]): void {
    this.#isClosing = true;
    this.#moved.resolve();
    this.listener.close(options);
  }

  async #run(): Promise<void> {
    for (;;) {
      const client = await this.listener.accept(() => this.#target!.log);
      if (client === undefined) return;
      // Another acceptor may have taken the last place while this one waited for a client.
      if (this.#isFull) await this.#room();
      this.#target!.handle(client, this.#endpoint);
      if (this.#isFull) await this.#room();
      if (isTurnDue()) await nextTurn();
    }
  }

  get #isFull(): boolean {
    return !this.#isClosing && this.#target!.isFull;
  }

  /** Waits until the server has room for a client. */
  async #room(): Promise<void> {
    while (this.#isFull) {
      await Promise.race([this.#target!.capacity(), this.#moved.promise]);
    }
  }
}
