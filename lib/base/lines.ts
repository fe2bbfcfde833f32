/**
 * Splits an untrusted byte stream into lines, in bounded memory. (The standard library's
 * `TextLineStream` buffers a line until its end, which here may never come.)
 *
 * @module
 */

import { isTurnDue, nextTurn } from "./event_loop.ts";

/** A line that reaches this many characters without an end is passed on as it is. */
const MAX_LINE_LENGTH = 4096;

/**
 * Yields the lines of `stream` without line endings; the last line may lack one.
 *
 * @param signal Closes the stream; the generator then throws the signal's reason.
 */
export async function* lines(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal?: AbortSignal,
): AsyncGenerator<string> {
  let partial = "";
  for await (
    const text of stream.pipeThrough(new TextDecoderStream(), { ...(signal && { signal }) })
  ) {
    const complete = (partial + text).split(/\r?\n/);
    partial = complete.pop()!;
    for (const line of complete) {
      yield line;
      if (isTurnDue()) await nextTurn();
    }
    if (partial.length >= MAX_LINE_LENGTH) {
      yield partial;
      partial = "";
    }
  }
  if (partial !== "") yield partial;
}
