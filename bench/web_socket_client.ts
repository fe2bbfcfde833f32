/**
 * A client of the load that speaks WebSocket (RFC 6455), as far as the servers of the bench need it.
 * It costs the machine little, so that the servers are what is measured: the key of its handshake and
 * the mask of its messages are always the same.
 *
 * @module
 */

import { type Client, compare, send, WrongAnswer } from "./client.ts";

/** The handshake's example in RFC 6455, section 1.3. */
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const MASK = Uint8Array.of(0x3d, 0xa7, 0x5b, 0xc1);
const FINAL = 0x80;
const MASKED = 0x80;
const OPCODE = { text: 1, binary: 2, close: 8 } as const;
/** The payload of a close frame: the code 1000. */
const NORMAL = Uint8Array.of(1000 >> 8, 1000 & 0xff);
/** Enough for any head or frame of the bench. */
const BUFFER_BYTES = 4096;

/** A client after its handshake. */
export class WebSocketClient implements Client {
  readonly #conn: Deno.Conn;
  readonly #isText: boolean;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  /** Where in the buffer what has come, and has not been taken, begins and ends. */
  #start = 0;
  #end = 0;

  private constructor(conn: Deno.Conn, isText: boolean) {
    this.#conn = conn;
    this.#isText = isText;
  }

  /**
   * Opens a WebSocket over a connection.
   *
   * @param isText Whether an answer is one text message; otherwise it is the bytes of any number of
   * binary ones.
   */
  static async open(conn: Deno.Conn, isText: boolean): Promise<WebSocketClient> {
    const client = new WebSocketClient(conn, isText);
    const request = [
      ...["GET / HTTP/1.1", "Host: localhost", "Upgrade: websocket"],
      ...["Connection: Upgrade", `Sec-WebSocket-Key: ${KEY}`, "Sec-WebSocket-Version: 13"],
    ];
    await send(conn, new TextEncoder().encode(`${request.join("\r\n")}\r\n\r\n`));
    let head = "";
    while (!head.endsWith("\r\n\r\n")) head += String.fromCharCode((await client.#take(1))[0]!);
    if (!/^HTTP\/1\.1 101 /.test(head) || !head.includes(`: ${ACCEPT}\r\n`)) {
      throw new WrongAnswer(`the handshake failed: ${head.split("\r\n")[0]}`);
    }
    return client;
  }

  async exchange(message: Uint8Array, due: Uint8Array): Promise<void> {
    const opcode = this.#isText ? OPCODE.text : OPCODE.binary;
    await this.#send(opcode, message);
    let got = await this.#receive(opcode);
    while (!this.#isText && got.length < due.length) {
      got = new Uint8Array([...got, ...await this.#receive(opcode)]);
    }
    compare(got, due);
  }

  /** There is no half-close: the answer to a close frame is another one, and then nothing. */
  async end(): Promise<void> {
    await this.#send(OPCODE.close, NORMAL);
    compare(await this.#receive(OPCODE.close), NORMAL);
    if (this.#start < this.#end || await this.#conn.read(this.#buffer) !== null) {
      throw new WrongAnswer("the server sent too much");
    }
    this.#conn.close();
  }

  close(): void {
    this.#conn.close();
  }

  async #send(opcode: number, payload: Uint8Array): Promise<void> {
    const { length } = payload;
    if (length > 125) throw new RangeError("the message is too long");
    const frame = new Uint8Array(2 + MASK.length + length);
    frame.set([FINAL | opcode, MASKED | length, ...MASK]);
    for (let i = 0; i < length; i++) frame[2 + MASK.length + i] = payload[i]! ^ MASK[i & 3]!;
    await send(this.#conn, frame);
  }

  /** The payload of the next frame, which has to be a message of its own. */
  async #receive(opcode: number): Promise<Uint8Array> {
    const [first, second] = await this.#take(2);
    if (first !== (FINAL | opcode)) throw new WrongAnswer(`a frame begins with byte ${first}`);
    if (second! < 126) return await this.#take(second!);
    if (second !== 126) throw new WrongAnswer(`a frame has the length ${second}`);
    const [high, low] = await this.#take(2);
    return await this.#take(high! << 8 | low!);
  }

  /** The next bytes, valid until more are taken. */
  async #take(count: number): Promise<Uint8Array> {
    if (this.#start + count > BUFFER_BYTES) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      [this.#start, this.#end] = [0, this.#end - this.#start];
    }
    while (this.#end - this.#start < count) {
      const length = await this.#conn.read(this.#buffer.subarray(this.#end));
      if (length === null) throw new Error("the connection ended");
      this.#end += length;
    }
    this.#start += count;
    return this.#buffer.subarray(this.#start - count, this.#start);
  }
}
