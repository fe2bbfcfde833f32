/**
 * The intake: everything that happens to a connection between its accept and its session. The PROXY
 * header is read, admission is asked, the TLS handshake is done, and a slot is waited for; or the
 * connection is refused, counted and logged.
 *
 * Connections go through it concurrently, and each step is bounded in time, so that no client can
 * delay another.
 *
 * @module
 */

import type { Networks } from "../net/address.ts";
import { Admission, type AdmissionOptions, type Refusal, type Ticket } from "./admission.ts";
import type { ChildBudget } from "./child_budget.ts";
import { Connection, PROBE_INTERVAL_MS } from "../net/connection.ts";
import { type Logger, RECOVERIES } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { shorten } from "../base/quote.ts";
import type { Observer } from "../base/observer.ts";
import type { Tls } from "../net/tls.ts";
import type { WebSocketEndpoint } from "../web/upgrade.ts";

/**
 * Why an accepted connection was not served: it was refused (see {@linkcode Refusal}), its TLS
 * handshake, PROXY header or request failed (`handshake`), it asked for the page of a WebSocket
 * (`page`), or its client had gone before it got a slot or a child (`left`).
 */
export type RefusalReason = Refusal | "handshake" | "page" | "left";

/** How {@linkcode Intake} is set up. */
export interface IntakeOptions extends AdmissionOptions {
  /** The proxies whose connections begin with a PROXY header. */
  readonly acceptProxy: Networks;
  /** The TLS identity that TCP clients do their handshake with, if any. */
  readonly tls?: Tls | undefined;
  /** How long a handshake, and before it a PROXY header, may take, in milliseconds. */
  readonly handshakeTimeoutMs: number;
  /** What a refused client is sent. */
  readonly refusal: string;
}

/** What {@linkcode Intake} needs besides. */
export interface IntakeContext {
  readonly log: Logger;
  readonly observer: Observer;
  /** The slots that this and other services share. */
  readonly budget: ChildBudget;
  /** Serves a connection to its end; resolves to the reason if it got no child. */
  readonly serve: (accepted: AcceptedConnection) => Promise<Refused | undefined>;
}

/** A connection that has been accepted. */
export interface AcceptedConnection {
  /** Its number in the log. */
  readonly id: number;
  /**
   * When it was accepted, or had done its handshakes if there are any, on the clock of
   * `performance.now()`, in milliseconds.
   */
  readyAtMs: number;
  /** The connection; replaced by the one over it after a TLS handshake. */
  client: Connection;
}

/** A connection between accept and session. */
interface PendingConnection extends AcceptedConnection {
  readonly ticket: Ticket;
  /** What it does its handshake with, if it has to do one. */
  readonly tls: Tls | undefined;
  /** Whether it could read a refusal: over TLS, not before the handshake. */
  canReceiveText: boolean;
  /** What opens its WebSocket, and tells it of a refusal before that; replaced once that is done. */
  webSocket: WebSocketRequest | undefined;
}

/** A client that has to ask for a WebSocket first. */
interface WebSocketRequest extends WebSocketEndpoint {
  readonly proxies: Networks;
}

/** How many characters go to the log of what is wrong with a request, which may quote the client. */
const MAX_ERROR = 300;

/** Why a connection was not served, with the error that caused it, for the log. */
export interface Refused {
  readonly reason: RefusalReason | "failed";
  readonly error?: string;
  /** What the client is sent. */
  readonly response?: Uint8Array<ArrayBuffer>;
}

const NO_TEXT = new Uint8Array(0);
/**
 * How many refused connections may linger at once; further ones are closed immediately, or take the
 * place of the oldest if they speak HTTP or WebSocket, where there is always an answer.
 */
const MAX_LINGERING = 100;

/** The intake of one server. */
export class Intake {
  /** Connections accepted. */
  accepted = 0;
  /** Connections served to their end. */
  ended = 0;
  /** Connections refused because no child could be started. */
  failed = 0;
  /** Connections not served for another reason. */
  readonly refused: Record<RefusalReason, number> = {
    "denied": 0,
    "source-limit": 0,
    "source-rate": 0,
    "busy": 0,
    "handshake": 0,
    "page": 0,
    "left": 0,
  };

  readonly #context: IntakeContext;
  readonly #admission: Admission;
  #options: IntakeOptions;
  /** Aborts each handshake in progress, with a reason. */
  readonly #handshakes = new Set<(why: string) => void>();
  /** Connections that have been refused and are not closed yet. */
  readonly #lingering = new Set<Connection>();
  #mayLinger = true;

  constructor(options: IntakeOptions, context: IntakeContext) {
    this.#options = options;
    this.#context = context;
    this.#admission = new Admission(options, context);
  }

  /** Handles by these options the connections that are accepted from now on. */
  update(options: IntakeOptions): void {
    this.#options = options;
    this.#admission.update(options);
  }

  /** How many connections wait for a slot. */
  get waiting(): number {
    return this.#admission.waiting;
  }

  /** Whether nothing more should be accepted, as slots and queue are taken. */
  get isFull(): boolean {
    return this.#admission.isFull;
  }

  /** Whether a connection that is accepted now would be served or queued. */
  get hasCapacity(): boolean {
    return !this.#admission.isFull && this.#admission.hasCapacity;
  }

  /** Resolves when it is not full. Another acceptor may take the place until the caller goes on. */
  async capacity(): Promise<void> {
    const { active, waiting } = this.#admission;
    this.#context.log.warn("full: accepting again when there is room", { active, waiting });
    await this.#admission.capacity();
    this.#context.log.info(RECOVERIES.accept);
  }

  /** From now on there is capacity for every connection that the kernel has completed. */
  drain(): void {
    this.#admission.drain();
  }

  /** Ends the waits and aborts the handshakes in progress; returns how many there were. */
  cancelPending(): number {
    const count = this.#admission.waiting + this.#handshakes.size;
    this.#admission.refuseWaiting();
    for (const abort of this.#handshakes) abort("the server is shutting down");
    this.#handshakes.clear();
    return count;
  }

  /** Closes the refused connections that linger, and from now on each at once. */
  stopLingering(): void {
    this.#mayLinger = false;
    for (const client of this.#lingering) client.close();
  }

  /** Gives up its part of what services share; nothing is active or waits any more. */
  close(): void {
    this.#admission.close();
  }

  /** Takes a connection from accept to its end, over a WebSocket if there is an endpoint. */
  async handle(client: Connection, endpoint?: WebSocketEndpoint): Promise<void> {
    const tls = client.address === undefined ? undefined : this.#options.tls;
    const pending: PendingConnection = {
      id: ++this.accepted,
      readyAtMs: performance.now(),
      ticket: this.#admission.issueTicket(),
      client,
      tls,
      canReceiveText: tls === undefined,
      webSocket: endpoint && { ...endpoint, proxies: this.#options.acceptProxy },
    };
    let refused: Refused | undefined;
    try {
      refused = await this.#admit(pending);
    } finally {
      this.#admission.release(pending.ticket);
    }
    if (refused) await this.#refuse(pending, refused);
    else this.ended++;
  }

  /** Admits a connection and has it served, or says why not. */
  async #admit(pending: PendingConnection): Promise<Refused | undefined> {
    const { client, ticket, tls, webSocket } = pending;
    const { acceptProxy } = this.#options;
    if (acceptProxy.has(client.address ?? "")) {
      const isOptional = webSocket !== undefined;
      const refused = await this.#shakeHands(client, () => client.readProxyHeader(isOptional));
      if (refused) return refused;
    }
    // The proxy that is still the client names its own one in the request.
    const isNamed = webSocket === undefined || !acceptProxy.has(client.address ?? "");
    let reason = isNamed ? this.#admission.admit(ticket, client.address) : undefined;
    if (reason) return { reason };
    if (tls) {
      const refused = await this.#shakeHands(client, async () => {
        pending.client = await tls.handshake(client);
        pending.canReceiveText = true;
      });
      if (refused) return refused;
    }
    if (webSocket) {
      const { client } = pending;
      const refused = await this.#shakeHands(client, () => this.#upgrade(pending, webSocket));
      if (refused) return refused;
    }
    pending.readyAtMs = performance.now();
    if (!isNamed) reason = this.#admission.admit(ticket, pending.client.address);
    if (reason) return { reason };
    const slot = this.#admission.requestSlot(ticket);
    if (slot !== true) {
      const reason = await this.#waitForSlot(pending, slot);
      if (reason) return { reason };
    }
    return await this.#context.serve(pending);
  }

  /** Opens the WebSocket of a client, which may ask for something else. */
  async #upgrade(
    pending: PendingConnection,
    { upgrader, ...context }: WebSocketRequest,
  ): Promise<Refused | undefined> {
    const result = await upgrader.upgrade(pending.client, context);
    if (!(result instanceof Connection)) {
      const { isPage, message, response } = result;
      return isPage
        ? { reason: "page", response }
        : { reason: "handshake", error: shorten(message, MAX_ERROR), response };
    }
    pending.client = result;
    pending.webSocket = undefined;
  }

  /**
   * Performs a handshake once the client begins it, within the time it has. A health check that
   * connects and closes without a byte is no error, and a client that is silent costs no handshake.
   */
  async #shakeHands(
    client: Connection,
    handshake: () => Promise<Refused | undefined | void>,
  ): Promise<Refused | undefined> {
    let refused: Refused | undefined;
    const aborted = Promise.withResolvers<void>();
    const abort = (error: string) => {
      refused = { reason: "handshake", error };
      client.close();
      aborted.resolve(); // whatever the handshake still waits for
    };
    const timer = setTimeout(abort, this.#options.handshakeTimeoutMs, "it took too long");
    this.#handshakes.add(abort);
    const settled = client.hasLeft().then(async (hasLeft) => {
      if (hasLeft) refused ??= { reason: "left" };
      else refused ??= await handshake() ?? undefined;
    }).catch((error) => refused ??= { reason: "handshake", error: messageOf(error) });
    await Promise.race([settled, aborted.promise]);
    this.#handshakes.delete(abort);
    clearTimeout(timer);
    return refused;
  }

  /** Waits for a slot; resolves to a reason if it gets none. */
  async #waitForSlot(
    { id, client, ticket }: PendingConnection,
    slot: false | Promise<boolean>,
  ): Promise<"busy" | "left" | undefined> {
    if (slot === false) return "busy";
    this.#context.log.info("waiting", { id, client: client.name });
    let hasLeft = false;
    const leave = () => {
      if (ticket.step !== "waiting") return;
      hasLeft = true;
      this.#admission.release(ticket);
    };
    client.hasLeft().then((left) => left && leave());
    const probing = setInterval(() => client.probe().catch(leave), PROBE_INTERVAL_MS);
    const isServed = await slot;
    clearInterval(probing);
    if (!isServed) return hasLeft ? "left" : "busy";
  }

  async #refuse(
    { id, client, canReceiveText, webSocket }: PendingConnection,
    { reason, error, response }: Refused,
  ): Promise<void> {
    const { log, observer } = this.#context;
    const facts = { id, client: client.name, error };
    if (reason === "failed") {
      this.failed++;
      log.warn("cannot start a child: the client is refused", facts);
      observer.refused({ id, reason, client: client.name });
    } else {
      this.refused[reason]++;
      if (reason === "left" || reason === "page") log.debug(reason, facts);
      else {
        log.warn("refused", { ...facts, reason });
        observer.refused({ id, reason, client: client.name });
      }
    }
    const hasAlert = reason === "handshake" && !canReceiveText;
    const isSilent = !response && (reason === "left" || reason === "handshake" || !canReceiveText);
    if (isSilent && !hasAlert || !this.#mayLinger) return client.close();
    if (this.#lingering.size >= MAX_LINGERING) {
      if (!response && !webSocket && client.hasHalfClose) return client.close();
      const [oldest] = this.#lingering; // it has been sent its own
      oldest!.close();
      this.#lingering.delete(oldest!);
    }
    this.#lingering.add(client);
    const ending = { reason, text: this.#options.refusal };
    try {
      if (response || isSilent) await client.closeAfter(response ?? NO_TEXT);
      else if (webSocket) await webSocket.upgrader.refuse(client, webSocket, ending);
      else await client.refuse(ending);
    } finally {
      client.close();
      this.#lingering.delete(client);
    }
  }
}
