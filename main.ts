/**
 * The command: from its arguments to a running server, from signals to an exit code.
 *
 * @module
 */

import config from "./deno.json" with { type: "json" };
import { formatAddress } from "./lib/client.ts";
import { HandlerError } from "./lib/handler.ts";
import { configureLog, log } from "./lib/log.ts";
import { type CommandLine, parseCommandLine, usage, UsageError } from "./lib/options.ts";
import { Server } from "./lib/server.ts";
import { resolveSettings } from "./lib/settings.ts";

/** Signals that end the server, with their numbers (signal(7)). */
const STOP_SIGNALS = Deno.build.os === "windows"
  ? ({ SIGINT: 2, SIGBREAK: 21 } as const)
  : ({ SIGINT: 2, SIGTERM: 15 } as const);

/** Why the server does not run, in one line that says what to do. */
class StartError extends Error {}

async function main(args: readonly string[]): Promise<number> {
  const commandLine = parseCommandLine(args);
  if (commandLine.show !== undefined) {
    console.log(commandLine.show === "help" ? usage().trimEnd() : `spawnd ${config.version}`);
    return 0;
  }
  configureLog({
    level: commandLine.logLevel,
    format: commandLine.logFormat,
    color: Deno.stderr.isTerminal() && !Deno.noColor,
  });
  // One connection's trouble, even where it is a mistake in this program, must not end the others.
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    log.error("internal error", { stack: event.reason?.stack ?? String(event.reason) });
  });

  // The first signal drains, the next one kills; before there is a server there is nothing to stop.
  let stop = (_status: number): void => Deno.exit(0);
  for (const [signal, number] of Object.entries(STOP_SIGNALS)) {
    Deno.addSignalListener(signal as Deno.Signal, () => stop(128 + number));
  }
  const server = await start(commandLine);
  stop = () => {
    stop = (status) => {
      server.kill();
      Deno.exit(status);
    };
    server.shutdown();
  };
  if (Deno.build.os !== "windows") {
    Deno.addSignalListener("SIGHUP", () => server.refresh());
    // On SIGUSR1 Deno opens its inspector besides (since 2.9.2), so there is another signal to ask by.
    for (const signal of ["SIGUSR1", "SIGUSR2"] as const) {
      Deno.addSignalListener(signal, () => log.info("status", { ...server.status() }));
    }
  }
  console.log(`spawnd listening on ${formatAddress(server.addr)}`);
  return await server.finished ? 0 : 1;
}

/** Starts the server, or says in a {@linkcode StartError} what keeps it from starting. */
async function start({ server: options }: CommandLine): Promise<Server> {
  const { hostname, port, handler } = resolveSettings(options);
  const address = formatAddress({ transport: "tcp", hostname, port });
  const granted = (permission: Deno.PermissionDescriptor) =>
    Deno.permissions.querySync(permission).state === "granted";
  if (!granted({ name: "net", host: address })) {
    throw new StartError(`Deno does not allow listening on ${address}: add --allow-net`);
  }
  if (!granted({ name: "run", command: handler.command })) {
    throw new StartError(`Deno does not allow running ${handler.command}: add --allow-run`);
  }
  try {
    return await Server.listen(options);
  } catch (error) {
    if (error instanceof HandlerError) throw new StartError(error.message);
    const why = explain(error);
    if (why === undefined) throw error;
    throw new StartError(`Cannot listen on ${address}: ${why}`);
  }
}

/** Why listening failed and what to do about it; nothing for an error that is our own. */
function explain(error: unknown): string | undefined {
  if (error instanceof Deno.errors.AddrInUse) {
    return "the port is taken; stop what listens there, or choose another with --port";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "the system does not allow this port; choose one from 1024 up with --port";
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return "this machine has no such address; choose another with --host";
  }
  if (error instanceof Error && error.message.startsWith("failed to lookup address")) {
    return "there is no such host; choose another with --host";
  }
}

if (import.meta.main) {
  let code;
  try {
    code = await main(Deno.args);
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`spawnd: ${error.message}\nTry --help for all options.`);
      code = 2;
    } else if (error instanceof StartError) {
      console.error(`spawnd: ${error.message}`);
      code = 1;
    } else throw error;
  }
  Deno.exit(code);
}
