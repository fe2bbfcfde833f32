/**
 * The relay: bytes from one endpoint to the other, one pump for each direction. A process and a
 * socket look the same from here, so nothing in this file knows either of them, and nothing here
 * decides anything: a pump carries until it cannot and says what stopped it.
 *
 * A pump reads only after its last chunk was taken, so a slow receiver slows its sender down, and
 * what is held in memory stays one buffer a direction.
 *
 * @module
 */

/** Where bytes come from. */
export interface Source {
  /**
   * Waits for bytes and reads them into `buffer`, which then belongs to the source until the
   * promise settles. Resolves with a view of what came, which may lie in another `ArrayBuffer` of
   * the same size (a byte stream transfers it, and detaches the one it was given), or with `null`
   * at the end of input.
   */
  read(buffer: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | null>;
}

/** Where bytes go. */
export interface Sink {
  /** Resolves when all of `bytes` were taken, and the memory may be used again. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Says that no more bytes will come: half-close, the other direction is left alone. */
  closeWrite(): Promise<void>;
}

/** One side of a relay: a client's socket, or a child's stdin and stdout. */
export interface Endpoint extends Source, Sink {}

/** What one direction has carried so far; its pump keeps it current. */
export class Flow {
  /** Bytes the sink has taken. */
  bytes = 0;
  /** When the source last gave something, on the clock of `performance.now()`, in milliseconds. */
  readAtMs = 0;
  /** When the sink last took something, on the same clock. */
  writtenAtMs = 0;
  /** Whether the pump is waiting for its sink, not for its source. */
  writing = false;
  /** What stopped the pump, where that was a failure. */
  error: unknown = undefined;
  /** Is called once, when the sink has taken the first bytes. */
  onFirst: (() => void) | undefined;
}

/**
 * Why a pump stopped: its source came to its end and the sink was told, or one of the two failed
 * ({@linkcode Flow.error} says how).
 */
export type PumpEnd = "ended" | "source-failed" | "sink-failed";

/** An idle connection should not pin much memory, and most only ever say a line or two. */
export const SMALLEST_BUFFER = 4 * 1024;
/** Beyond a pipe's capacity a larger read brings nothing (Linux: 64 KiB, pipe(7)). */
const LARGEST_BUFFER = 64 * 1024;

/**
 * Carries bytes from `source` to `sink` until the source ends or either side fails. Never rejects.
 *
 * @example
 * ```ts ignore
 * const flow = new Flow();
 * const end = await pump(client, child, flow); // "ended", and flow.bytes says how many
 * ```
 */
export async function pump(source: Source, sink: Sink, flow: Flow): Promise<PumpEnd> {
  let buffer = new Uint8Array(SMALLEST_BUFFER);
  let failure: PumpEnd = "source-failed";
  try {
    for (;;) {
      const chunk = await source.read(buffer);
      if (chunk === null) break;
      failure = "sink-failed";
      flow.readAtMs = performance.now();
      flow.writing = true;
      await sink.write(chunk);
      flow.writing = false;
      flow.writtenAtMs = performance.now();
      if (flow.bytes === 0) flow.onFirst?.();
      flow.bytes += chunk.length;
      buffer = nextBuffer(chunk);
      failure = "source-failed";
    }
    failure = "sink-failed";
    flow.writing = true;
    await sink.closeWrite();
    flow.writing = false;
    return "ended";
  } catch (error) {
    flow.writing = false;
    flow.error = error;
    return failure;
  }
}

/** Reads `source` to its end and lets go of what it brings. Never rejects. */
export async function discard(source: Source): Promise<PumpEnd> {
  return await pump(source, NULL_SINK, new Flow());
}

const NULL_SINK: Sink = {
  write: () => Promise.resolve(),
  closeWrite: () => Promise.resolve(),
};

/** The buffer for the next read: the last one again, larger when it was full, smaller when it was far too large. */
function nextBuffer(chunk: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const size = chunk.buffer.byteLength;
  if (chunk.length === size && size < LARGEST_BUFFER) return new Uint8Array(size * 2);
  if (chunk.length < size / 4 && size > SMALLEST_BUFFER) return new Uint8Array(size / 2);
  return new Uint8Array(chunk.buffer);
}
