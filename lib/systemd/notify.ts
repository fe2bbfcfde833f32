/**
 * Notifications to the service manager that has started the server: that it listens, reloads, stops,
 * and is alive (systemd: sd_notify(3)).
 *
 * They come from the server's own process, so `NotifyAccess=main` suffices. The service manager may be
 * slow, gone or hung: nothing here waits for it, and what it does not take is dropped.
 *
 * @module
 */

import { log, RECOVERIES } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { readVariable } from "../base/variable.ts";

/** How many messages may wait; a service manager that reads none of them needs no more. */
const MAX_QUEUED = 16;

const encoder = new TextEncoder();

/** The notifications of one server. */
export class Notifier implements Disposable {
  readonly #socket: Deno.DatagramConn;
  readonly #to: Deno.UnixAddr;
  readonly #describe: () => string;
  readonly #watchdogTimer: ReturnType<typeof setInterval> | undefined;
  readonly #queue: string[] = [];
  #isSending = false;
  #hasFailed = false;
  #reloads = 0;
  #isStopping = false;

  private constructor(socket: Deno.DatagramConn, path: string, describe: () => string) {
    this.#socket = socket;
    this.#to = { transport: "unixpacket", path };
    this.#describe = describe;
    const watchdogMs = readWatchdogMs();
    if (watchdogMs !== undefined) {
      // A timer of the event loop, so that a server that hangs is restarted.
      this.#watchdogTimer = setInterval(() => this.#watchdog(), watchdogMs / 2);
    }
  }

  /**
   * Opens the way to the socket in NOTIFY_SOCKET. Returns `undefined`, and warns, if Deno does not
   * allow that.
   *
   * @param describe Describes on one line what the server does; shown by `systemctl status`.
   */
  static open(describe: () => string): Notifier | undefined {
    const name = readVariable("NOTIFY_SOCKET");
    if (!name) return undefined;
    try {
      // Deno has unnamed sockets only with all permissions; a random name cannot be taken already.
      const local = `\0spawnd-${crypto.randomUUID()}`;
      const path = name.replace(/^@/, "\0"); // an abstract name, as in unix(7)
      const missing = missingFlags(path);
      if (missing.length > 0) throw new Error(`Deno does not allow it: add ${missing.join(" ")}`);
      const socket = Deno.listenDatagram({ transport: "unixpacket", path: local });
      return new Notifier(socket, path, describe);
    } catch (error) {
      log.warn("cannot notify the service manager", { error: messageOf(error) });
      return undefined;
    }
  }

  /** Says that the server listens. */
  ready(): void {
    if (!this.#isStopping) this.#send("READY=1", this.#status);
  }

  /** Says that the server reloads until `reload` is done; of several at once, the last. */
  async reload(reload: () => Promise<void>): Promise<void> {
    if (!this.#isStopping) this.#send("RELOADING=1", ...monotonicTime(), "STATUS=reloading");
    this.#reloads++;
    try {
      await reload();
    } finally {
      if (--this.#reloads === 0) this.ready();
    }
  }

  /** Says that the server has begun to stop. */
  stopping(): void {
    this.#isStopping = true;
    this.#send("STOPPING=1", this.#status);
  }

  /** Says nothing more. */
  [Symbol.dispose](): void {
    clearInterval(this.#watchdogTimer);
    this.#socket.close();
  }

  get #status(): string {
    return `STATUS=${this.#describe()}`;
  }

  /** Says that the event loop turns; the status costs no message of its own. */
  #watchdog(): void {
    if (!this.#isSending) this.#send("WATCHDOG=1", ...(this.#reloads > 0 ? [] : [this.#status]));
  }

  #send(...assignments: string[]): void {
    if (this.#queue.length < MAX_QUEUED) this.#queue.push(assignments.join("\n"));
    if (!this.#isSending) this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true; // one after the other: a second send would be refused (Deno 2.9.6)
    for (let message; (message = this.#queue.shift()) !== undefined;) {
      try {
        await this.#socket.send(encoder.encode(message), this.#to);
        if (this.#hasFailed) log.info(RECOVERIES.notify);
        this.#hasFailed = false;
      } catch (error) {
        if (!this.#hasFailed) {
          log.warn("cannot notify the service manager", { error: messageOf(error) });
        }
        this.#hasFailed = true;
      }
    }
    this.#isSending = false;
  }
}

/** The flags of Deno that a message to this socket takes and that were not given. */
function missingFlags(path: string): string[] {
  const isGranted = (permission: Deno.PermissionDescriptor) =>
    Deno.permissions.querySync(permission).state === "granted";
  return [
    // A list cannot have an abstract name (Deno 2.9.6).
    ...(isGranted({ name: "net" }) ? [] : ["--allow-net"]),
    ...(path.startsWith("\0") || isGranted({ name: "write", path })
      ? []
      : [`--allow-write=${path}`]),
    ...(Deno.listenDatagram === undefined ? ["--unstable-net"] : []), // deno.json has it
  ];
}

/** How often a sign of life is expected, in milliseconds; `undefined` if none is, or not of ours. */
function readWatchdogMs(): number | undefined {
  const pid = readVariable("WATCHDOG_PID");
  if (pid && Number(pid) !== Deno.pid) return undefined;
  const usec = Number(readVariable("WATCHDOG_USEC"));
  // More often would be a load, and a longer delay than a timer can have ends at once.
  return usec > 0 ? Math.min(Math.max(usec / 1000, 20), 2 ** 31 - 1) : undefined;
}

/**
 * The time of CLOCK_MONOTONIC, by which `Type=notify-reload` tells a reload from an earlier one. Deno
 * has no such clock. The system's uptime is never behind it: it counts suspended time too, and comes
 * in whole seconds, rounded up (sysinfo(2)). systemd only asks for a time after it sent the signal.
 */
function monotonicTime(): string[] {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "osUptime" });
  return state === "granted" ? [`MONOTONIC_USEC=${Deno.osUptime() * 1_000_000}`] : [];
}
