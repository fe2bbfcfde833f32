/**
 * The command: from its arguments to a running server, from signals to an exit code.
 *
 * @module
 */

import config from "./deno.json" with { type: "json" };
import { LineWriter } from "./lib/base/line_writer.ts";
import { configureLog, flushLog, log, type LogOptions, PRIORITIES } from "./lib/base/log.ts";
import { messageOf } from "./lib/base/message_of.ts";
import { printable } from "./lib/base/quote.ts";
import { readVariable } from "./lib/base/variable.ts";
import type { Checked } from "./lib/cli/check.ts";
import { type CommandLine, parseCommandLine, UsageError } from "./lib/cli/command_line.ts";
import type { Configuration } from "./lib/cli/config_file.ts";
import { missingPermissions } from "./lib/cli/permissions.ts";
import { readAgain, readServices, wantedOf } from "./lib/cli/wanted.ts";
import { ListenError } from "./lib/net/listener.ts";
import { ServicesError } from "./lib/server/services_error.ts";
import { Services } from "./lib/server/services.ts";
import type { StatusListener } from "./lib/status/listener.ts";
import type { Notifier } from "./lib/systemd/notify.ts";

/** Signals that end the server, with their numbers (signal(7)). */
const STOP_SIGNALS = Deno.build.os === "windows"
  ? ({ SIGINT: 2, SIGBREAK: 21 } as const)
  : ({ SIGINT: 2, SIGTERM: 15 } as const);

/** How long the exit waits for stdout and stderr to be read, in milliseconds. */
const EXIT_FLUSH_MS = 1_000;

const format = (line: string) => `${printable(line)}\n`;
/** Either may have no reader. Writes are queued, so serving never blocks on them. */
const stdout = new LineWriter({ sink: Deno.stdout, format });
const stderr = new LineWriter({ sink: Deno.stderr, format });

/** Why the server cannot start; each problem is one line that says what to do. */
class StartError extends AggregateError {}

/** Serves until signals end it; resolves to the exit code. */
async function main(args: readonly string[]): Promise<number> {
  if (Deno.build.standalone) {
    throw new StartError([
      "deno compile cannot make a program of spawnd: its children need deno. Use deno install",
    ]);
  }
  const commandLine = parseCommandLine(args);
  if (commandLine.show !== undefined) {
    const { usage } = await import("./lib/cli/usage.ts");
    const text = commandLine.show === "help" ? usage().trimEnd() : `spawnd ${config.version}`;
    for (const line of text.split("\n")) stdout.write(line);
    return 0;
  }
  if (commandLine.check) {
    const { text, warnings } = await check(commandLine);
    for (const line of text.split("\n")) stdout.write(line);
    await stdout.flush(EXIT_FLUSH_MS); // where both are one file, in this order
    for (const warning of warnings) stderr.write(`spawnd: warning: ${warning}`);
    return 0;
  }
  const configuration = await readServices(commandLine);
  configureLog({
    level: configuration.logLevel,
    format: configuration.logFormat ?? (await isJournal() ? "journal" : "text"),
    terminal: await openTerminal(),
  });
  for (const warning of commandLine.warnings) log.warn(warning);
  // A fault in this program that shows in one connection must not end the others.
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    log.error("internal error", { stack: event.reason?.stack ?? String(event.reason) });
  });

  // Signals may come before anything is served, and must not be the end of it.
  let services: Services | undefined;
  let isReloadDue = false; // it was asked for during the start
  const notifier = await openNotifier(() => services?.summary ?? "starting");
  const stopping = new AbortController();
  let killedBy: number | undefined;
  const stop = (signal: number) => {
    if (stopping.signal.aborted) {
      killedBy = 128 + signal;
      services?.kill();
      setTimeout(() => exit(killedBy!), EXIT_FLUSH_MS); // a process may be beyond killing
    } else {
      stopping.abort();
      notifier?.stopping();
    }
  };
  for (const [signal, number] of Object.entries(STOP_SIGNALS)) {
    Deno.addSignalListener(signal as Deno.Signal, () => stop(number));
  }
  const reload = (services: Services) => {
    const reload = () => services.reload(() => readAgain(commandLine, configuration));
    if (notifier) notifier.reload(reload);
    else reload();
  };
  if (Deno.build.os !== "windows") {
    const hasTerminal = Deno.stderr.isTerminal();
    Deno.addSignalListener("SIGHUP", () => {
      if (hasTerminal && !Deno.stderr.isTerminal()) stop(1); // the terminal has been closed
      else if (services === undefined) isReloadDue = true;
      else reload(services);
    });
    // On SIGUSR1 Deno also opens its inspector (since 2.9.2), hence the second signal.
    for (const signal of ["SIGUSR1", "SIGUSR2"] as const) {
      Deno.addSignalListener(signal, () => services?.logStatus());
    }
  }

  const missing = missingPermissions(configuration);
  if (missing.length > 0) throw new StartError(missing);
  const status = await startStatus(configuration);
  try {
    services = await orStartError(() =>
      Services.start(wantedOf(configuration), {
        once: commandLine.once,
        signal: stopping.signal,
        ...(status && {
          observerOf: (name) => status.observerOf(name),
          listeners: new Map([["the status page", status.addr]]),
        }),
      })
    );
  } catch (error) {
    if (stopping.signal.aborted) return killedBy ?? 0;
    throw error;
  }
  status?.attach(services);
  for (const [name, service] of services.all) {
    const what = name === "" ? "" : `${name} `;
    stdout.write(`spawnd ${what}listening on ${service.addresses.join(" and ")}`);
    for (const page of service.pages) stdout.write(`spawnd ${what}page on ${page}`);
  }
  if (status) stdout.write(`spawnd status on ${status.url}`);
  notifier?.ready();
  if (isReloadDue) reload(services);
  const isClean = await services.finished;
  if (commandLine.once) return killedBy ?? services.lastExit?.code ?? 1;
  return killedBy ?? (isClean ? 0 : 1);
}

/** What `--check` says; its modules are loaded only then. A signal ends it as it would without us. */
async function check(commandLine: CommandLine): Promise<Checked> {
  const stopping = new AbortController();
  for (const [signal, number] of Object.entries(STOP_SIGNALS)) {
    Deno.addSignalListener(signal as Deno.Signal, () => stopping.abort(128 + number));
  }
  const { check } = await import("./lib/cli/check.ts");
  try {
    return await check(commandLine, stopping.signal);
  } catch (error) {
    if (stopping.signal.aborted) return await exit(stopping.signal.reason);
    throw error;
  }
}

/** Starts the status listener; its modules are loaded only then. */
async function startStatus({ status }: Configuration): Promise<StatusListener | undefined> {
  if (status === undefined) return undefined;
  const { StatusListener } = await import("./lib/status/listener.ts");
  return await orStartError(() => StatusListener.listen(status));
}

/** Whether stderr is the journal; what finds out is loaded only where there may be one. */
async function isJournal(): Promise<boolean> {
  const stream = readVariable("JOURNAL_STREAM");
  if (!stream) return false;
  const { isJournal } = await import("./lib/systemd/journal.ts");
  return isJournal(stream);
}

/** What makes the lines for a terminal; its module is loaded only where there is one. */
async function openTerminal(): Promise<LogOptions["terminal"]> {
  if (!Deno.stderr.isTerminal()) return undefined;
  const { terminalFormatter } = await import("./lib/base/terminal_line.ts");
  return terminalFormatter(!Deno.noColor && readVariable("TERM") !== "dumb");
}

/** Opens the way to the service manager; its module is loaded only where there is one. */
async function openNotifier(describe: () => string): Promise<Notifier | undefined> {
  if (!readVariable("NOTIFY_SOCKET")) return undefined;
  const { Notifier } = await import("./lib/systemd/notify.ts");
  return Notifier.open(describe);
}

async function orStartError<T>(start: () => T | Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    if (error instanceof ServicesError) throw new StartError(error.errors);
    if (error instanceof ListenError) throw new StartError([error]);
    throw error;
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
    const priority = await isJournal() ? PRIORITIES.error : "";
    const say = (line: string) => stderr.write(priority + line);
    if (error instanceof UsageError) {
      for (const problem of error.problems) say(`spawnd: ${problem}`);
      if (error.hint) say(error.hint);
    } else if (error instanceof StartError) {
      for (const problem of error.errors) say(`spawnd: ${messageOf(problem)}`);
    } else {
      const stack = String(error instanceof Error ? error.stack : error);
      for (const line of `spawnd: internal error: ${stack}`.split("\n")) say(line);
    }
    code = error instanceof UsageError ? 2 : 1;
  }
  await exit(code);
}
