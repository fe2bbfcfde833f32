/**
 * The line writer: lines to stdout or stderr, which may be slow, shared, full or without a reader.
 *
 * Nothing that calls it ever waits. Items are queued as they are, formatted and written in the
 * background, and dropped and counted while the queue is full.
 *
 * @module
 */

import { settlesWithin } from "./settles_within.ts";

/** Where the lines go. `write()` may take a part, and rejects with `WouldBlock` when it is full. */
export interface LineSink {
  write(bytes: Uint8Array): Promise<number>;
}

/** Options for {@linkcode LineWriter}. */
export interface LineWriterOptions<T> {
  readonly sink: LineSink;
  /** The line an item is, with its line break. */
  readonly format: (item: T) => string;
  /** Is told, once there is room again, how many items were dropped. */
  readonly onDropped?: (count: number) => void;
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

const encoder = new TextEncoder();

/** A bounded queue of lines, and the loop that writes them. */
export class LineWriter<T> {
  readonly #options: LineWriterOptions<T>;
  readonly #queue: T[] = [];
  #dropped = 0;
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
      await this.#writeBytes(this.#takeBatch());
      if (this.#dropped > 0 && this.#queue.length < LIMITS.low) {
        const count = this.#dropped;
        this.#dropped = 0;
        this.#options.onDropped?.(count);
      }
    }
    this.#writing = undefined; // in the turn that saw the queue empty: the next item starts anew
  }

  /** Whole lines, as many as go into one write; one that is longer goes alone. */
  #takeBatch(): Uint8Array {
    let batch = "";
    let count = 0;
    for (const item of this.#queue) {
      const line = this.#options.format(item);
      if (count > 0 && batch.length + line.length > MAX_WRITE_BYTES) break;
      batch += line;
      count++;
    }
    this.#queue.splice(0, count);
    return encoder.encode(batch);
  }

  async #writeBytes(bytes: Uint8Array): Promise<void> {
    while (bytes.length > 0) {
      try {
        bytes = bytes.subarray(await this.#options.sink.write(bytes));
      } catch (error) {
        if (!(error instanceof Deno.errors.WouldBlock)) return; // it has no reader any more
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }
}
