/**
 * One round of the fuzz: starts a server, runs the plan against it, and checks that nothing is lost,
 * left over or still running.
 *
 * @module
 */

import { assert } from "@std/assert";
import { formatProxyHeader } from "../lib/net/proxy_protocol.ts";
import type { Certificates } from "./_certificates.ts";
import { assertAllRecorded, assertAnswers } from "./_fuzz_checks.ts";
import { ask, payload, type Report, runClient } from "./_fuzz_clients.ts";
import { LINGER_MS } from "../lib/net/connection.ts";
import { HANDLERS } from "./_fuzz_handlers.ts";
import type { Plan, SignalPlan } from "./_fuzz_plan.ts";
import { connect, fetchStatus, pause, sendAndReset, type Target, type Way } from "./_load.ts";
import { childrenOf, descriptorsOf, isAlive, processesWith } from "./_processes.ts";
import { receiveAll } from "./_sockets.ts";
import { assertAddsUp, type LogRecord, Spawnd } from "./_spawnd.ts";
import { until, untilSteady, within } from "./_waiting.ts";

/** The files that the servers use. */
export interface Files {
  /** A folder for the Unix socket. */
  readonly folder: string;
  /** Without them there is no TLS. */
  readonly certificates: Certificates | undefined;
}

/** What a round did. */
export interface Tally {
  readonly connections: number;
  /** Answers that were due in full and were compared with what they should be. */
  readonly answers: number;
}

/** A round failed. */
export class RoundError extends Error {
  override readonly name = "RoundError";

  /**
   * @param command The server's command line.
   * @param lines The last lines of its log and output.
   */
  constructor(message: string, readonly command: string, readonly lines: readonly string[]) {
    super(message);
  }
}

/** Longer than any timeout, stop ladder and linger of a plan, on a slow machine. */
const DEADLINE_MS = 20_000;

/** Runs a round. @throws {RoundError} Something does not hold. */
export async function runRound(plan: Plan, files: Files): Promise<Tally> {
  const permissions = ["--allow-net", "--allow-run", "--allow-read", "--allow-write"];
  const args = argsOf(plan, files);
  const spawnd = await Spawnd.startWith(permissions, ...args);
  try {
    const tally = await observe(plan, files, spawnd);
    await spawnd[Symbol.asyncDispose]();
    return tally;
  } catch (error) {
    const command = ["deno run", ...permissions, "main.ts", ...args].join(" ");
    const lines = [...spawnd.log.slice(-40).map((record) => JSON.stringify(record))];
    const message = error instanceof Error ? error.message : String(error);
    const exit = spawnd.exited ? [`it has exited: ${Deno.inspect(spawnd.exited)}`] : [];
    throw new RoundError(message, command, [...lines, ...spawnd.lines.slice(-10), ...exit]);
  } finally {
    await killAll(spawnd);
  }
}

/** What every process of this program's servers has in its environment. */
const MARK = `SPAWND_FUZZ=${crypto.randomUUID()}`;

/** The arguments of a round's server. */
function argsOf(plan: Plan, { folder, certificates }: Files): string[] {
  return [
    ...["--log-level", "debug", "--env", MARK, ...plan.options],
    ...(plan.tls && certificates ? ["--cert", certificates.cert, "--key", certificates.key] : []),
    ...(plan.unix ? ["--unix", `${folder}/socket`] : []),
    ...(plan.web ? ["--websocket", "127.0.0.1:0"] : []),
    ...(plan.status ? ["--status", "0"] : []),
    ...HANDLERS[plan.handler].words,
  ];
}

/** Leaves nothing running after a failure, nor what children may leave behind without a group. */
async function killAll(spawnd: Spawnd): Promise<void> {
  const children = [...(spawnd.exited ? [] : childrenOf(spawnd.pid)), ...processesWith(MARK)];
  if (!spawnd.exited) spawnd.kill("SIGKILL");
  for (const pid of children) tryKill(pid, "SIGKILL");
  await spawnd.ended();
}

function tryKill(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function observe(plan: Plan, files: Files, spawnd: Spawnd): Promise<Tally> {
  const { tls, unix, web, status, resets, stopMs } = plan;
  const cert = tls && files.certificates
    ? await Deno.readTextFile(files.certificates.cert)
    : undefined;
  const webPort = Number(/wss?:\/\/127\.0\.0\.1:(\d+)/.exec(spawnd.stdout)?.[1]);
  const target = { port: spawnd.port, webPort, unix: `${files.folder}/socket`, cert };
  const url = status ? await spawnd.statusUrl() : undefined;

  // What the server opens once and keeps is open from here on.
  const ways: Way["via"][] = [
    "tcp",
    ...(unix ? ["unix" as const] : []),
    ...(web ? ["web" as const] : []),
  ];
  for (const via of ways) await visit(plan, target, via);
  if (url) await fetchStatus(url, "metrics");
  await untilIdle(spawnd);
  const own = () => ownDescriptors(spawnd);
  const before = await untilSteady("the descriptors", own, LINGER_MS + 500);

  const reports = await runAll(plan, target, url, spawnd);
  let connected = ways.length + resets.length +
    reports.filter(({ connected }) => connected).length;
  if (stopMs === undefined) {
    await untilIdle(spawnd, before);
    connected += await assertAllSlotsFree(plan, target, spawnd);
    await untilIdle(spawnd, before);
    const { accepted } = await spawnd.status();
    const lost = spawnd.records({ message: "connection reset before accept" }).length;
    assert(
      Number(accepted) + lost === connected,
      `${connected} clients connected, ${accepted} were accepted and ${lost} reset before that`,
    );
    if (url) assert((await fetchStatus(url, "readyz")).status === 200, "it is idle but not ready");
  }
  await assertStops(plan, spawnd);
  const stopped = await spawnd.record({ message: "stopped" });
  assertAddsUp(stopped);
  assertAllRecorded(spawnd.log, stopped);
  const answers = assertAnswers(plan, reports, spawnd.log);
  return { connections: Number(stopped.accepted), answers };
}

/** A client that says nothing but what it has to, and waits for the end. */
async function visit({ acceptProxy }: Plan, target: Target, via: Way["via"]): Promise<void> {
  const isTcp = via !== "unix";
  const header = isTcp && acceptProxy ? formatProxyHeader(1, {}) : undefined;
  try {
    const way = { via, header, tls: isTcp && target.cert !== undefined };
    using client = await connect(target, way);
    await client.conn.closeWrite();
    await receiveAll(client.conn);
  } catch {
    // Some handlers leave at once, and the source limits may refuse it.
  }
}

/**
 * Asserts that as many clients as there are slots get one at once: none of them is held by a client
 * that has gone. Returns the number of clients.
 */
async function assertAllSlotsFree(plan: Plan, target: Target, spawnd: Spawnd): Promise<number> {
  const slots = Number(plan.options[plan.options.indexOf("--max-connections") + 1]);
  const unserved = async () =>
    Number((await spawnd.status()).busy ?? 0) + spawnd.records({ message: "waiting" }).length;
  const before = await unserved();
  await Promise.all(Array.from({ length: slots }, () => visit(plan, target, "tcp")));
  const count = await unserved() - before;
  assert(count === 0, `${count} of ${slots} clients of an idle server got no slot`);
  return slots;
}

/** Does everything that is planned, at once; resolves when the last client has gone. */
async function runAll(
  { clients, resets, requests, signals, stopMs }: Plan,
  target: Target,
  url: URL | undefined,
  spawnd: Spawnd,
): Promise<Report[]> {
  // A server that has been told to stop need not answer.
  const settle = (promise: Promise<void>) =>
    stopMs === undefined ? promise : promise.catch(() => {});
  const [reports] = await Promise.all([
    Promise.all(
      clients.map((client) =>
        runClient({ ...client, tls: client.tls && target.cert !== undefined }, target)
      ),
    ),
    ...resets.map(async ({ startMs, bytes, ...reset }) => {
      await pause(startMs);
      await settle(sendAndReset({ ...reset, port: target.port, data: payload(bytes) }));
    }),
    ...requests.map((request) => settle(ask(request, url!))),
    ...signals.map((signal) => sendSignal(signal, spawnd)),
    stopLater(stopMs, spawnd),
  ]);
  return reports;
}

/**
 * Waits until every client and its child has gone, and the server has `descriptors` of its own if
 * that is given.
 */
async function untilIdle(spawnd: Spawnd, descriptors?: number): Promise<void> {
  let state = "";
  const isIdle = async () => {
    const numbers = await spawnd.status();
    const { active, waiting, warm } = numbers;
    const children = childrenOf(spawnd.pid).length;
    const own = ownDescriptors(spawnd);
    state = `${Deno.inspect(numbers)}, ${children} children, ${own} descriptors of its own`;
    return active === 0 && waiting === 0 && addsUp(numbers) && children === warm &&
      own === (descriptors ?? own);
  };
  await until(`an idle server with ${descriptors ?? "any"} descriptors`, isIdle, DEADLINE_MS)
    .catch((error) => {
      throw new Error(`${error.message}: ${state}`);
    });
}

/** The descriptors of a server without those of its warm children, while it has no others. */
function ownDescriptors({ pid }: Spawnd): number {
  // A child takes stdin, stdout, the process itself, and stderr if the server reads that.
  const ofChildren = childrenOf(pid).map((child) => hasOwnStderr(child, pid) ? 4 : 3);
  return ofChildren.reduce((own, each) => own - each, descriptorsOf(pid));
}

/** Whether a child's stderr is a pipe that is neither its stdout nor its server's stderr. */
function hasOwnStderr(child: number, server: number): boolean {
  try {
    const [stdout, stderr, others] = [`${child}/fd/1`, `${child}/fd/2`, `${server}/fd/2`]
      .map((path) => Deno.readLinkSync(`/proc/${path}`));
    return stderr!.startsWith("pipe:") && stderr !== stdout && stderr !== others;
  } catch {
    return false; // it has just ended
  }
}

/** Whether no connection is in a handshake. */
function addsUp(numbers: LogRecord): boolean {
  try {
    assertAddsUp(numbers);
    return true;
  } catch {
    return false;
  }
}

async function sendSignal(
  { atMs, to, signal, which, continueMs }: SignalPlan,
  spawnd: Spawnd,
): Promise<void> {
  await pause(atMs);
  if (spawnd.exited) return;
  if (to === "server") return tryKill(spawnd.pid, signal);
  const children = childrenOf(spawnd.pid).sort((a, b) => a - b);
  const pid = children[Math.floor(which * children.length)];
  if (pid === undefined) return;
  tryKill(pid, signal);
  if (continueMs === undefined) return;
  await pause(continueMs);
  tryKill(pid, "SIGCONT");
}

async function stopLater(ms: number | undefined, spawnd: Spawnd): Promise<void> {
  if (ms === undefined) return;
  await pause(ms);
  spawnd.kill("SIGTERM");
}

/** Asserts that the server ends by itself and leaves no child. */
async function assertStops({ stopMs, options }: Plan, spawnd: Spawnd): Promise<void> {
  if (stopMs === undefined) spawnd.kill("SIGTERM");
  const { code } = await within("the server to end", spawnd.ended(), DEADLINE_MS);
  assert(code === 0 || code === 1, `the exit code is ${code}`);
  const children = spawnd.records({ message: "open" }).map(({ pid }) => Number(pid));
  const left = options.includes("--no-group") ? children.filter(isAlive) : processesWith(MARK);
  assert(left.length === 0, `processes are left: ${left.join(" ")}`);
}
