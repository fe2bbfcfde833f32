/**
 * The line writer: lines to stdout or stderr, which may be slow, shared, full or without a reader.
 *
 * Nothing that calls it ever waits. Items are queued as they are, formatted and written in the
 * background, and dropped and counted while the queue is full. A line that a failed write has left
 * incomplete is ended before the next one, so that no line has two items in it.
 *
 * @module
 */

import { settlesWithin } from "./settles_within.ts";

/**
 * Where the lines go. `write()` may take a part, and rejects with `WouldBlock` when it is full. With
 * any other error it is not tried again: its reader has gone, or the disk is full.
 */
export interface LineSink {
  write(bytes: Uint8Array): Promise<number>;
}

/** Options for {@linkcode LineWriter}. */
export interface LineWriterOptions<T> {
  readonly sink: LineSink;
  /** The line an item is, with its line break. */
  readonly format: (item: T) => string;
  /**
   * Is told, once writing works and there is room again, how many items were dropped, and the last
   * error if a write failed. What it writes is written first.
   */
  readonly onDropped?: (count: number, error: unknown) => void;
}

/** How much of the queue items may fill, in items: what matters less is dropped first. */
export const LIMITS = { low: 2048, normal: 4096, high: 4352 } as const;
/**
 * How many bytes are written at once. A pipe takes no more than that in one piece (Linux: PIPE_BUF,
 * pipe(7)), and the children write lines to the same stderr.
 */
const MAX_WRITE_BYTES = 4096;
/** How soon a full non-blocking pipe is tried again: a child that shares stderr made it one. */
const RETRY_MS = 10;
const LF = 10;

const encoder = new TextEncoder();

/** A bounded queue of lines, and the loop that writes them. */
export class LineWriter<T> {
  readonly #options: LineWriterOptions<T>;
  readonly #queue: T[] = [];
  #dropped = 0;
  /** What the last write failed with, of those whose items are in {@linkcode #dropped}. */
  #error: unknown;
  /** Whether the last byte written was not the end of a line. */
  #isMidLine = false;
  #writing: Promise<void> | undefined;
  #delay: ReturnType<typeof setTimeout> | undefined;

  constructor(options: LineWriterOptions<T>) {
    this.#options = options;
  }

  /**
   * Queues an item, or drops it.
   *
   * @param importance How much of the queue it may fill.
   * @param delayMs How much later writing may begin, in milliseconds.
   */
  write(item: T, importance: keyof typeof LIMITS = "high", delayMs = 0): void {
    if (this.#queue.length >= LIMITS[importance]) {
      this.#dropped++;
      return;
    }
    this.#queue.push(item);
    if (this.#writing !== undefined) return;
    if (delayMs === 0) this.#start();
    else this.#delay ??= setTimeout(() => this.#start(), delayMs);
  }

  /** Resolves when everything queued has been written, or after `timeoutMs` milliseconds. */
  async flush(timeoutMs: number): Promise<void> {
    this.#start();
    if (this.#writing !== undefined) await settlesWithin(this.#writing, timeoutMs);
  }

  #start(): void {
    clearTimeout(this.#delay);
    this.#delay = undefined;
    if (this.#queue.length > 0) this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    while (this.#queue.length > 0) {
      const isWritten = await this.#writeText(this.#takeBatch());
      if (isWritten && this.#dropped > 0 && this.#queue.length < LIMITS.low) {
        await this.#tellDropped();
      }
    }
    this.#writing = undefined; // in the turn that saw the queue empty: the next item starts anew
  }

  /** Whole lines, as many as go into one write; one that is longer goes alone. */
  #takeBatch(): string {
    let batch = this.#isMidLine ? "\n" : "";
    let count = 0;
    for (const item of this.#queue) {
      const line = this.#options.format(item);
      if (count > 0 && batch.length + line.length > MAX_WRITE_BYTES) break;
      batch += line;
      count++;
    }
    this.#queue.splice(0, count);
    return batch;
  }

  /** Tells how many were dropped. If that cannot be written either, it is told later. */
  async #tellDropped(): Promise<void> {
    const { format, onDropped } = this.#options;
    const [count, queued] = [this.#dropped, this.#queue.length];
    onDropped?.(count, this.#error);
    const text = this.#queue.splice(queued).map(format).join("");
    if (!await this.#writeText(text)) return;
    this.#dropped -= count;
    this.#error = undefined;
  }

  /** Whether all of it was written; the lines that were not count as dropped. */
  async #writeText(text: string): Promise<boolean> {
    let bytes = encoder.encode(text);
    while (bytes.length > 0) {
      try {
        const taken = await this.#options.sink.write(bytes);
        if (taken > 0) this.#isMidLine = bytes[taken - 1] !== LF;
        bytes = bytes.subarray(taken);
      } catch (error) {
        if (!(error instanceof Deno.errors.WouldBlock)) {
          // A line break that comes first only ends what was written before.
          this.#dropped += bytes.subarray(1).filter((byte) => byte === LF).length;
          this.#error = error;
          return false;
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    return true;
  }
}
