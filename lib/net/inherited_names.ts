/**
 * The names of inherited sockets: systemd gives each one a name (`FileDescriptorName=` of
 * systemd.socket(5)), by default that of its unit, and says them in `LISTEN_FDNAMES`
 * (sd_listen_fds(3)). A unit with several addresses gives all of them one name.
 *
 * @module
 */

import type { ListenAddress } from "./listen_address.ts";
import { ListenError } from "./listen_error.ts";

/** The first inherited socket (SD_LISTEN_FDS_START). */
export const FIRST_FD = 3;

const VARIABLE = "LISTEN_FDNAMES";

/**
 * The addresses to open for one: the descriptors of all sockets that have the name of an `fd:name`,
 * any other address itself. A name needs `--allow-env=LISTEN_FDNAMES`.
 *
 * @throws {ListenError} The names may not be read, or no socket has this one.
 */
export function resolveListenAddress(address: ListenAddress): ListenAddress[] {
  if (address.transport !== "fd" || typeof address.fd === "number") return [address];
  const name = address.fd;
  if (Deno.permissions.querySync({ name: "env", variable: VARIABLE }).state !== "granted") {
    throw new ListenError(
      `fd:${name}`,
      `Deno does not allow reading the names of sockets. Add --allow-env=${VARIABLE}, ` +
        `or pass the number, such as fd:${FIRST_FD}`,
    );
  }
  const names = Deno.env.get(VARIABLE)?.split(":") ?? [];
  const found = names.flatMap((other, index) =>
    other === name ? [{ ...address, fd: FIRST_FD + index }] : []
  );
  if (found.length > 0) return found;
  throw new ListenError(
    `fd:${name}`,
    names.length === 0
      ? `no names were passed in ${VARIABLE}. Pass the number, such as fd:${FIRST_FD}`
      : `no socket has that name. There is ${[...new Set(names)].join(", ")}`,
  );
}
