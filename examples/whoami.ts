/**
 * Who is there? With `--send-proxy 1` a handler is told on stdin, before the client's first byte, by
 * one line: the PROXY header, version 1, of HAProxy's specification. A process that started before
 * its client can learn it in no other way. This one tells the client, then echoes what it says.
 *
 *     deno run --allow-net --allow-run main.ts --send-proxy 1 examples/whoami.ts
 *
 * The first line is always spawnd's, so no client can pass for another one.
 *
 * @module
 */

/** The longest header there can be, its end of line included. */
const LONGEST_HEADER = 107;
const LF = 10;

/** Reads a header, in whatever pieces it comes, and what came behind it. */
async function readHeader(): Promise<[header: string, rest: Uint8Array<ArrayBuffer>]> {
  const bytes = new Uint8Array(LONGEST_HEADER);
  let length = 0;
  let end = 0;
  while (end === 0 && length < LONGEST_HEADER) {
    const count = await Deno.stdin.read(bytes.subarray(length));
    if (count === null) break;
    length += count;
    end = bytes.subarray(0, length).indexOf(LF) + 1;
  }
  return [new TextDecoder().decode(bytes.subarray(0, end)), bytes.slice(end, length)];
}

/** What to tell the client a header is about; `undefined` if it is none. */
function greetingFor(header: string): string | undefined {
  if (/^PROXY UNKNOWN[ \r]/.test(header)) return "I cannot tell who you are.";
  const [, address, port] = /^PROXY TCP[46] (\S+) \S+ (\d+) \d+\r\n$/.exec(header) ?? [];
  return address && `You are ${address}, port ${port}.`;
}

const [header, rest] = await readHeader();
if (header === "" && rest.length === 0) Deno.exit(); // it was kept warm, and no client came

const greeting = greetingFor(header);
if (greeting === undefined) {
  console.error("whoami.ts got no PROXY header: start spawnd with --send-proxy 1");
  Deno.exit(1);
}
console.log(greeting);
try {
  const output = Deno.stdout.writable.getWriter();
  await output.write(rest);
  output.releaseLock();
  await Deno.stdin.readable.pipeTo(Deno.stdout.writable);
} catch (error) {
  if (!(error instanceof Deno.errors.BrokenPipe)) throw error; // the client has left
}
