/**
 * Tests in a network namespace of their own, with nothing but a loopback interface: they may set what
 * elsewhere would hold for the whole machine.
 *
 * @module
 */

import { assert } from "@std/assert";
import { run } from "./_service.ts";

/** For a test in a namespace of its own: the variable with the namespace that it has left. */
const LEFT = "SPAWND_TEST_LEFT_NAMESPACE";
const NAMESPACE = Deno.readLinkSync("/proc/self/ns/net");
const MIGRATE_REQ = "/proc/sys/net/ipv4/tcp_migrate_req";

/**
 * The command that runs a shell script, with the words after it as its arguments, in a new namespace
 * and on a single processor core. On several, the kernel (seen on 6.18) resets a connection whose handshake one core
 * completes in the very microsecond in which another closes the listener, migration or not.
 */
function inNamespace(script: string, ...command: string[]): string[] {
  const asRoot = Deno.uid() === 0 ? [] : ["--map-root-user"];
  const setUp = `ip link set lo up && ${script}`;
  const [, core] = /^Cpus_allowed_list:\s+(\d+)/m.exec(Deno.readTextFileSync("/proc/self/status"))!;
  const alone = ["timeout", "120", "taskset", "--cpu-list", core!, "unshare", "--net", ...asRoot];
  return [...alone, "sh", "-c", setUp, "sh", ...command];
}

/** Whether this machine has all that the tests do in a namespace. */
async function isPossible(): Promise<boolean> {
  const script =
    `echo 1 >${MIGRATE_REQ} && tc qdisc add dev lo root tbf rate 1mbit burst 2k limit 9k`;
  try {
    return (await run(inNamespace(script))).code === 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

const isInside = ![undefined, NAMESPACE].includes(Deno.env.get(LEFT));
const CAN_RUN = isInside || await isPossible();

/**
 * Declares a test that runs in a namespace, in a `deno test` of its own that runs this one test of
 * the file. Where no namespace can be made, it is ignored.
 */
export function testInNamespace(name: string, fn: () => Promise<void>): void {
  const needs = "needs a network namespace with tc: apt-get install iproute2 util-linux";
  Deno.test({ name: `${name} (${needs})`, ignore: !CAN_RUN, fn: isInside ? fn : runInside });

  async function runInside(): Promise<void> {
    const test = [Deno.execPath(), "test", "--allow-all", "--no-check", "--filter", name];
    const command = inNamespace('exec "$@"', ...test, Deno.mainModule);
    const { code, stdout, stderr } = await run(command, { env: { [LEFT]: NAMESPACE } });
    assert(code === 0 && stdout.includes("| 1 passed | 0 failed"), stdout + stderr);
  }
}

/** Says whether the kernel moves connections from a listener that closes to another on its port. */
export async function setMigration(isOn: boolean): Promise<void> {
  await Deno.writeTextFile(MIGRATE_REQ, isOn ? "1" : "0");
}

/** Sets how packets leave the loopback interface; see tc(8). */
export async function tc(...commands: string[]): Promise<void> {
  for (const command of commands) {
    const { code, stderr } = await run(["tc", ...command.split(" ")]);
    assert(code === 0, `tc ${command}: ${stderr}`);
  }
}
