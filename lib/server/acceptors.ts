/**
 * The acceptors of all services: those that are open are kept, the others are opened. When one cannot
 * be, none is.
 *
 * @module
 */

import { Listener, ListenError } from "../net/listener.ts";
import {
  formatSocket,
  type ListenAddress,
  overlap,
  parseListenAddress,
} from "../net/listen_address.ts";
import { Acceptor } from "./acceptor.ts";
import { ServicesError, withName } from "./services_error.ts";
import type { Settings } from "./settings.ts";

/** The acceptors of each service, by its name. */
export type Acceptors = ReadonlyMap<string, readonly Acceptor[]>;

/**
 * Finds or opens an acceptor for every address. One that is open goes to whichever service now has
 * its address.
 *
 * @param wanted The settings of each service, by its name.
 * @param open The acceptors there are.
 * @param others What else of this process listens, by what it is.
 * @throws {ServicesError} An address cannot be listened on; nothing has been opened then.
 */
export async function openAcceptors(
  wanted: ReadonlyMap<string, Settings>,
  open: Acceptors = new Map(),
  others: ReadonlyMap<string, Deno.Addr> = new Map(),
): Promise<Acceptors> {
  const free = new Set([...open.values()].flat());
  const found = new Map<string, Acceptor[]>();
  const opened: Acceptor[] = [];
  const errors: Error[] = [];
  for (const [name, settings] of wanted) {
    const acceptors: Acceptor[] = [];
    found.set(name, acceptors);
    for (const text of settings.listen) {
      const address = formatSocket(parseListenAddress(text)!);
      const key = keyOf(address, settings);
      // A service only has its own of those.
      const candidates = isAnyPort(address) ? open.get(name) ?? [] : [...free];
      let acceptor = candidates.find((one) => one.key === key && free.has(one));
      if (acceptor === undefined) {
        try {
          const obstacle = obstacleIn(open, address, UNTIL_CLOSED) ??
            obstacleIn(found, address, "") ?? obstacleAmong(others, address);
          if (obstacle !== undefined) throw new ListenError(address, obstacle);
          const listener = await Listener.open(parseListenAddress(address)!, settings);
          acceptor = new Acceptor(listener, address, key);
          opened.push(acceptor);
        } catch (error) {
          errors.push(withName(name, error));
          continue;
        }
      }
      free.delete(acceptor);
      acceptors.push(acceptor);
    }
  }
  if (errors.length === 0) return found;
  for (const { listener } of opened) listener.closeNow();
  throw new ServicesError(errors);
}

const UNTIL_CLOSED = ", or reload without that one first";

/** Two sockets are the same if they were opened for the same address with the same options. */
function keyOf(address: string, { backlog, reusePort, keepAlive }: Settings): string {
  return JSON.stringify([address, backlog, reusePort, keepAlive]);
}

/** What of these is in the way of an address, and what to do about it. */
function obstacleIn(acceptors: Acceptors, address: string, advice: string): string | undefined {
  for (const [name, list] of acceptors) {
    for (const { address: open, listener: { addr, name: at } } of list) {
      if (advice === UNTIL_CLOSED && open === address && !isAnyPort(address)) {
        return "its backlog, reuse-port and no-keepalive stay while it is open. Restart the server";
      }
      if (!isInTheWay(addr, address)) continue;
      const service = name === "" ? "this server" : `the service ${name}`;
      return `${service} listens on ${at}. Choose another address${advice}`;
    }
  }
}

/** The same, of what else listens. */
function obstacleAmong(
  others: ReadonlyMap<string, Deno.Addr>,
  address: string,
): string | undefined {
  for (const [name, addr] of others) {
    if (isInTheWay(addr, address)) return `${name} listens there. Choose another address`;
  }
}

/** Whether an address takes a free port, each time it is opened another one. */
function isAnyPort(address: string): boolean {
  const parsed = parseListenAddress(address)!;
  return parsed.transport === "tcp" && parsed.port === 0;
}

function isInTheWay(addr: Deno.Addr, address: string): boolean {
  const open = addr.transport === "unix" || addr.transport === "tcp" ? addr : undefined;
  return open !== undefined && overlap(open as ListenAddress, parseListenAddress(address)!);
}
