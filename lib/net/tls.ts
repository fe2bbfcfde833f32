/**
 * TLS: performs the handshake with clients, and decrypts and encrypts their bytes afterwards.
 *
 * The engine is that of node:tls, because Deno's own serves only connections that its own listener
 * has accepted, after which no PROXY header can be read and the certificate cannot be changed. It is
 * loaded only where TLS is used: it takes 40 ms and 9 MB.
 *
 * @module
 */

import type { X509Certificate } from "node:crypto";
import { EventEmitter } from "node:events";
import { Duplex } from "node:stream";
import {
  createSecureContext,
  createServer,
  type SecureContext,
  type SecureContextOptions,
  type Server,
  type TLSSocket,
} from "node:tls";
import type { Warning } from "../base/warning.ts";
import type { TlsFacts } from "./client_facts.ts";
import { Connection } from "./connection.ts";
import { subjectOf } from "./distinguished_name.ts";
import { type Identity, readAuthorities, readIdentity } from "./tls_files.ts";
import { TlsStream } from "./tls_stream.ts";
import type { TlsVersion } from "./tls_version.ts";

/** How {@linkcode Tls} is set up. */
export interface TlsOptions {
  /** Paths of the certificate chains, in PEM. Clients that ask for no known name get the first. */
  readonly cert: readonly string[];
  /** Paths of their private keys, in PEM, in the same order. */
  readonly key: readonly string[];
  /** Paths of certificates, in PEM, one of which has to have issued a client's; none asks for none. */
  readonly clientCa: readonly string[];
  /** The protocols to agree on one of, the preferred one first (ALPN). */
  readonly alpn: readonly string[];
  /** The lowest version that is spoken. */
  readonly tlsMin: TlsVersion;
}

/** The alert `handshake_failure` (RFC 8446, section 6), for where the engine sends none. */
const HANDSHAKE_FAILURE = Uint8Array.of(21, 3, 3, 0, 2, 2, 40);

/** How many verified client certificates are remembered for the resumption of their sessions. */
const MAX_VERIFIED = 10_000;

/** The longest subject of a client that is served: it has to fit in a variable and in a header. */
const MAX_SUBJECT = 4_096;

/** The TLS side of a server: its certificates and keys, and the handshake with clients. */
export class Tls {
  readonly #context: Context;

  /**
   * Reads the files. Needs `--allow-read` for them.
   *
   * @param old What this one takes the place of: the sessions of its clients can be resumed.
   * @throws A file cannot be read or is not valid, or a key does not belong to its certificate.
   */
  constructor(options: TlsOptions, old?: Tls) {
    this.#context = new Context(options, old && old.#context);
  }

  /** What of its files deserves a warning. */
  get warnings(): readonly Warning[] {
    return this.#context.warnings;
  }

  /**
   * Performs the handshake; resolves to a connection that carries the decrypted bytes. There is no
   * timeout: close `client` to abort.
   *
   * @throws The client did not speak TLS, has no acceptable certificate, rejected the handshake, or
   * left. It has been sent an alert then, where it can read one.
   */
  async handshake(client: Connection): Promise<Connection> {
    const context = this.#context;
    const stream = new TlsStream(client);
    try {
      context.start(stream);
      const tls = context.factsOf(await stream.handshake());
      return new Connection(stream, { ...client.facts, tls });
    } catch (error) {
      await stream.flush();
      if (!stream.hasSent) await client.write(HANDSHAKE_FAILURE).catch(() => {});
      stream.abandon();
      throw error;
    }
  }
}

/** What the files say: an engine that is set up with them. */
class Context {
  readonly warnings: readonly Warning[];
  readonly #server: Server;
  /** The certificates that clients' are verified with; none if clients need none. */
  readonly #authorities: readonly X509Certificate[];
  /** The fingerprints of the client certificates that have been verified, oldest first. */
  readonly #verified: Set<string>;
  /** Those that were verified while there were authorities that are gone. */
  readonly #verifiedBefore: ReadonlySet<string>;

  /** @param old The context that this one replaces. */
  constructor(options: TlsOptions, old?: Context) {
    const { cert, key, clientCa, alpn, tlsMin } = options;
    this.#authorities = clientCa.flatMap(readAuthorities);
    const isThere = ({ fingerprint256 }: X509Certificate) =>
      this.#authorities.some((authority) => authority.fingerprint256 === fingerprint256);
    const isValidStill = old !== undefined && old.#authorities.every(isThere);
    this.#verified = isValidStill ? old.#verified : new Set();
    const before = old === undefined ? [] : [...old.#verifiedBefore, ...old.#verified];
    this.#verifiedBefore = isValidStill
      ? old.#verifiedBefore
      : new Set(before.slice(-MAX_VERIFIED));
    for (const { length } of alpn.map((protocol) => new TextEncoder().encode(protocol))) {
      if (length < 1 || length > 255) throw new RangeError("an ALPN protocol has 1 to 255 bytes");
    }
    const needsClient = this.#authorities.length > 0;
    const settings = {
      ...(needsClient && { ca: this.#authorities.map(String) }),
      minVersion: `TLSv${tlsMin}` as const,
      requestCert: needsClient,
      ALPNProtocols: [...alpn],
      handshakeTimeout: -1, // none: its timer would keep a client that has gone in memory
    };
    const identities = cert.map((file, index) => readIdentity(file, key[index]!));
    this.warnings = identities.flatMap(({ warnings }) => warnings);
    identities.forEach(({ cert, key }, index) => {
      requireUsable(createServer({ ...settings, cert, key }), options.key[index]!);
    });
    const [first] = identities;
    this.#server = createServer({
      ...settings,
      cert: first!.cert,
      key: first!.key,
      // With it, the engine sends no alert to a client that does not speak TLS (seen on Deno 2.9).
      ...(identities.length > 1 && { SNICallback: selectByName(identities, settings) }),
    });
  }

  /** Starts the engine for a client. */
  start(stream: TlsStream): void {
    startEngine(this.#server, stream.wire, {
      secured: (socket) => stream.attach(socket),
      failed(error, { authorizationError }) {
        stream.fail(
          authorizationError
            ? new Error(`the client's certificate was not accepted: ${authorizationError}`)
            : error,
        );
      },
    });
  }

  /**
   * What the handshake has settled.
   *
   * @throws The client's certificate has not been verified.
   */
  factsOf(socket: TLSSocket): TlsFacts {
    const { servername, alpnProtocol } = socket as TLSSocket & { servername?: string | false };
    return {
      protocol: socket.getProtocol()!,
      cipher: socket.getCipher().name,
      ...(servername && { serverName: servername }),
      ...(alpnProtocol && { alpn: alpnProtocol }),
      ...(this.#authorities.length > 0 && { client: this.#verifiedClient(socket) }),
    };
  }

  /** The subject of a client's certificate, which has been verified. */
  #verifiedClient(socket: TLSSocket): NonNullable<TlsFacts["client"]> {
    const certificate = socket.getPeerX509Certificate();
    if (!certificate || !this.#isVerified(socket, certificate)) {
      throw new Error("the client's certificate was not verified");
    }
    const { fingerprint256, raw } = certificate;
    const subject = subjectOf(raw);
    if (subject.text.length > MAX_SUBJECT) {
      throw new Error(`the subject of the client's certificate is longer than ${MAX_SUBJECT}`);
    }
    this.#verified.delete(fingerprint256);
    this.#verified.add(fingerprint256);
    if (this.#verified.size > MAX_VERIFIED) {
      this.#verified.delete(this.#verified.values().next().value!);
    }
    return subject;
  }

  /**
   * The engine verifies a certificate in a full handshake only: a resumed session brings one along
   * that may have been refused, or accepted by another server of this process (seen on Deno 2.9). So
   * it has to be one that this server has verified; once an authority is gone, one of those that are
   * left has to have issued it, too.
   */
  #isVerified(socket: TLSSocket, certificate: X509Certificate): boolean {
    if (!socket.isSessionReused()) return socket.authorized;
    const { fingerprint256, validTo } = certificate;
    if (Date.parse(validTo) < Date.now()) return false;
    return this.#verified.has(fingerprint256) ||
      this.#verifiedBefore.has(fingerprint256) &&
        this.#authorities.some(({ publicKey }) => certificate.verify(publicKey));
  }
}

/** What a server of node's says about a client. */
interface EngineEvents {
  /** The handshake is complete. */
  secured?(socket: TLSSocket): void;
  /** The handshake has failed. */
  failed(error: Error, socket: { readonly authorizationError?: unknown }): void;
}

/**
 * Has a server of node's perform the handshake on `wire`. The server itself does not say which client
 * an event is about, so it works here as an object that inherits from it and has events of its own.
 */
function startEngine(server: Server, wire: Duplex, { secured, failed }: EngineEvents): void {
  const one: Server = Object.create(server);
  one.emit = (event: string, ...[first, second]: unknown[]) => {
    if (event === "secureConnection") secured?.(first as TLSSocket);
    if (event === "tlsClientError") failed(first as Error, second as TLSSocket);
    return true;
  };
  EventEmitter.prototype.emit.call(one, "connection", wire);
}

/** Throws if the engine has no use for a server's key: it says so when it starts. */
function requireUsable(server: Server, keyFile: string): void {
  let error: Error | undefined;
  const wire = new Duplex({ read() {} });
  startEngine(server, wire, { failed: (reason) => error ??= reason });
  const { message } = error ?? {};
  wire.destroy();
  if (message !== undefined) {
    throw new Error(`TLS has no use for the key in ${keyFile}: ${message}`);
  }
}

/** Selects the identity for the name that a client asks for, by default the first. */
function selectByName(
  identities: readonly Identity[],
  settings: SecureContextOptions,
): (name: string, callback: (error: null, context: SecureContext) => void) => void {
  const contexts = identities.map(({ cert, key }) =>
    createSecureContext({ ...settings, cert, key })
  );
  return (name, callback) => {
    const index = identities.findIndex(({ names }) =>
      names.some((pattern) => matches(pattern, name))
    );
    callback(null, contexts[Math.max(index, 0)]!);
  };
}

/** Whether a name is one that a certificate is for; `*.` stands for one label (RFC 6125). */
function matches(pattern: string, name: string): boolean {
  const lowerCase = name.toLowerCase();
  return pattern === lowerCase || pattern === lowerCase.replace(/^[^.]+/, "*");
}
