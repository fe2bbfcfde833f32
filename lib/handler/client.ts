/**
 * What a handler sees of its client. Types only: they cost the child's start nothing.
 *
 * @module
 */

/** One endpoint of the client's connection. */
export interface Address {
  /** An IPv4 or IPv6 address. */
  readonly hostname: string;
  /** Its TCP port. */
  readonly port: number;
}

/** What the client's TLS handshake has settled. */
export interface TlsFacts {
  /** The version, such as `TLSv1.3`. */
  readonly protocol?: string;
  /** The cipher suite, by its name in OpenSSL. */
  readonly cipher?: string;
  /** The name that the client asked for (SNI). */
  readonly serverName?: string;
  /** The protocol that was agreed on (ALPN). */
  readonly alpn?: string;
  /** The common name of the client's certificate, which has been verified. */
  readonly commonName?: string;
}

/** The request that a client has opened its WebSocket with. All of it is the client's word. */
export interface RequestFacts {
  /** The path and the query, such as `/chat/room?name=Ann`. */
  readonly target: string;
  /** The header fields by name in small letters. */
  readonly fields: ReadonlyMap<string, string>;
}

/** What is known of a client. */
export interface ClientFacts {
  /** Its address; absent over a Unix socket, and without spawnd. */
  readonly remote?: Address | undefined;
  /** The address that it has connected to; present if `remote` is. */
  readonly local?: Address | undefined;
  /** Absent without TLS. */
  readonly tls?: TlsFacts | undefined;
  /** Absent without a WebSocket. */
  readonly request?: RequestFacts | undefined;
}

/** Options for everything that reads. */
export interface ReadOptions {
  /**
   * How long all of what is asked for may take to come, in milliseconds.
   *
   * @default {Infinity}
   */
  timeoutMs?: number;
}

/** Options for {@linkcode Client.readLine} and {@linkcode Client.lines}, of which each line has the time. */
export interface LineOptions extends ReadOptions {
  /**
   * The length of the longest line in bytes, without its end.
   *
   * @default {65536}
   */
  maxLength?: number;
}

/** The client that a handler serves. One read at a time; writes keep their order. */
export interface Client {
  /** Its address; `undefined` over a Unix socket, and without spawnd. */
  readonly remote: Address | undefined;
  /** The address that it has connected to. */
  readonly local: Address | undefined;
  /** `undefined` without TLS. */
  readonly tls: TlsFacts | undefined;
  /** `undefined` without a WebSocket. */
  readonly request: RequestFacts | undefined;
  /**
   * Aborted when a write finds that the client has left, or when spawnd stops the process, which it
   * also does after the client has reset the connection. (A client that only ends its input has not
   * left.)
   */
  readonly closed: AbortSignal;
  /**
   * The lines that it sends, as UTF-8, without their ends (LF or CRLF); the last one needs no end.
   *
   * @throws {LineTooLongError} A line is too long. Calling this again goes on after it.
   * @throws {TimeoutError} A line takes too long. Calling this again goes on with that line.
   */
  lines(options?: LineOptions): AsyncGenerator<string, void, void>;
  /** The next of these lines; `null` at the end of its input. */
  readLine(options?: LineOptions): Promise<string | null>;
  /**
   * The next bytes, as they come; `null` at the end of its input.
   *
   * @throws {TimeoutError} None come in time.
   */
  read(options?: ReadOptions): Promise<Uint8Array<ArrayBuffer> | null>;
  /**
   * Exactly so many bytes; `null` if its input ends before the first.
   *
   * @throws {Deno.errors.UnexpectedEof} Its input ends after some of them.
   * @throws {TimeoutError} They take too long. They are still there for the next read.
   */
  readExactly(length: number, options?: ReadOptions): Promise<Uint8Array<ArrayBuffer> | null>;
  /**
   * Sends text, as UTF-8, or bytes. Resolves when the system has taken them, at the client's pace.
   *
   * @throws {TypeError} It is neither.
   * @throws {Deno.errors.BrokenPipe} It has left. {@linkcode serve} takes that as the end.
   */
  write(data: string | Uint8Array): Promise<void>;
  /** What it sends, as a stream. */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** What it is sent, as a stream. */
  readonly writable: WritableStream<string | Uint8Array>;
}
