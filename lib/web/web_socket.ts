/**
 * The WebSocket: carries the bytes of a client in messages, over its connection.
 *
 * It is one more transport, so a relay waits for it as for a socket: nothing is read while the child
 * takes nothing, and the child waits while the client takes nothing. There is no half-close: when the
 * client has sent its close frame, it has ended both directions (RFC 6455, section 1.4), and what is
 * written after that is dropped.
 *
 * @module
 */

import { isTurnDue, nextTurn } from "../base/event_loop.ts";
import { discard, MIN_BUFFER_BYTES, nextBuffer } from "../base/relay.ts";
import { type Connection, type Ending, readingTimeMs, type Transport } from "../net/connection.ts";
import type { MessageMode } from "../net/message_mode.ts";
import {
  CLOSE_CODE,
  encodeClose,
  encodeFrame,
  FrameDecoder,
  OPCODE,
  WebSocketError,
} from "./frames.ts";
import { concat, MessageEncoder } from "./messages.ts";

/** How a WebSocket works. */
export interface WebSocketOptions {
  /** What a message is. */
  readonly mode: MessageMode;
  /** The size of the largest message that a client may send, in bytes. */
  readonly maxMessageBytes: number;
  /** How often a client is pinged, and how long it has for the answer, in milliseconds; 0 is never. */
  readonly pingMs: number;
}

const EMPTY = new Uint8Array(0);
const LF = 10;
/** How much is still read of a client that has broken the protocol. */
const MAX_DISCARDED_BYTES = 16 * 1024 * 1024;

/** The codes for what ends a connection other than its client and its child. */
const CODES: Readonly<Record<string, number>> = {
  "denied": CLOSE_CODE.policy,
  "source-limit": CLOSE_CODE.policy,
  "source-rate": CLOSE_CODE.policy,
  "idle-timeout": CLOSE_CODE.policy,
  "session-timeout": CLOSE_CODE.policy,
  "eof-timeout": CLOSE_CODE.failed,
  "failed": CLOSE_CODE.failed,
  "busy": CLOSE_CODE.tryLater,
  "drain-timeout": CLOSE_CODE.goingAway,
};

/** One client's WebSocket, after the opening handshake. */
export class WebSocketTransport implements Transport {
  readonly ended: Promise<WebSocketError | undefined>;
  readonly #client: Connection;
  readonly #isLines: boolean;
  readonly #decoder: FrameDecoder;
  readonly #encoder: MessageEncoder;
  readonly #pinging: ReturnType<typeof setInterval> | undefined;
  #buffer = new Uint8Array(MIN_BUFFER_BYTES);
  /** What has been decoded and not read. */
  #plain = EMPTY;
  /** Why no more can be read. */
  #error: unknown;
  /** Whether the client has sent its close frame, and whether it was sent one. */
  #hasEnded = false;
  #hasClosed = false;
  /** Whether the client is being read, and whether a ping was sent since it was heard of. */
  #isReading = false;
  #isAnswerDue = false;
  /** Until when it may be on its way, as `performance.now()`; and what was sent before it, since then. */
  #isUnderWayUntilMs = 0;
  #sentBytes = 0;
  readonly #end = Promise.withResolvers<WebSocketError | undefined>();
  /** The last write, which comes after all others, and how many are under way. */
  #sending: Promise<void> = Promise.resolve();
  #writes = 0;

  constructor(client: Connection, { mode, maxMessageBytes, pingMs }: WebSocketOptions) {
    this.#client = client;
    this.#isLines = mode === "lines";
    this.#decoder = new FrameDecoder(maxMessageBytes);
    this.#encoder = new MessageEncoder(mode);
    this.ended = this.#end.promise;
    if (pingMs > 0) this.#pinging = setInterval(() => this.#ping(), pingMs);
  }

  async read(buffer: Uint8Array<ArrayBuffer>): Promise<number | null> {
    while (this.#plain.length === 0) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#hasEnded) return null;
      await this.#receive();
      if (isTurnDue()) await nextTurn();
    }
    const part = this.#plain.subarray(0, buffer.length);
    buffer.set(part);
    this.#plain = this.#plain.subarray(part.length);
    return part.length;
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<number> {
    if (bytes.length === 0 && this.#hasEnded) return 0; // ended on both sides, it would fail
    if (bytes.length === 0) await this.#client.probe();
    else await this.#send(this.#encoder.encode(bytes));
    return bytes.length;
  }

  /** Sends what is left of the last line. Whether that was the end depends on how the child ends. */
  closeWrite(): Promise<void> {
    return this.#send(this.#encoder.end());
  }

  async end({ reason, text, hasFailed }: Ending): Promise<void> {
    const code = CODES[reason] ?? (hasFailed ? CLOSE_CODE.failed : CLOSE_CODE.normal);
    await this.#close(encodeClose(code, text || (reason in CODES ? reason : "")));
    if (!(this.#error instanceof WebSocketError)) return;
    let left = MAX_DISCARDED_BYTES; // what it was sending, so that no reset destroys the close frame
    await discard(this.#client, (bytes) => (left -= bytes) < 0);
  }

  close(): void {
    clearInterval(this.#pinging);
    this.#client.close();
  }

  /** Reads once, decodes, and answers the control frames. */
  async #receive(): Promise<void> {
    this.#isReading = true;
    const bytes = await this.#client.read(this.#buffer).catch((error) => {
      throw this.#error ?? error;
    });
    this.#isReading = this.#isAnswerDue = false;
    this.#sentBytes = 0;
    if (bytes === null) throw new Error("the connection ended without a close frame");
    // A message is shorter than its frames, of which all but the header of the first are here.
    const plain = new Uint8Array(bytes.length + 1);
    const replies: Uint8Array<ArrayBuffer>[] = [];
    let isLast = false;
    let length = 0;
    try {
      for (const received of this.#decoder.decode(bytes)) {
        if (received.kind === "data") {
          plain.set(received.bytes, length);
          length += received.bytes.length;
          if (received.isEnd && this.#isLines) plain[length++] = LF;
        } else if (received.kind === "ping") {
          replies.push(encodeFrame(OPCODE.pong, received.bytes));
        } else if (received.kind === "close") {
          replies.push(encodeClose(received.code));
          isLast = this.#hasEnded = true;
        }
      }
    } catch (error) {
      if (!(error instanceof WebSocketError)) throw error;
      replies.push(encodeClose(error.code, error.message));
      isLast = true;
      this.#error = error;
    }
    this.#plain = plain.subarray(0, length);
    this.#buffer = nextBuffer(bytes);
    if (isLast) this.#end.resolve(this.#error as WebSocketError | undefined);
    if (replies.length === 0) return;
    const isAwaited = !isLast || this.#hasClosed; // else end() waits: the client may take nothing
    const sent = isLast ? this.#finish(concat(replies)) : this.#send(concat(replies));
    if (isAwaited) await sent;
  }

  /** Asks whether the client is there; a connection that is not read cannot tell. */
  #ping(): void {
    const now = performance.now();
    if (this.#isAnswerDue) {
      if (now < this.#isUnderWayUntilMs) return;
      this.#error = new Error("no answer to a ping");
      this.#client.close();
    }
    if (this.#writes > 0) return;
    this.#isAnswerDue = this.#isReading;
    this.#isUnderWayUntilMs = now + readingTimeMs(this.#sentBytes);
    const sent = this.#send(encodeFrame(OPCODE.ping, EMPTY));
    sent.catch(() => clearInterval(this.#pinging)); // a relay will fail too, if there is one yet
  }

  /** Sends frames of which the last is the close frame, and nothing after it. */
  async #close(frames: Uint8Array<ArrayBuffer>): Promise<void> {
    const sent = this.#send(frames);
    this.#hasClosed = true;
    await sent;
  }

  /**
   * Sends the last frames to a client of which no more is read, and ends the connection from this
   * side: many clients take a WebSocket for closed only then. Never rejects.
   */
  async #finish(frames: Uint8Array<ArrayBuffer>): Promise<void> {
    const closed = this.#close(frames);
    this.#sending = closed.then(() => this.#client.closeWrite());
    await this.#sending.catch(() => {}); // it has gone
  }

  /** Sends frames, after what is being sent. Without any, it resolves when that has been. */
  #send(frames: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.#hasClosed) return this.#sending;
    this.#writes++;
    this.#sentBytes += frames.length;
    return this.#sending = this.#sending
      .then(() => this.#client.write(frames))
      .finally(() => this.#writes--);
  }
}
