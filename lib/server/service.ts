/**
 * The service: one handler at its addresses, with the acceptors, intake, sessions and children that
 * this takes, their change while it runs, and an orderly shutdown.
 *
 * It never waits for a client or a child in the accept loop: each connection is handled
 * concurrently with the others.
 *
 * @module
 */

import type { ChildBudget } from "../admission/child_budget.ts";
import {
  type AcceptedConnection,
  Intake,
  type IntakeOptions,
  type Refused,
} from "../admission/intake.ts";
import type { Logger } from "../base/log.ts";
import { TerminalFact } from "../base/logfmt.ts";
import type { Observer } from "../base/observer.ts";
import { settlesWithin } from "../base/settles_within.ts";
import { Children } from "../child/children.ts";
import { wordsOf } from "../child/handler.ts";
import type { SpawnPace } from "../child/spawn_pace.ts";
import type { Exit } from "../child/worker.ts";
import type { Connection } from "../net/connection.ts";
import { parseListenAddress } from "../net/listen_address.ts";
import type { WebSocketEndpoint } from "../web/upgrade.ts";
import type { Acceptor, Target } from "./acceptor.ts";
import type { Prepared } from "./preparation.ts";
import { type ConnectionStatus, nonZero, type ServerStatus } from "./server_status.ts";
import { Sessions } from "./sessions.ts";

/** What a service has in common with others, or is given by the one who starts it. */
export interface ServiceContext {
  readonly log: Logger;
  readonly observer: Observer;
  /** The children that all services may have together. */
  readonly budget: ChildBudget;
  /** The pace at which all services spawn. */
  readonly pace: SpawnPace;
  /** Whether it serves one client only, and then shuts down. */
  readonly once: boolean;
}

/** One service. */
export class Service implements Target {
  /** Resolves when it has shut down; to `false` if connections had to be cut. Never rejects. */
  readonly finished: Promise<boolean>;

  /** The log of what happens to it. */
  readonly log: Logger;
  readonly #intake: Intake;
  readonly #children: Children;
  readonly #sessions: Sessions;
  /** Every accepted connection that has not been closed, from its handshake on. */
  readonly #connections = new Set<Promise<void>>();
  readonly #finish = Promise.withResolvers<boolean>();
  readonly #killed = Promise.withResolvers<void>();
  #prepared: Prepared;
  #acceptors: readonly Acceptor[] = [];
  /** Acceptors that it gave up, until they have closed. */
  readonly #closing = new Set<Acceptor>();
  #isClosing = false;
  /** Connections that were cut before they had a session. */
  #cancelled = 0;

  /** Accepts nothing until it is started. */
  constructor(prepared: Prepared, context: ServiceContext) {
    const { log, observer, budget, pace, once } = context;
    const { settings, launch } = this.#prepared = prepared;
    this.log = log;
    this.#children = new Children(settings, launch, { log, observer, pace });
    this.#sessions = new Sessions(settings, { children: this.#children, log, observer });
    this.#intake = new Intake(intakeOptionsOf(prepared), {
      log,
      observer,
      budget,
      serve: (accepted) => once ? this.#serveOnce(accepted) : this.#sessions.serve(accepted),
    });
    this.finished = this.#finish.promise;
  }

  /**
   * Starts the first warm children.
   *
   * @throws {HandlerError} The first one could not be started.
   */
  warmUp(): void {
    this.#children.start();
  }

  /** Ends what has been started, before it accepts. */
  abandon(): void {
    this.#intake.close();
    this.#children.close();
  }

  /** Accepts from now on. */
  start(acceptors: readonly Acceptor[]): void {
    const { handler, warm } = this.#prepared.settings;
    this.#warn();
    this.#acceptWith(acceptors);
    this.log.info("listening", {
      address: this.addresses.join(" "),
      handler: new TerminalFact(wordsOf(handler), handler.name),
      warm,
      pid: Deno.pid,
    });
  }

  /** Whether nothing more should be accepted. */
  get isFull(): boolean {
    return this.#intake.isFull;
  }

  /** Resolves when it is not full. */
  capacity(): Promise<void> {
    return this.#intake.capacity();
  }

  /** Takes a client that an acceptor has accepted. */
  handle(client: Connection, endpoint?: WebSocketEndpoint): void {
    const handling = this.#intake.handle(client, endpoint)
      .finally(() => this.#connections.delete(handling));
    this.#connections.add(handling);
  }

  /** Where it listens: `ip:port`, `unix:path`, or one of these after `ws://` or `wss://`. */
  get addresses(): string[] {
    const hasTls = this.#prepared.tls !== undefined;
    return this.#acceptors.map(({ name }) =>
      hasTls ? name.replace(/^ws:(?!\/\/unix:)/, "wss:") : name
    );
  }

  /** Where a browser on this machine gets the console. */
  get pages(): string[] {
    if (!this.#prepared.settings.page) return [];
    return this.addresses.filter((address) => /^wss?:\/\/(?!unix:|fd:)/.test(address))
      .map((address) =>
        address.replace("ws", "http").replace(/\/\/(?:0\.0\.0\.0|\[::\]):/, "//localhost:")
      );
  }

  /** What it runs with. */
  get prepared(): Prepared {
    return this.#prepared;
  }

  /** Its acceptors; empty until it is started. */
  get acceptors(): readonly Acceptor[] {
    return this.#acceptors;
  }

  /** Those of its acceptors that are about to close. */
  get closing(): readonly Acceptor[] {
    return [...this.#closing, ...(this.#isClosing ? this.#acceptors : [])];
  }

  /** How the child of the last connection to end did. */
  get lastExit(): Exit | undefined {
    return this.#sessions.lastExit;
  }

  /** How many connections it serves. */
  get active(): number {
    return this.#sessions.active;
  }

  /** Its numbers now. */
  status(): ServerStatus {
    const { accepted, waiting, ended, failed, refused } = this.#intake;
    const { maxConnections, queue, warm } = this.#prepared.settings;
    const bytes = this.#sessions.bytes;
    return {
      accepted,
      active: this.#sessions.active,
      waiting,
      ended,
      endReasons: { ...this.#sessions.endReasons },
      failed,
      refused: { ...refused },
      warm: this.#children.warm,
      spawned: this.#children.spawned,
      spawnFailures: this.#children.spawnFailures,
      exits: { ...this.#children.exits },
      failing: this.#sessions.areFailing,
      killed: { ...this.#children.killed },
      limits: { connections: maxConnections, queue, warm },
      bytesIn: bytes.in,
      bytesOut: bytes.out,
    };
  }

  /** Logs its numbers on one line. */
  logStatus(): void {
    const { refused, endReasons, killed, ...facts } = this.status();
    const { exits: _, failing: __, limits: ___, ...numbers } = facts;
    const reasons = { ...nonZero(refused), ...nonZero(endReasons), ...nonZero(killed) };
    this.log.info("status", { ...numbers, ...reasons });
  }

  /** The connections being served, oldest first. */
  connections(): ConnectionStatus[] {
    return this.#sessions.status();
  }

  /** The process ids of its children, warm ones too. */
  get pids(): number[] {
    return this.#children.pids;
  }

  /** The handler's name, as in the log. */
  get handler(): string {
    return this.#prepared.settings.handler.name;
  }

  /** Whether it is shutting down or has shut down. */
  get isDraining(): boolean {
    return this.#isClosing;
  }

  /** Whether a client that connects now would be served or queued. */
  get isReady(): boolean {
    return !this.#isClosing && this.#intake.hasCapacity && !this.#children.isFailing &&
      this.#acceptors.every(({ listener }) => listener.isAccepting);
  }

  /**
   * Serves as it is told here from now on; connections that are being served go on as they began.
   * The warm children are replaced.
   *
   * @param gone The acceptors to close. Others that it no longer has are another server's.
   */
  update(
    prepared: Prepared,
    acceptors: readonly Acceptor[],
    gone: readonly Acceptor[] = [],
  ): void {
    const isNew = prepared !== this.#prepared;
    this.#prepared = prepared;
    if (isNew) this.#warn();
    this.#intake.update(intakeOptionsOf(prepared));
    this.#sessions.update(prepared.settings);
    this.#children.update(prepared.settings, prepared.launch);
    this.#acceptWith(acceptors);
    for (const acceptor of gone) {
      this.#closing.add(acceptor);
      acceptor.close({ mayReopen: true });
      acceptor.finished.then(() => this.#closing.delete(acceptor));
    }
  }

  /**
   * Stops accepting, lets open connections go on for up to `drainTimeoutMs`, then refuses those that
   * wait and stops the remaining children by the stop ladder. Resolves when no child is left; to
   * `false` if connections had to be cut.
   */
  shutdown(): Promise<boolean> {
    if (!this.#isClosing) {
      this.#isClosing = true;
      for (const acceptor of this.#acceptors) acceptor.close();
      this.#intake.drain();
      this.#drain().then(this.#finish.resolve);
    }
    return this.finished;
  }

  /** Shuts down immediately: kills every child, cuts every connection. Resolves as `shutdown()`. */
  kill(): Promise<boolean> {
    this.shutdown();
    for (const { listener } of [...this.#acceptors, ...this.#closing]) listener.closeNow();
    this.#killAll();
    this.#killed.resolve();
    return this.finished;
  }

  /** Says what of the settings deserves it. */
  #warn(): void {
    for (const [message, facts] of this.#prepared.warnings) this.log.warn(message, facts ?? {});
  }

  /** Accepts by these, one for each of its addresses. */
  #acceptWith(acceptors: readonly Acceptor[]): void {
    this.#acceptors = acceptors;
    const { settings: { listen }, upgrader } = this.#prepared;
    acceptors.forEach((acceptor, index) => {
      const { webSocketPath: path } = parseListenAddress(listen[index]!)!;
      acceptor.acceptFor(this, path === undefined ? undefined : { upgrader: upgrader!, path });
    });
  }

  /** Serves the first client that gets a child, or for which none can be started, and shuts down. */
  async #serveOnce(accepted: AcceptedConnection): Promise<Refused | undefined> {
    if (this.#isClosing) return { reason: "busy" };
    const refused = await this.#sessions.serve(accepted);
    if (refused?.reason !== "left") this.shutdown();
    return refused;
  }

  async #drain(): Promise<boolean> {
    // The listeners accept what the kernel has completed, then close.
    await Promise.all([...this.#acceptors, ...this.#closing].map(({ finished }) => finished));
    const { drainTimeoutMs } = this.#prepared.settings;
    const [active, waiting] = [this.#sessions.active, this.#intake.waiting];
    const timeout = active + waiting > 0 ? drainTimeoutMs / 1000 : undefined;
    this.log.info("draining", { active, waiting, timeout });
    const warm = this.#children.close();
    const allEnded = Promise.allSettled(this.#connections);
    const killed = this.#killed.promise.then(() => "killed" as const);
    if (!await settlesWithin(Promise.race([allEnded, killed]), drainTimeoutMs)) {
      this.#cutAll("drain-timeout");
    }
    if (await Promise.race([allEnded, killed]) === "killed") this.#killAll(); // and what came since
    await allEnded;
    await warm;
    this.#intake.close();
    const { accepted, ended, failed, refused } = this.status();
    const cut = this.#sessions.cut + this.#cancelled;
    this.log.info("stopped", { accepted, ended, failed, ...nonZero(refused), cut });
    return cut === 0;
  }

  /** Ends every connection and every child, without another word. */
  #killAll(): void {
    this.#intake.stopLingering();
    this.#cutAll("killed");
    this.#children.kill();
  }

  /** Ends every connection, served or not. */
  #cutAll(reason: "drain-timeout" | "killed"): void {
    this.#cancelled += this.#intake.cancelPending();
    this.#sessions.stop(reason);
  }
}

function intakeOptionsOf({ settings, networks, tls }: Prepared): IntakeOptions {
  return { ...settings, ...networks, tls };
}
