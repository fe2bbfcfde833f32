/**
 * The counter service for one client, the handler spawnd has when none is named: read a message of
 * up to 256 bytes from stdin, answer it with one numbered block on stdout, until the input ends.
 *
 * One client a process needs no event loop, so every call here blocks. Two small files are
 * imported and nothing else: what is loaded here is paid for by every single connection.
 *
 * @module
 */

import { BLOCK_BYTES, counterBlock } from "./lib/child/counter.ts";
import { quote } from "./lib/base/quote.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Writes all of `bytes` to stdout; a blocking write may still be a partial one. */
function reply(bytes: Uint8Array): void {
  while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}

/** One line about a message; of what came from the network a beginning is shown, quoted. */
function describe(message: Uint8Array): Uint8Array {
  const text = decoder.decode(message);
  const shown = [...text].slice(0, 60).join("");
  const more = shown.length < text.length ? "…" : "";
  return encoder.encode(
    `child ${Deno.pid} received ${message.length} bytes: ${quote(shown)}${more}\n`,
  );
}

function report(line: Uint8Array): void {
  try {
    Deno.stderr.writeSync(line);
  } catch {
    // Nobody reads the log any more: the client is served all the same.
  }
}

function serve(quiet: boolean): void {
  const buffer = new Uint8Array(BLOCK_BYTES);
  // What is used for the first time takes long, up to half a millisecond here: better now, while no
  // client waits.
  const nothing = buffer.subarray(0, 0);
  Deno.stdin.readSync(nothing);
  Deno.stdout.writeSync(nothing);
  counterBlock(0);
  if (!quiet) describe(buffer);
  for (let index = 0;; index++) {
    const length = Deno.stdin.readSync(buffer);
    if (length === null) return;
    reply(counterBlock(index)); // first: nobody should wait for a log
    if (!quiet) report(describe(buffer.subarray(0, length)));
  }
}

try {
  serve(Deno.args.includes("--quiet"));
} catch (error) {
  // Deno ignores SIGPIPE, so a reader that has gone is an exception (seen on 2.9): it is the end.
  if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
}
// Saves the runtime's orderly shutdown: there is nothing left to shut down.
Deno.exit(0);
