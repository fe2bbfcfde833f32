/**
 * The counter service for one client, the handler spawnd has when none is named: read a message of
 * up to 256 bytes from stdin, answer it with one numbered block on stdout, until the input ends.
 *
 * One client a process needs no event loop, so every call here blocks. Nothing is imported but the
 * block itself: what is loaded here is paid for by every single connection.
 *
 * @module
 */

import { BLOCK_BYTES, counterBlock } from "./lib/counter.ts";
import { quote } from "./lib/quote.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Writes all of `bytes` to stdout; a blocking write may still be a partial one. */
function reply(bytes: Uint8Array): void {
  while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}

/** One line on stderr; of what came from the network a beginning is shown, quoted. */
function report(message: Uint8Array): void {
  const text = decoder.decode(message);
  const shown = [...text].slice(0, 60).join("");
  const more = shown.length < text.length ? "…" : "";
  const line = `child ${Deno.pid} received ${message.length} bytes: ${quote(shown)}${more}\n`;
  try {
    Deno.stderr.writeSync(encoder.encode(line));
  } catch {
    // Nobody reads the log any more: the client is served all the same.
  }
}

function serve(quiet: boolean): void {
  const buffer = new Uint8Array(BLOCK_BYTES);
  for (let index = 0;; index++) {
    const length = Deno.stdin.readSync(buffer);
    if (length === null) return;
    if (!quiet) report(buffer.subarray(0, length));
    reply(counterBlock(index));
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
