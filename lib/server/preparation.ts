/**
 * The preparation of a server: everything that its settings need read, looked up or checked, before
 * anything is changed. So a start or a reload either has all it needs, or leaves everything as it is.
 *
 * @module
 */

import type { Logger } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import type { Warning } from "../base/warning.ts";
import { checkChildren } from "../child/children.ts";
import type { Launch } from "../child/launch.ts";
import { Networks } from "../net/address.ts";
import { resolveListenAddress } from "../net/inherited_names.ts";
import { formatListenAddress, parseListenAddress } from "../net/listen_address.ts";
import { ListenError } from "../net/listener.ts";
import type { Tls } from "../net/tls.ts";
import type { Upgrader } from "../web/upgrade.ts";
import { type Settings, warningsOf } from "./settings.ts";

/** The options that are sets of networks. */
type NetworkOption = "acceptProxy" | "allow" | "deny" | "exempt";

/** What a server runs with. */
export interface Prepared {
  readonly settings: Settings;
  readonly networks: Readonly<Record<NetworkOption, Networks>>;
  readonly launch: Launch;
  /** What of the settings, the launch and the certificates deserves a warning. */
  readonly warnings: readonly Warning[];
  /** How many descriptors the server may have, where that is known. */
  readonly descriptors: number | undefined;
  readonly tls: Tls | undefined;
  /** What opens WebSockets, if any of its addresses is for them. */
  readonly upgrader: Upgrader | undefined;
}

/** Options for {@linkcode prepare}. */
export interface PrepareOptions {
  /** What the service runs with so far, if it does. */
  readonly old: Prepared | undefined;
  /** The log of the service. */
  readonly log: Logger;
  /** Ends the preparation. */
  readonly signal: AbortSignal | undefined;
}

/**
 * Prepares everything but the listeners.
 *
 * @throws {HandlerError} The program or module does not exist or cannot be started.
 * @throws {ListenError} The TLS files are invalid.
 */
export async function prepare(
  settings: Settings,
  { old, log, signal }: PrepareOptions,
): Promise<Prepared> {
  const networks = {
    acceptProxy: await Networks.of(settings.acceptProxy),
    allow: await Networks.of(settings.allow),
    deny: await Networks.of(settings.deny),
    exempt: await Networks.of(settings.exempt),
  };
  const { launch, warnings, descriptors } = await checkChildren(settings, { signal, log });
  const tls = await openTls(settings, old?.tls);
  const upgrader = await openUpgrader(settings, log);
  signal?.throwIfAborted();
  return {
    settings,
    networks,
    launch,
    warnings: [
      ...[...warningsOf(settings), ...warnings].map((message): Warning => [message]),
      ...tls?.warnings ?? [],
    ],
    descriptors,
    tls,
    upgrader,
  };
}

/**
 * The same settings, with the numbers of inherited sockets in place of their names. From then on no
 * child gets these sockets.
 *
 * @throws {ListenError} There is no such socket.
 */
export async function withDescriptors(settings: Settings): Promise<Settings> {
  const listen = settings.listen.flatMap((text) => resolveListenAddress(parseListenAddress(text)!));
  for (const address of listen) {
    if (address.transport !== "fd") continue;
    const { takeSocket } = await import("../net/inherited_sockets.ts");
    await takeSocket(address.fd);
  }
  return { ...settings, listen: listen.map(formatListenAddress) };
}

async function openTls(settings: Settings, old: Tls | undefined): Promise<Tls | undefined> {
  if (settings.cert.length === 0) return undefined;
  const { Tls } = await import("../net/tls.ts");
  try {
    return new Tls(settings, old);
  } catch (error) {
    throw new ListenError(settings.listen.join(" and "), messageOf(error), "speak TLS");
  }
}

async function openUpgrader(settings: Settings, log: Logger): Promise<Upgrader | undefined> {
  const { listen, wsMode, wsProtocol, origin, page, wsMaxMessageBytes, wsPingMs } = settings;
  if (!listen.some((text) => parseListenAddress(text)!.webSocketPath)) return undefined;
  const { Upgrader } = await import("../web/upgrade.ts");
  return new Upgrader({
    mode: wsMode,
    protocols: wsProtocol,
    origins: origin,
    hasPage: page,
    maxMessageBytes: wsMaxMessageBytes,
    pingMs: wsPingMs,
    log,
  });
}
