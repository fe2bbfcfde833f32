/**
 * The command: from its arguments to a running server, from signals to an exit code.
 *
 * @module
 */

import config from "./deno.json" with { type: "json" };
import { formatSocketAddress } from "./lib/net/address.ts";
import { ListenError } from "./lib/net/listener.ts";
import { LineWriter } from "./lib/base/line_writer.ts";
import { messageOf } from "./lib/base/message_of.ts";
import { configureLog, flushLog, log } from "./lib/base/log.ts";
import { type CommandLine, parseCommandLine, UsageError } from "./lib/cli/command_line.ts";
import { ServicesError } from "./lib/server/acceptors.ts";
import { Services } from "./lib/server/services.ts";
import { resolveSettings } from "./lib/server/settings.ts";
import type { StatusListener } from "./lib/status/listener.ts";

/** Signals that end the server, with their numbers (signal(7)). */
const STOP_SIGNALS = Deno.build.os === "windows"
  ? ({ SIGINT: 2, SIGBREAK: 21 } as const)
  : ({ SIGINT: 2, SIGTERM: 15 } as const);

/** How long the exit waits for stdout and stderr to be read, in milliseconds. */
const EXIT_FLUSH_MS = 1_000;

const format = (line: string) => `${line}\n`;
/** Either may have no reader. Writes are queued, so serving never blocks on them. */
const stdout = new LineWriter({ sink: Deno.stdout, format });
const stderr = new LineWriter({ sink: Deno.stderr, format });

/** Why the server cannot start; each problem is one line that says what to do. */
class StartError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(problems.join("\n"));
  }
}

/** Serves until signals end it; resolves to the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const commandLine = parseCommandLine(args);
  if (commandLine.show !== undefined) {
    const { usage } = await import("./lib/cli/usage.ts");
    console.log(commandLine.show === "help" ? usage().trimEnd() : `spawnd ${config.version}`);
    return 0;
  }
  configureLog({
    level: commandLine.logLevel,
    format: commandLine.logFormat,
    color: Deno.stderr.isTerminal() && !Deno.noColor,
  });
  // A fault in this program that shows in one connection must not end the others.
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    log.error("internal error", { stack: event.reason?.stack ?? String(event.reason) });
  });

  // Signals may come before anything is served, and must not be the end of it.
  let services: Services | undefined;
  const stopping = new AbortController();
  let killedBy: number | undefined;
  for (const [signal, number] of Object.entries(STOP_SIGNALS)) {
    Deno.addSignalListener(signal as Deno.Signal, () => {
      if (stopping.signal.aborted) {
        killedBy = 128 + number;
        services?.kill();
        setTimeout(() => exit(killedBy!), EXIT_FLUSH_MS); // a process may be beyond killing
      } else stopping.abort();
    });
  }
  if (Deno.build.os !== "windows") {
    Deno.addSignalListener("SIGHUP", () => services?.reload());
    // On SIGUSR1 Deno also opens its inspector (since 2.9.2), hence the second signal.
    for (const signal of ["SIGUSR1", "SIGUSR2"] as const) {
      Deno.addSignalListener(signal, () => services && logStatus(services));
    }
  }

  requirePermissions(commandLine);
  const status = await startStatus(commandLine);
  try {
    const wanted = {
      services: new Map([["", resolveSettings(commandLine.server)]]),
      maxChildren: 0,
    };
    services = await orStartError(() =>
      Services.start(wanted, {
        signal: stopping.signal,
        ...(status && { observerOf: () => status.observer }),
      })
    );
  } catch (error) {
    if (stopping.signal.aborted) return killedBy ?? 0;
    throw error;
  }
  for (const [name, service] of services.all) {
    status?.attach(service);
    const what = name === "" ? "" : `${name} `;
    stdout.write(`spawnd ${what}listening on ${service.addresses.join(" and ")}`);
  }
  if (status) stdout.write(`spawnd status on ${status.url}`);
  const isClean = await services.finished;
  return killedBy ?? (isClean ? 0 : 1);
}

/** Starts the status listener; its modules are loaded only then. */
async function startStatus({ status }: CommandLine): Promise<StatusListener | undefined> {
  if (status === undefined) return undefined;
  const { StatusListener } = await import("./lib/status/listener.ts");
  return await orStartError(() => StatusListener.listen(status));
}

/** Logs the numbers of each service on one line. */
function logStatus({ all }: Services): void {
  for (const [, service] of all) service.logStatus();
}

async function orStartError<T>(start: () => T | Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    if (error instanceof ServicesError) throw new StartError(error.errors.map(messageOf));
    if (error instanceof ListenError) throw new StartError([error.message]);
    throw error;
  }
}

/** Deno would prompt for a missing permission, or throw; a message that names the flag is better. */
function requirePermissions({ server, status }: CommandLine): void {
  const { hostname, port, handler, cert, key, clientCa, unix } = resolveSettings(server);
  const address = formatSocketAddress({ hostname, port });
  const needs: [Deno.PermissionDescriptor, string][] = [
    [{ name: "net", host: address }, `listening on ${address}`],
    [{ name: "run", command: handler.command }, `running ${handler.command}`],
  ];
  if (status) {
    const host = formatSocketAddress(status);
    needs.push([{ name: "net", host }, `serving its status on ${host}`]);
  }
  for (const path of [...cert, ...key, ...clientCa, unix].filter((path) => path !== undefined)) {
    needs.push([{ name: "read", path }, `reading ${path}`]);
  }
  if (unix !== undefined) needs.push([{ name: "write", path: unix }, `writing ${unix}`]);
  for (const [permission, what] of needs) {
    if (Deno.permissions.querySync(permission).state === "granted") continue;
    throw new StartError([`Deno does not allow ${what}: add --allow-${permission.name}`]);
  }
}

/** Flushes the log, stdout and stderr, then exits. */
async function exit(code: number): Promise<never> {
  await Promise.all([flushLog(EXIT_FLUSH_MS), stdout.flush(EXIT_FLUSH_MS)]);
  await stderr.flush(EXIT_FLUSH_MS);
  Deno.exit(code);
}

if (import.meta.main) {
  let code;
  try {
    code = await main(Deno.args);
  } catch (error) {
    if (error instanceof UsageError) {
      stderr.write(`spawnd: ${error.message}\nTry --help for all options.`);
      code = 2;
    } else if (error instanceof StartError) {
      for (const problem of error.problems) stderr.write(`spawnd: ${problem}`);
      code = 1;
    } else throw error;
  }
  await exit(code);
}
