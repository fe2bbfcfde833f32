/**
 * The counter service for one client, spawnd's default handler: reads messages of up to 256 bytes
 * from stdin and answers each with one numbered block on stdout, until end of input.
 *
 * One client per process needs no event loop, so every call here blocks. Import nothing beyond the
 * two small files below: every connection pays for what is loaded here.
 *
 * @module
 */

import { BLOCK_BYTES, counterBlock } from "./lib/child/counter.ts";
import { quote } from "./lib/base/quote.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Writes all of `bytes` to stdout; even a blocking write may be partial. */
function reply(bytes: Uint8Array): void {
  while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}

/** The log line for a message: its length and its first 60 characters, quoted. */
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
    // stderr has no reader any more; keep serving the client.
  }
}

function serve(quiet: boolean): void {
  const buffer = new Uint8Array(BLOCK_BYTES);
  // The first use of each function is slow, up to half a millisecond in all. Pay for it now, while
  // no client is waiting.
  const empty = buffer.subarray(0, 0);
  Deno.stdin.readSync(empty);
  Deno.stdout.writeSync(empty);
  counterBlock(0);
  if (!quiet) describe(buffer);
  for (let index = 0;; index++) {
    const length = Deno.stdin.readSync(buffer);
    if (length === null) return;
    reply(counterBlock(index)); // first: a client must not wait for the log
    if (!quiet) report(describe(buffer.subarray(0, length)));
  }
}

try {
  serve(Deno.args.includes("--quiet"));
} catch (error) {
  // Deno ignores SIGPIPE, so writing without a reader throws (seen on 2.9). That is a normal end.
  if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
}
// Skips the runtime's orderly shutdown: there is nothing to clean up.
Deno.exit(0);
