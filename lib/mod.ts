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
} from "./handler.ts";
export type { Rate, Refusal } from "./admission.ts";
export { ListenError } from "./listener.ts";
export type { Observer } from "./observer.ts";
export type { RefusalReason } from "./reception.ts";
export { Server, type ServerStatus } from "./server.ts";
export type { ConnectionStatus } from "./session.ts";
export type { ServerOptions } from "./settings.ts";
export type { StderrMode, StopSignal } from "./worker.ts";
