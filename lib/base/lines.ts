/**
 * The lines of a byte stream that cannot be trusted to have any. (`TextLineStream` of the standard
 * library keeps a line in memory until its end comes, and here it may never come.)
 *
 * @module
 */

/** What has no end after this many characters is passed on as if it had. */
const LONGEST_LINE = 4096;

/** The lines in `stream`, without their ends; the last one need not have an end. */
export async function* lines(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split(/\r?\n/);
    rest = parts.pop()!;
    yield* parts;
    if (rest.length >= LONGEST_LINE) {
      yield rest;
      rest = "";
    }
  }
  if (rest !== "") yield rest;
}
