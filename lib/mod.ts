/**
 * spawnd as a library: a TCP server that gives every connection a process of its own.
 *
 * @example Echo every client's bytes with cat(1)
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { commandHandler, Server } from "@spawnd/spawnd";
 *
 * await using server = await Server.listen({
 *   handler: commandHandler("cat"),
 *   hostname: "127.0.0.1",
 *   port: 0, // a free one
 * });
 * using conn = await Deno.connect({ hostname: "127.0.0.1", port: server.addr.port });
 * await conn.write(new TextEncoder().encode("hello"));
 * const buffer = new Uint8Array(5);
 * await conn.read(buffer);
 * assertEquals(new TextDecoder().decode(buffer), "hello");
 * ```
 *
 * It needs `--allow-net` and `--allow-run`, and logs to the LogTape category `spawnd`.
 *
 * @module
 */

export {
  commandHandler,
  counterHandler,
  type Handler,
  HandlerError,
  moduleHandler,
} from "./child/handler.ts";
export type { Rate } from "./admission/token_bucket.ts";
export type { Refusal } from "./admission/admission.ts";
export { ListenError } from "./net/listener.ts";
export type { Observer, RefusedClient } from "./base/observer.ts";
export type { RefusalReason } from "./admission/intake.ts";
export { Server } from "./server/server.ts";
export { END_REASONS, type EndReason } from "./server/end_reason.ts";
export type { ConnectionStatus, ServerStatus, StatusSource } from "./server/server_status.ts";
export type { ListenOptions, ServerOptions } from "./server/options.ts";
export type { StderrMode } from "./child/launch.ts";
export { MESSAGE_MODES, type MessageMode } from "./net/message_mode.ts";
export { TLS_VERSIONS, type TlsVersion } from "./net/tls_version.ts";
export { STOP_SIGNALS, type StopSignal } from "./child/stop_ladder.ts";
