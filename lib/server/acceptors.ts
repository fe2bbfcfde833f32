/**
 * The acceptors of all services: those that are open are kept, the others are opened. When one cannot
 * be, none is.
 *
 * @module
 */

import { Listener, ListenError } from "../net/listener.ts";
import { parseListenAddress } from "../net/listen_address.ts";
import { Acceptor } from "./acceptor.ts";
import { ServicesError } from "./services_error.ts";
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
    for (const address of settings.listen) {
      const key = keyOf(address, settings);
      const isAnyPort = address.endsWith(":0"); // of which a service only has its own
      const candidates = isAnyPort ? open.get(name) ?? [] : [...free];
      let acceptor = candidates.find((one) => one.key === key && free.has(one));
      if (acceptor === undefined) {
        try {
          const listener = await Listener.open(parseListenAddress(address)!, settings);
          acceptor = new Acceptor(listener, key);
          opened.push(acceptor);
        } catch (error) {
          const { message } = error as ListenError;
          const holder = message.includes("in use") &&
            holderOf(address, [...holdersIn(open), ...holdersIn(found), ...others]);
          errors.push(holder ? new ListenError(address, holder) : error as ListenError);
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

/** Two sockets are the same if they were opened for the same address with the same options. */
function keyOf(address: string, { backlog, reusePort, keepAlive }: Settings): string {
  return JSON.stringify([address, backlog, reusePort, keepAlive]);
}

/** Who listens where, by what it is. */
function holdersIn(acceptors: Acceptors): [string, Deno.Addr][] {
  return [...acceptors].flatMap(([name, list]) =>
    list.map(({ listener }): [string, Deno.Addr] => [
      name === "" ? "this server" : `the service ${name}`,
      listener.addr,
    ])
  );
}

/** Which of these holds an address that could not be opened, and what to do about it. */
function holderOf(address: string, holders: readonly [string, Deno.Addr][]): string | undefined {
  const wanted = parseListenAddress(address)!;
  for (const [name, addr] of holders) {
    const isHeld = wanted.transport === "unix"
      ? "path" in addr && addr.path === wanted.path
      : wanted.transport === "tcp" && "port" in addr && addr.port === wanted.port;
    if (isHeld) {
      return `${name} listens there. Choose another address; other options of the same one take a restart`;
    }
  }
}
