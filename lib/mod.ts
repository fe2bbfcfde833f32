/**
 * spawnd as a library: a TCP server that gives every connection a process of its own.
 *
 * @example
 * ```ts ignore
 * import { moduleHandler, Server } from "@spawnd/spawnd";
 *
 * await using server = await Server.listen({ handler: moduleHandler("./handler.ts"), port: 7000 });
 * await server.finished;
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
export type { Rate, Refusal } from "./admission/admission.ts";
export { ListenError } from "./net/listener.ts";
export type { Observer } from "./base/observer.ts";
export type { RefusalReason } from "./admission/intake.ts";
export { Server, type ServerStatus } from "./server/server.ts";
export type { ConnectionStatus } from "./server/session.ts";
export type { ServerOptions } from "./server/settings.ts";
export type { StderrMode, StopSignal } from "./child/worker.ts";
