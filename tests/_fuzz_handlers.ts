/**
 * The handlers of the fuzz: programs that behave, and programs that do what a program can do wrong.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { BLOCK_BYTES, counterBlock } from "../lib/child/counter.ts";
import { concat } from "./_sockets.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const encoder = new TextEncoder();

/** What a client has got of the answer it is due. */
export type Verdict = "whole" | "part" | "wrong";

/** Judges what a client received, knowing all that its child may have read. */
export type Judge = (received: Uint8Array, given: Uint8Array) => Verdict;

/** A handler of the fuzz. */
export interface FuzzHandler {
  /** The end of the command line. */
  readonly words: readonly string[];
  /** Whether it is started by Deno, and so costs as much as ten others. */
  readonly isDeno?: boolean;
  /** Whether it is a module that uses `serve()`, which keeps the PROXY header to itself. */
  readonly usesServe?: boolean;
  /** Whether it exits when its input ends. Where it need not, every round has a session timeout. */
  readonly endsWithInput: boolean;
  /** What its clients are due; absent where that depends on the moment. */
  readonly judge?: Judge;
  /** How it exits after it has answered in full. */
  readonly exit: number;
}

function compare(received: Uint8Array, due: Uint8Array): Verdict {
  if (Buffer.compare(received, due.subarray(0, received.length)) !== 0) return "wrong";
  return received.length === due.length ? "whole" : "part";
}

const echo: Judge = compare;
const says = (text: string): Judge => (received) => compare(received, encoder.encode(text));
const greets = (text: string): Judge => (received, given) =>
  compare(received, concat([encoder.encode(text), given]));
const sends = (zeros: number): Judge => (received) => compare(received, new Uint8Array(zeros));

/** A message is what one read of the child returns: 1 to {@linkcode BLOCK_BYTES} bytes. */
const counts: Judge = (received, given) => {
  const blocks = Math.ceil(received.length / BLOCK_BYTES);
  const due = concat(Array.from({ length: blocks }, (_, index) => counterBlock(index)));
  if (compare(received, due) === "wrong" || blocks > given.length) return "wrong";
  const isWhole = received.length === due.length && blocks >= given.length / BLOCK_BYTES;
  return isWhole ? "whole" : "part";
};

/** A shell script; `exit` is its code after it has answered. */
function script(text: string, rest: Partial<FuzzHandler> = {}): FuzzHandler {
  return { words: ["--", "sh", "-c", text], endsWithInput: true, exit: 0, ...rest };
}

const ALL = {
  counter: { words: [], isDeno: true, endsWithInput: true, judge: counts, exit: 0 },
  module: {
    words: [`${ROOT}examples/echo.ts`],
    isDeno: true,
    usesServe: true,
    endsWithInput: true,
    judge: echo,
    exit: 0,
  },
  cat: { words: ["--", "cat"], endsWithInput: true, judge: echo, exit: 0 },
  greeter: script("echo hello; exec cat", { judge: greets("hello\n") }),
  slow: script("sleep 0.2; exec cat", { judge: echo }),
  exits: script("exit 0", { judge: says("") }),
  date: script("echo now", { judge: says("now\n") }),
  fails: script("exit 3", { judge: says(""), exit: 3 }),
  crashes: script("read -r line; echo got; exit 7", { judge: says("got\n"), exit: 7 }),
  dies: script("read -r line; kill -SEGV $$"),
  diesOfRealTimeSignal: script("read -r line; kill -35 $$"),
  sleeps: { words: ["--", "sleep", "20"], endsWithInput: false, exit: 0 },
  ignoresSigterm: script("trap '' TERM; cat; exec sleep 5", { endsWithInput: false, judge: echo }),
  closesStdout: script("exec >&-; while read -r line; do :; done", { judge: says("") }),
  closesStdin: script(
    "exec <&-; for i in 1 2 3 4 5; do echo $i; sleep 0.1; done",
    { judge: says("1\n2\n3\n4\n5\n") },
  ),
  writesMuch: {
    words: ["--", "head", "-c", "3000000", "/dev/zero"],
    endsWithInput: false,
    judge: sends(3_000_000),
    exit: 0,
  },
  writesForever: script("while :; do echo more; sleep 0.05; done", { endsWithInput: false }),
  leavesProcess: script("sleep 60 & exec cat", { judge: echo }),
  leavesGroup: script("(trap '' TERM INT HUP; sleep 60; sleep 60) & sleep 60 | cat; exit 0", {
    endsWithInput: false,
  }),
  killsGroup: script('trap "kill 0" EXIT; sleep 60 & cat', { judge: echo, exit: 143 }),
  tellsStderr: script("echo begin >&2; cat; echo end >&2", { judge: echo }),
} satisfies Record<string, FuzzHandler>;

/** The name of a handler. */
export type HandlerName = keyof typeof ALL;

/** All handlers, by a name for the plan. */
export const HANDLERS: Readonly<Record<HandlerName, FuzzHandler>> = ALL;
