/**
 * The client of a handler over any transport: {@linkcode serve} has stdin and stdout for it, tests
 * have memory.
 *
 * It runs in a child, whose start every connection pays for: it imports nothing but types, and makes
 * no stream unless it is asked for one.
 *
 * @module
 */

import type {
  Address,
  Client,
  ClientFacts,
  LineOptions,
  ReadOptions,
  RequestFacts,
  TlsFacts,
} from "./client.ts";

/** A client has sent a line that is longer than it may be. */
export class LineTooLongError extends RangeError {
  /** Always `LineTooLongError`. */
  override readonly name = "LineTooLongError";
}

/** A client did not send in time. */
export class TimeoutError extends Error {
  /** Always `TimeoutError`. */
  override readonly name = "TimeoutError";
}

/** A client has ended its input too early. Other connections of a handler may throw its base class. */
export class EarlyEndError extends Deno.errors.UnexpectedEof {}

/** Where the bytes of a client come from, and go to. */
export interface Transport {
  /** Reads into `buffer`; resolves to how much, or to `null` at the end. */
  read(buffer: Uint8Array<ArrayBuffer>): Promise<number | null>;
  /** Writes some or all of `bytes`; resolves to how much. */
  write(bytes: Uint8Array): Promise<number>;
  /** Calls `leave` if it finds without a write that the client has left. */
  watch?(leave: () => void): void;
}

/** The longest delay a timer can have, in milliseconds. */
const MAX_DELAY_MS = 2 ** 31 - 1;
const BUFFER_BYTES = 16 * 1024;
const MAX_LINE_BYTES = 64 * 1024;
const LF = 10;
const CR = 13;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A client over a transport. */
export class TransportClient implements Client {
  remote: Address | undefined;
  local: Address | undefined;
  tls: TlsFacts | undefined;
  request: RequestFacts | undefined;
  /** Why nothing more can be written, once the client has left. */
  failure: unknown;
  /** Settles when all has been written so far; never rejects. */
  written: Promise<void> = Promise.resolve();

  readonly #transport: Transport;
  /** What has been read and not used is from `#start` to `#end`. */
  #buffer = new Uint8Array(BUFFER_BYTES);
  #start = 0;
  #end = 0;
  /** A read that has not ended yet, to the place after `#end`. */
  #reading: Promise<number | null> | undefined;
  /** How many writes have not ended. */
  #writes = 0;
  /** Whether somebody waits for the read. */
  #isWaiting = false;
  /** Whether the rest of a line that was too long has to be skipped. */
  #isSkipping = false;
  #closing: AbortController | undefined;
  /** Ends the write that is under way, when the client is known to have left. */
  #giveUp: ((failure: unknown) => void) | undefined;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  #writable: WritableStream<string | Uint8Array> | undefined;

  constructor(transport: Transport, facts: ClientFacts = {}) {
    this.#transport = transport;
    this.know(facts);
  }

  /** Takes what has become known of the client. */
  know({ remote, local, tls, request }: ClientFacts): void {
    this.remote = remote;
    this.local = local;
    this.tls = tls;
    this.request = request;
  }

  get closed(): AbortSignal {
    if (this.#closing === undefined) {
      this.#closing = new AbortController();
      const leave = () => this.#leave(new Deno.errors.BrokenPipe("The client has left"));
      if (this.failure !== undefined) this.#closing.abort(this.failure);
      else this.#transport.watch?.(leave);
    }
    return this.#closing.signal;
  }

  async *lines(options?: LineOptions): AsyncGenerator<string, void, void> {
    for (let line; (line = await this.readLine(options)) !== null;) yield line;
  }

  async readLine(options: LineOptions = {}): Promise<string | null> {
    const { maxLength = MAX_LINE_BYTES, timeoutMs } = options;
    const deadlineMs = deadlineIn(timeoutMs);
    for (let searched = 0;;) { // how much is known to be without LF
      const unread = this.#unread;
      const index = unread.indexOf(LF, searched);
      const hasEnd = index >= 0;
      const line = hasEnd ? unread.subarray(0, index) : unread;
      const hasCr = line.at(-1) === CR; // perhaps the first half of an end
      if (this.#isSkipping || line.length > maxLength + (hasCr ? 1 : 0)) {
        this.#start += hasEnd ? index + 1 : line.length;
        searched = 0;
        const isNew = !this.#isSkipping;
        this.#isSkipping = !hasEnd;
        if (isNew) throw tooLong(maxLength);
        if (hasEnd) continue;
      } else if (hasEnd) {
        this.#start += index + 1;
        return decoder.decode(hasCr ? line.subarray(0, -1) : line);
      } else searched = line.length;
      if (await this.#fill(deadlineMs)) continue;
      const rest = this.#take(this.#unread.length);
      if (this.#isSkipping || rest.length === 0) return null;
      if (rest.length > maxLength) throw tooLong(maxLength);
      return decoder.decode(rest);
    }
  }

  async read({ timeoutMs }: ReadOptions = {}): Promise<Uint8Array<ArrayBuffer> | null> {
    this.#isSkipping = false;
    if (this.#unread.length === 0 && !await this.#fill(deadlineIn(timeoutMs))) return null;
    return this.#take(this.#unread.length);
  }

  async readExactly(
    length: number,
    { timeoutMs }: ReadOptions = {},
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    this.#isSkipping = false;
    const deadlineMs = deadlineIn(timeoutMs);
    while (this.#unread.length < length) {
      if (await this.#fill(deadlineMs)) continue;
      if (this.#unread.length === 0) return null;
      throw new EarlyEndError(`The input ended after ${this.#unread.length} of ${length} bytes`);
    }
    return this.#take(length);
  }

  write(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    if (!(bytes instanceof Uint8Array)) {
      return Promise.reject(
        new TypeError(
          `Cannot write ${Deno.inspect(data)}: it is neither a string nor a Uint8Array`,
        ),
      );
    }
    const writing = this.#writes++ === 0
      ? this.#writeAll(bytes)
      : this.written.then(() => this.#writeAll(bytes));
    this.written = writing.catch(() => {});
    return writing;
  }

  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= new ReadableStream({
      pull: async (controller) => {
        const bytes = await this.read();
        if (bytes === null) controller.close();
        else controller.enqueue(bytes);
      },
    }, { highWaterMark: 0 });
  }

  get writable(): WritableStream<string | Uint8Array> {
    return this.#writable ??= new WritableStream({ write: (data) => this.write(data) });
  }

  get #unread(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  /** A copy of the next bytes, which are used then. */
  #take(length: number): Uint8Array<ArrayBuffer> {
    return this.#buffer.slice(this.#start, this.#start += length);
  }

  /**
   * Reads more behind what is unread; resolves to whether there was more.
   *
   * @throws {TimeoutError} It takes too long; the read goes on.
   */
  async #fill(deadlineMs = Infinity): Promise<boolean> {
    if (this.#isWaiting) throw new Error("Cannot read while another read has not ended");
    this.#isWaiting = true;
    try {
      this.#reading ??= this.#transport.read(this.#makeRoom());
      const length =
        await (deadlineMs === Infinity ? this.#reading : before(deadlineMs, this.#reading));
      this.#reading = undefined;
      this.#end += length ?? 0;
      return length !== null;
    } finally {
      this.#isWaiting = false;
    }
  }

  /** The place for a read; while one goes on, what is unread stays where it is. */
  #makeRoom(): Uint8Array<ArrayBuffer> {
    const unread = this.#unread;
    if (unread.length === 0) this.#start = this.#end = 0;
    else if (this.#end === this.#buffer.length) {
      // Growing by doubling, or moving by half of it, costs each byte the same, however few come at once.
      const isCrowded = unread.length > this.#buffer.length / 2;
      if (isCrowded) this.#buffer = new Uint8Array(2 * this.#buffer.length);
      this.#buffer.set(unread);
      [this.#start, this.#end] = [0, unread.length];
    }
    return this.#buffer.subarray(this.#end);
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    try {
      if (this.failure !== undefined) throw this.failure;
      while (bytes.length > 0) bytes = bytes.subarray(await this.#write(bytes));
    } catch (error) {
      this.#leave(error);
      throw error;
    } finally {
      this.#writes--;
    }
  }

  /** Writes some; where `closed` has been asked for, until the client has left. */
  #write(bytes: Uint8Array): Promise<number> {
    if (this.#closing === undefined) return this.#transport.write(bytes);
    // A race with one promise for all writes would keep a bit of each until that settles.
    return new Promise((resolve, reject) => {
      this.#giveUp = reject;
      this.#transport.write(bytes).then(resolve, reject);
    });
  }

  #leave(failure: unknown): void {
    this.failure ??= failure;
    this.#giveUp?.(this.failure);
    this.#closing?.abort(this.failure);
  }
}

/** When this time is over, on the clock of `performance.now()`. */
function deadlineIn(timeoutMs = Infinity): number {
  return timeoutMs === Infinity ? Infinity : performance.now() + timeoutMs;
}

function tooLong(maxLength: number): LineTooLongError {
  return new LineTooLongError(`A line is longer than ${maxLength} bytes`);
}

/** Waits for `promise` until `deadlineMs`, on the clock of `performance.now()`. */
async function before<T>(deadlineMs: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    const error = new TimeoutError("The client did not send in time"); // here, for its stack
    const delayMs = Math.max(0, deadlineMs - performance.now()); // Deno warns of a negative one
    timer = setTimeout(reject, Math.min(delayMs, MAX_DELAY_MS), error);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
