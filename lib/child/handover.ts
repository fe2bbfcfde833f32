/**
 * The hand-over of a warm child. A child may die while it waits (the kernel's OOM killer takes idle
 * processes too), and the server hears of it only when the event loop turns. So a child that turns
 * out to be dead before it has taken or given a byte is replaced, once, and its client notices
 * nothing.
 *
 * After the first byte this only passes calls on.
 *
 * @module
 */

import { type Endpoint, MIN_BUFFER_BYTES } from "../base/relay.ts";
import { settlesWithin } from "../base/settles_within.ts";
import type { Worker } from "./worker.ts";

/** How long a pipe's end waits for the exit that explains it, in milliseconds. */
const EXIT_DELAY_MS = 200;
/** A child that dies later than this after its hand-over was alive then, in milliseconds. */
const HANDOVER_MS = 1_000;

/** A warm worker as an endpoint, until the first byte with a replacement at hand. */
export class Handover implements Endpoint {
  #worker: Worker;
  readonly #replace: (dead: Worker) => Worker | undefined;
  readonly #startedAtMs = performance.now();
  /** Whether a byte has moved, so that it is this worker for good. */
  #isSettled = false;
  #inputEnded = false;
  #replacing: Promise<void> | undefined;

  /**
   * @param worker The warm worker.
   * @param replace Gives the replacement for a dead one, or none.
   */
  constructor(worker: Worker, replace: (dead: Worker) => Worker | undefined) {
    this.#worker = worker;
    this.#replace = replace;
  }

  read(buffer: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.#isSettled ? this.#worker.read(buffer) : this.#firstRead(buffer);
  }

  write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.#isSettled ? this.#worker.write(bytes) : this.#firstWrite(bytes);
  }

  closeWrite(): Promise<void> {
    this.#inputEnded = true;
    return this.#worker.closeWrite();
  }

  async #firstRead(buffer: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | null> {
    const worker = this.#worker;
    const chunk = await worker.read(buffer);
    if (chunk === null && await this.#isReplaced(worker)) {
      return this.#worker.read(new Uint8Array(MIN_BUFFER_BYTES)); // the other buffer is detached
    }
    this.#isSettled = true;
    return chunk;
  }

  async #firstWrite(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const worker = this.#worker;
    try {
      await worker.write(bytes);
    } catch (error) {
      if (!await this.#isReplaced(worker)) throw error;
      await this.#worker.write(bytes);
    }
    this.#isSettled = true;
  }

  /** Whether another worker has taken the place of `worker`, or does so now because it is dead. */
  async #isReplaced(worker: Worker): Promise<boolean> {
    if (worker === this.#worker && !this.#isSettled) {
      await (this.#replacing ??= this.#replaceDead());
    }
    return worker !== this.#worker;
  }

  async #replaceDead(): Promise<void> {
    const dead = this.#worker;
    if (!await settlesWithin(dead.exited, EXIT_DELAY_MS)) return;
    if (performance.now() - this.#startedAtMs > HANDOVER_MS) return;
    if (this.#inputEnded && dead.exit!.signal === null) return; // end of input was all it waited for
    this.#worker = this.#replace(dead) ?? dead;
    if (this.#inputEnded) await this.#worker.closeWrite();
  }
}
