/**
 * The relay: carries bytes between two endpoints, with one pump for each direction. This file must
 * know neither processes nor sockets, which look the same from here, and must make no decisions: a
 * pump runs until it cannot continue and reports what stopped it.
 *
 * A pump reads again only after the sink has taken its last chunk. So a slow receiver slows its
 * sender down (backpressure), and memory use stays at one buffer per direction.
 *
 * @module
 */

import { isTurnDue, nextTurn } from "./event_loop.ts";

/** Where bytes come from. */
export interface Source {
  /**
   * Waits for bytes and reads them into `buffer`, which belongs to the source until the promise
   * settles. Resolves with a view of the bytes read, or with `null` at end of input. The view may
   * be of another `ArrayBuffer` of the same size: a byte stream transfers the buffer it is given,
   * which detaches it.
   */
  read(buffer: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | null>;
}

/** Where bytes go. */
export interface Sink {
  /** Resolves when all of `bytes` have been taken and their memory may be reused. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Signals that no more bytes will come (half-close). The other direction stays open. */
  closeWrite(): Promise<void>;
}

/** One side of a relay: a client's socket, or a child's stdin and stdout. */
export interface Endpoint extends Source, Sink {}

/** The progress of one direction, kept current by its pump. */
export class Flow {
  /** Bytes the sink has taken. */
  bytes = 0;
  /** Bytes that were read and that the sink did not take, or perhaps in part. */
  dropped = 0;
  /** When the source last delivered bytes, as `performance.now()` in milliseconds; 0 if never. */
  readAtMs = 0;
  /** When it did so first, or ended without. */
  firstReadAtMs = 0;
  /** When the sink last took bytes, on the same clock; 0 if never. */
  writtenAtMs = 0;
  /** Whether the pump is waiting for its sink rather than for its source. */
  writing = false;
  /** The error that stopped the pump, if one did. */
  error: unknown = undefined;
  /** Called once, when the sink has taken its first bytes. */
  onFirst: (() => void) | undefined;
}

/**
 * Why a pump stopped: the source ended and so did the sink, or one of the two failed (see
 * {@linkcode Flow.error}).
 */
export type PumpEnd = "ended" | "source-failed" | "sink-failed";

/** Small: an idle connection should not pin much memory, and most only carry a line or two. */
export const MIN_BUFFER_BYTES = 4 * 1024;
/** The capacity of a pipe (Linux: 64 KiB, pipe(7)): larger reads gain nothing. */
const MAX_BUFFER_BYTES = 64 * 1024;

/**
 * Carries bytes from `source` to `sink` until the source ends or either side fails. Never rejects.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { Flow, pump, type Sink, type Source } from "./relay.ts";
 *
 * const chunks = ["hello, ", "world"].map((text) => new TextEncoder().encode(text));
 * const source: Source = {
 *   read(buffer) {
 *     const chunk = chunks.shift();
 *     buffer.set(chunk ?? []);
 *     return Promise.resolve(chunk ? buffer.subarray(0, chunk.length) : null);
 *   },
 * };
 * const sink: Sink = {
 *   write: (bytes) => Promise.resolve(console.log(new TextDecoder().decode(bytes))),
 *   closeWrite: () => Promise.resolve(),
 * };
 * const flow = new Flow();
 * assertEquals([await pump(source, sink, flow), flow.bytes], ["ended", 12]);
 * ```
 */
export async function pump(source: Source, sink: Sink, flow: Flow): Promise<PumpEnd> {
  let buffer = new Uint8Array(MIN_BUFFER_BYTES);
  let endOnError: PumpEnd = "source-failed";
  try {
    for (;;) {
      const chunk = await source.read(buffer);
      const readAtMs = performance.now();
      flow.firstReadAtMs ||= readAtMs;
      if (chunk === null) break;
      endOnError = "sink-failed";
      flow.readAtMs = readAtMs;
      flow.writing = true;
      flow.dropped += chunk.length; // until it is taken
      await sink.write(chunk);
      flow.dropped -= chunk.length;
      flow.writing = false;
      flow.writtenAtMs = performance.now();
      if (flow.bytes === 0) flow.onFirst?.();
      flow.bytes += chunk.length;
      buffer = nextBuffer(chunk);
      endOnError = "source-failed";
      if (isTurnDue()) await nextTurn();
    }
    endOnError = "sink-failed";
    flow.writing = true;
    await sink.closeWrite();
    flow.writing = false;
    return "ended";
  } catch (error) {
    flow.writing = false;
    flow.error = error;
    return endOnError;
  }
}

/**
 * Reads `source` to its end and drops the bytes. Never rejects.
 *
 * @param isEnough Is asked about the size of each chunk; the first `true` ends it as `sink-failed`.
 */
export function discard(source: Source, isEnough: (bytes: number) => boolean): Promise<PumpEnd> {
  const sink: Sink = {
    write: ({ length }) => isEnough(length) ? Promise.reject() : Promise.resolve(),
    closeWrite: () => Promise.resolve(),
  };
  return pump(source, sink, new Flow());
}

/** The buffer for the next read: reused, doubled if it was full, halved if mostly unused. */
export function nextBuffer(chunk: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const size = chunk.buffer.byteLength;
  if (chunk.length === size && size < MAX_BUFFER_BYTES) return new Uint8Array(size * 2);
  if (chunk.length < size / 4 && size > MIN_BUFFER_BYTES) return new Uint8Array(size / 2);
  return new Uint8Array(chunk.buffer);
}
