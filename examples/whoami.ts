/**
 * Tells the client its address, then echoes. With `--send-proxy 1`, a handler reads one line on
 * stdin before the client's first byte: the PROXY header, version 1, of HAProxy's specification. A
 * process that started before its client connected has no other way to learn the address.
 *
 *     deno run --allow-net --allow-run main.ts --send-proxy 1 examples/whoami.ts
 *
 * The first line always comes from spawnd, so no client can impersonate another.
 *
 * @module
 */

/** The longest possible header, including its end of line. */
const LONGEST_HEADER = 107;
const LF = 10;

/** Reads a header, in whatever pieces it arrives, and the bytes that came after it. */
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

/** The greeting for the client in a header; `undefined` if the header is not valid. */
function greetingFor(header: string): string | undefined {
  if (/^PROXY UNKNOWN[ \r]/.test(header)) return "I cannot tell who you are.";
  const [, address, port] = /^PROXY TCP[46] (\S+) \S+ (\d+) \d+\r\n$/.exec(header) ?? [];
  return address && `You are ${address}, port ${port}.`;
}

const [header, rest] = await readHeader();
if (header === "" && rest.length === 0) Deno.exit(); // it was kept warm, and no client connected

const greeting = greetingFor(header);
if (greeting === undefined) {
  console.error("whoami.ts got no PROXY header: start spawnd with --send-proxy 1");
  Deno.exit(1);
}
console.log(greeting);
// Web streams from here on: they cost more than reading directly, but write everything, at the pace of
// the client.
try {
  const output = Deno.stdout.writable.getWriter();
  await output.write(rest);
  output.releaseLock();
  await Deno.stdin.readable.pipeTo(Deno.stdout.writable);
} catch (error) {
  if (!(error instanceof Deno.errors.BrokenPipe)) throw error; // the client has disconnected
}
