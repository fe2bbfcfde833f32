/**
 * `--check`: what would be served, or what would keep it from being served, as far as that can be
 * found out without listening.
 *
 * @module
 */

import { formatWarning } from "../base/warning.ts";
import { messageOf } from "../base/message_of.ts";
import { checkChildren } from "../child/children.ts";
import { type Handler, HandlerError } from "../child/handler.ts";
import { needsShell } from "../child/launch.ts";
import { formatSocketAddress } from "../net/address.ts";
import { formatListenAddress } from "../net/listen_address.ts";
import { type Option, OPTIONS, type ServerOptions } from "../server/options.ts";
import {
  childrenProblem,
  descriptorsWarning,
  resolveSettings,
  warningsOf,
} from "../server/settings.ts";
import { type CommandLine, type CommandSettings, DEFAULTS } from "./command_line.ts";
import type { ConfigurationError } from "./config_file.ts";
import { SHARED_OPTIONS } from "./config_keys.ts";
import { listenAddresses } from "./listen_addresses.ts";
import { formatValue } from "./option_values.ts";
import { isGranted, missingPermissions } from "./permissions.ts";
import { shown, UsageError } from "./usage_error.ts";
import { readServices } from "./wanted.ts";

/** What can be served. */
export interface Checked {
  readonly text: string;
  /** One line each. */
  readonly warnings: readonly string[];
}

/** What is found out about a service. */
interface Findings {
  /** What keeps it from being served. */
  readonly problems: string[];
  readonly warnings: string[];
  /** How many descriptors the server may have, where that is known. */
  descriptors: number | undefined;
}

/**
 * Checks what a command line asks for, and describes it.
 *
 * @param signal Ends the checks.
 * @return A text to print, without a line break at its end, and what a start would warn of.
 * @throws {UsageError} It cannot be served as it is; with all that is wrong, in the file and besides.
 */
export async function check(commandLine: CommandLine, signal: AbortSignal): Promise<Checked> {
  const problems: string[] = [];
  let configuration;
  try {
    configuration = await readServices(commandLine);
  } catch (error) {
    if (!(error instanceof UsageError && "rest" in error)) throw error;
    problems.push(...error.problems);
    configuration = (error as ConfigurationError).rest;
  }
  const { services, maxChildren } = configuration;
  const blocks = [describeCommand(configuration)];
  const warnings = [...commandLine.warnings];
  const named = (name: string) => (text: string) => name === "" ? text : `${name}: ${text}`;
  const settings = [...services.values()].map(resolveSettings);
  let allowed: number | undefined;
  for (const [name, options] of services) {
    const found = await inspect(options, signal);
    problems.push(...found.problems.map(named(name)));
    warnings.push(...found.warnings.map(named(name)));
    allowed ??= found.descriptors;
    blocks.push(describe(name, options));
  }
  problems.push(...missingPermissions(configuration));
  const limit = childrenProblem(settings, maxChildren);
  if (limit !== undefined) problems.push(limit);
  const warning = allowed && descriptorsWarning(settings, maxChildren, allowed);
  if (warning) warnings.push(warning);
  signal.throwIfAborted();
  if (problems.length > 0) throw new UsageError([...new Set(problems)]);
  return { text: blocks.filter((block) => block !== "").join("\n\n"), warnings };
}

/** Finds out whether a service can be served, but for permissions. */
async function inspect(options: ServerOptions, signal: AbortSignal): Promise<Findings> {
  const settings = resolveSettings(options);
  const { cert, key, clientCa } = settings;
  const findings: Findings = {
    problems: [],
    warnings: warningsOf(settings),
    descriptors: undefined,
  };
  const { problems, warnings } = findings;
  if (
    cert.length > 0 &&
    [...cert, ...key, ...clientCa].every((path) => isGranted({ name: "read", path }))
  ) {
    const { Tls } = await import("../net/tls.ts");
    try {
      warnings.push(...new Tls(settings).warnings.map(formatWarning));
    } catch (error) {
      problems.push(`TLS: ${messageOf(error)}`);
    }
  }
  if (needsShell(settings) && !isGranted({ name: "run", command: "sh" })) return findings;
  try {
    const found = await checkChildren(settings, { signal });
    warnings.push(...found.warnings);
    findings.descriptors = found.descriptors;
  } catch (error) {
    if (!(error instanceof HandlerError) || signal.aborted) throw error;
    problems.push(error.message);
  }
  return findings;
}

/** What the command itself does besides, if anything. */
function describeCommand({ status, maxChildren }: CommandSettings): string {
  return block("spawnd", [
    ...(status ? [["status", formatSocketAddress(status)] as const] : []),
    ...(maxChildren === DEFAULTS.maxChildren ? [] : [["max-children", `${maxChildren}`] as const]),
  ]);
}

/** A service: where it listens, what it runs, and every option that is not the default. */
function describe(name: string, options: ServerOptions): string {
  const { handler } = options;
  const addresses = listenAddresses(options).map(formatListenAddress);
  const given = options as unknown as Record<string, unknown>;
  return block(name || handler.name, [
    ["listen", addresses.map(shown).join(" ")],
    ...describeHandler(handler),
    ["warm", String(options.warm ?? handler.warm)],
    ...SHARED_OPTIONS.filter(([key, option]) => key !== "warm" && isChanged(given[key], option))
      .map(([key, option]) => [option.name, describeValue(option, given[key])] as const),
  ]);
}

/** The handler as a configuration file would have it. */
function describeHandler(handler: Handler): [string, string][] {
  const { name, command, args, isSandboxed, inspections } = handler;
  if (name === "counter" && command === Deno.execPath()) {
    return [["handler", "the counter service"]];
  }
  if (!isSandboxed) return [["command", [command, ...args].map(shown).join(" ")]];
  const at = args.indexOf(name);
  const grants = args.slice(0, at).flatMap((flag) => /^--allow-(.+)/s.exec(flag)?.[1] ?? []);
  return [
    ["module", args.slice(at).map(shown).join(" ")],
    ...(grants.length > 0 ? [["grant", grants.map(shown).join(" ")] as [string, string]] : []),
    ...(inspections?.types ? [["check-types", "true"] as [string, string]] : []),
  ];
}

/** Whether a value is given that is not the default. */
function isChanged(value: unknown, { default: standard }: Option): boolean {
  return value !== undefined && JSON.stringify(value) !== JSON.stringify(standard);
}

/** A value as text; of a switch, that it is on. */
function describeValue(option: Option, value: unknown): string {
  return option.argument === undefined ? "true" : formatValue(option, value);
}

/** A name, and facts below it; empty if there are none. */
function block(name: string, facts: readonly (readonly [string, string])[]): string {
  const width = Math.max(...Object.values<Option>(OPTIONS).map(({ name }) => name.length));
  const lines = facts.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`);
  return lines.length === 0 ? "" : [name, ...lines].join("\n");
}
