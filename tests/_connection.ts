/**
 * Connections without a socket.
 *
 * @module
 */

import { Connection } from "../lib/net/connection.ts";

/** A connection whose client sends these pieces, each at once, and then ends its input. */
export function connectionOf(...pieces: (string | Uint8Array)[]): Connection {
  const encoder = new TextEncoder();
  const left = pieces.map((piece) => typeof piece === "string" ? encoder.encode(piece) : piece);
  return new Connection({
    read(buffer) {
      if (left.length === 0) return Promise.resolve(null);
      const part = left[0]!.subarray(0, buffer.length);
      buffer.set(part);
      left[0] = left[0]!.subarray(part.length);
      if (left[0].length === 0) left.shift();
      return Promise.resolve(part.length);
    },
    write: ({ length }) => Promise.resolve(length),
    closeWrite: () => Promise.resolve(),
    close: () => {},
  }, {});
}
