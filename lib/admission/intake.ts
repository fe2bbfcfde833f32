/**
 * The reception: all that happens to a client between its accept and its session. It is asked who it
 * is, looked at, taken through TLS, and given a slot; or it is refused, told so, and counted.
 *
 * Every client goes through it beside all others, and for a bounded time, so nobody here can hold up
 * anybody else.
 *
 * @module
 */

import type { Networks } from "../net/address.ts";
import { Admission, type AdmissionOptions, type Refusal, type Ticket } from "./admission.ts";
import type { Connection } from "../net/connection.ts";
import { log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import type { Tls } from "../net/tls.ts";

/**
 * Why a client that was accepted was not served: it was refused (see {@linkcode Refusal}), it did not
 * come to the end of a TLS handshake or a PROXY header (`handshake`), or it had gone before its turn
 * came (`left`).
 */
export type RefusalReason = Refusal | "handshake" | "left";

/** How {@linkcode Intake} is set up. */
export interface IntakeOptions extends AdmissionOptions {
  /** Who has to begin with a PROXY header. */
  readonly acceptProxy: Networks;
  /** What clients with an address have to shake hands with, if with anything. */
  readonly tls?: Tls | undefined;
  /** How long a handshake may take, and a PROXY header too, in milliseconds. */
  readonly handshakeTimeoutMs: number;
  /** What a refused client is sent. */
  readonly refusal: string;
  /** Serves a client to its end; resolves to an error if that could not even begin. */
  readonly serve: (accepted: AcceptedConnection) => Promise<string | undefined>;
}

/** Somebody who was accepted. */
export interface AcceptedConnection {
  /** Its number in the log. */
  readonly id: number;
  /** When that was, on the clock of `performance.now()`, in milliseconds. */
  readonly acceptedAtMs: number;
  /** Another one after a TLS handshake. */
  client: Connection;
}

/** Somebody on the way from accepted to service. */
interface PendingConnection extends AcceptedConnection {
  readonly ticket: Ticket;
  /** Whether a word would be understood: not before the handshake there has to be. */
  canReceiveText: boolean;
}

/** Why a client was not served, and for the log what was in the way. */
interface Refused {
  readonly reason: RefusalReason | "failed";
  readonly error?: string;
}

/** So many refused clients may be lingered for at once; the others are just closed. */
const MAX_LINGERING = 100;

/** Where clients come in. */
export class Intake {
  /** How many have come. */
  accepted = 0;
  /** How many have been served to their end. */
  served = 0;
  /** How many were not, because that could not even begin. */
  failed = 0;
  /** How many were not, for another reason. */
  readonly refused: Record<RefusalReason, number> = {
    "denied": 0,
    "source-limit": 0,
    "source-rate": 0,
    "busy": 0,
    "handshake": 0,
    "left": 0,
  };

  readonly #options: IntakeOptions;
  readonly #admission: Admission;
  readonly #refusal: Uint8Array<ArrayBuffer>;
  /** For everybody who has yet to say who they are, what cuts them off, with a reason. */
  readonly #handshakes = new Set<(why: string) => void>();
  #lingering = 0;

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#admission = new Admission(options);
    this.#refusal = new TextEncoder().encode(options.refusal);
  }

  /** How many wait for a slot. */
  get waiting(): number {
    return this.#admission.waiting;
  }

  /** Whether one more would be served, or could wait for that. */
  get hasCapacity(): boolean {
    return this.#admission.hasCapacity;
  }

  /** Resolves when there is room for one more, which is most often at once. */
  async capacity(): Promise<void> {
    if (!this.#admission.isFull) return;
    const { active, waiting } = this.#admission;
    log.warn("full: accepting goes on when somebody leaves", { active, waiting });
    await this.#admission.capacity();
  }

  /** From now on there is room for everybody who has connected already. */
  close(): void {
    this.#admission.close();
  }

  /** Cuts off who waits and who shakes hands; gives how many these were. */
  cancelPending(): number {
    const count = this.#admission.waiting + this.#handshakes.size;
    this.#admission.refuseWaiting();
    for (const abort of this.#handshakes) abort("the server is shutting down");
    return count;
  }

  /** Takes a client from its accepted to the end of its connection. */
  async handle(client: Connection): Promise<void> {
    const pending = {
      id: ++this.accepted,
      acceptedAtMs: performance.now(),
      ticket: this.#admission.issueTicket(),
      client,
      canReceiveText: this.#options.tls === undefined || client.address === undefined,
    };
    let refused: Refused | undefined;
    try {
      refused = await this.#admit(pending);
    } finally {
      this.#admission.release(pending.ticket);
    }
    if (refused) await this.#refuse(pending, refused);
    else this.served++;
  }

  /** Lets somebody in and has them served, or says why not. */
  async #admit(pending: PendingConnection): Promise<Refused | undefined> {
    const { client, ticket } = pending;
    const { acceptProxy, tls, serve } = this.#options;
    if (acceptProxy.has(client.address ?? "")) {
      // A proxy that only looks whether somebody listens has nothing to say.
      const left = client.hasLeft();
      const reading = left.then((left) => left ? undefined : client.readProxyHeader());
      const error = await this.#limit(client, reading);
      if (error !== undefined) return { reason: "handshake", error };
      if (await left) return { reason: "left" };
    }
    const reason = this.#admission.admit(ticket, client.address);
    if (reason) return { reason };
    if (tls && !pending.canReceiveText) {
      const handshake = tls.handshake(client).then((secured) => {
        pending.client = secured;
        pending.canReceiveText = true;
      });
      const error = await this.#limit(client, handshake);
      if (error !== undefined) return { reason: "handshake", error };
    }
    const slot = this.#admission.requestSlot(ticket);
    if (slot !== true) {
      const reason = await this.#wait(pending, slot);
      if (reason) return { reason };
    }
    const error = await serve(pending);
    if (error !== undefined) return { reason: "failed", error };
  }

  /** Bounds a handshake in time; gives what went wrong, if anything did. */
  async #limit(client: Connection, handshake: Promise<unknown>): Promise<string | undefined> {
    let error: string | undefined;
    const abort = (why: string) => {
      error = why;
      client.close();
    };
    const timer = setTimeout(abort, this.#options.handshakeTimeoutMs, "it took too long");
    this.#handshakes.add(abort);
    await handshake.catch((reason) => error ??= messageOf(reason));
    this.#handshakes.delete(abort);
    clearTimeout(timer);
    return error;
  }

  /** Waits for a slot; gives the reason if it comes to none. */
  async #wait(
    { id, client, ticket }: PendingConnection,
    slot: false | Promise<boolean>,
  ): Promise<"busy" | "left" | undefined> {
    if (slot === false) return "busy";
    log.info("waiting", { id, client: client.name });
    let hasLeft = false;
    client.hasLeft().then((left) => {
      if (!left || ticket.step !== "waiting") return;
      hasLeft = true;
      this.#admission.release(ticket);
    });
    if (!await slot) return hasLeft ? "left" : "busy";
  }

  async #refuse(
    { id, client, canReceiveText }: PendingConnection,
    { reason, error }: Refused,
  ): Promise<void> {
    const facts = { id, client: client.name, error };
    if (reason === "failed") {
      this.failed++;
      log.warn("cannot start a child: the client is refused", facts);
    } else {
      this.refused[reason]++;
      if (reason === "left") log.debug("left", facts);
      else log.warn("refused", { ...facts, reason });
    }
    const isGone = reason === "left" || reason === "handshake";
    if (isGone || !canReceiveText || this.#lingering >= MAX_LINGERING) return client.close();
    this.#lingering++;
    await client.refuse(this.#refusal);
    this.#lingering--;
  }
}
