/**
 * The server's memory stays bounded, whatever a WebSocket's client sends or does not read, and
 * nothing of it is left afterwards.
 */

import { assert, assertEquals } from "@std/assert";
import { childrenOf, descriptorsOf, memoryOf, untilOutputStops } from "./_processes.ts";
import { concat } from "./_sockets.ts";
import { until, untilSteady } from "./_waiting.ts";
import { frame } from "./_web_frames.ts";
import { serveWebScript, WebClient } from "./_web_socket.ts";

const MB = 1024 * 1024;
/**
 * What the server may take more than before, a part of what flows. A garbage collector needs room: on
 * a busy machine, 107 MB were seen under short lines, where 40 to 70 are usual.
 */
const ROOM = 150 * MB;

/** A flood of one frame, many times in one write. */
function many(one: Uint8Array, bytes = MB): Uint8Array<ArrayBuffer> {
  return concat(Array.from({ length: Math.ceil(bytes / one.length) }, () => one));
}

/** What a client sends without reading. */
interface Flood {
  readonly script: string;
  readonly mode?: string;
  readonly begin?: Uint8Array;
  readonly data: Uint8Array;
  /** How much of it; what is small takes the server longer. */
  readonly bytes?: number;
  /** Whether the server takes all of it. */
  readonly isTaken: boolean;
}

const FLOODS: Record<string, Flood> = {
  "one message of 200 MB to a child that does not read": {
    script: "exec sleep 60",
    begin: frame("binary", "", { length: 200 * MB }),
    data: new Uint8Array(MB),
    isTaken: false,
  },
  "one message of 200 MB to a child that reads": {
    script: "exec cat >/dev/null",
    begin: frame("binary", "", { length: 200 * MB }),
    data: new Uint8Array(MB),
    isTaken: true,
  },
  "messages of 1 MB to a child that does not read": {
    script: "exec sleep 60",
    data: frame("text", "x".repeat(MB)),
    isTaken: false,
  },
  "small messages to a child that does not read": {
    script: "exec sleep 60",
    data: many(frame("text", "hello")),
    isTaken: false,
  },
  "small messages, in lines, to a child that reads": {
    script: "exec cat >/dev/null",
    mode: "lines",
    data: many(frame("text", "hello")),
    bytes: 50 * MB,
    isTaken: true,
  },
  "pings, of a client that does not read": {
    script: "exec cat",
    data: many(frame("ping", "x".repeat(125))),
    isTaken: false,
  },
  "pongs that nobody asked for": {
    script: "exec cat",
    data: many(frame("pong", "x".repeat(125))),
    bytes: 50 * MB,
    isTaken: true,
  },
  "empty fragments of one message": {
    script: "exec cat",
    begin: frame("text", "", { isFinal: false }),
    data: many(frame("continuation", "", { isFinal: false })),
    bytes: 50 * MB,
    isTaken: true,
  },
  "empty messages": {
    script: "exec cat >/dev/null",
    data: many(frame("binary")),
    bytes: 50 * MB,
    isTaken: true,
  },
  "messages to a child that sends them back, of a client that does not read": {
    script: "exec cat",
    data: many(frame("text", "x".repeat(1000))),
    isTaken: false,
  },
};

for (
  const [name, { script, mode = "bytes", begin, data, bytes = 200 * MB, isTaken }] of Object
    .entries(FLOODS)
) {
  Deno.test(`memory stays bounded under ${name}`, async () => {
    await using spawnd = await serveWebScript(
      script,
      ...["--ws-mode", mode, "--ws-max-message", `${2 ** 30}`, "--kill-timeout", "0.1"],
      ...["--stderr", "null", "--ws-ping", "0.5"],
    );
    const descriptors = await untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
    const client = await WebClient.connect(spawnd);
    await spawnd.record({ message: "open" });
    const before = memoryOf(spawnd.pid);
    let sent = 0;
    let most = 0;
    const measure = () => most = Math.max(most, memoryOf(spawnd.pid) - before);
    const sending = (async () => {
      if (begin) await client.send(begin);
      for (; sent < bytes; sent += data.length) await client.send(data);
    })().catch(() => {});
    if (isTaken) {
      await until("all to be taken", () => (measure(), sent >= bytes), 60_000);
    } else {
      await untilSteady("what is sent", () => (measure(), sent + 1));
      assert(sent < 50 * MB, `${sent} bytes were taken`);
    }
    assert(most < ROOM, `${most} bytes more`);
    client[Symbol.dispose]();
    await sending;
    await spawnd.record({ message: "end" });
    assertEquals(
      await untilSteady("the descriptors", () => descriptorsOf(spawnd.pid)),
      descriptors,
    );
    assertEquals(childrenOf(spawnd.pid), []);
  });
}

/** What a child writes without end; its client does not read at first. */
const OUTPUTS: Record<string, [script: string, mode: string]> = {
  "bytes": ["exec cat /dev/zero", "bytes"],
  "short lines": ["exec yes", "lines"],
  "empty lines": ["exec yes ''", "lines"],
  "a line without an end": ["exec tr '\\0' x </dev/zero", "lines"],
  "bytes that are no text": ["exec tr '\\0' '\\377' </dev/zero", "text"],
};

for (const [name, [script, mode]] of Object.entries(OUTPUTS)) {
  Deno.test(`memory stays bounded under ${name} of a child, whether its client reads or not`, async () => {
    await using spawnd = await serveWebScript(script, "--ws-mode", mode, "--kill-timeout", "0.1");
    const before = memoryOf(spawnd.pid);
    const client = await WebClient.connect(spawnd);
    const { pid } = await spawnd.record({ message: "open" });
    await untilOutputStops(Number(pid));
    const unread = memoryOf(spawnd.pid) - before;
    assert(unread < ROOM, `${unread} bytes more, while it did not read`);
    let most = 0;
    for (let read = 0; read < 200 * MB;) {
      const length = await client.wire.read(new Uint8Array(MB));
      read += length!;
      most = Math.max(most, memoryOf(spawnd.pid) - before);
    }
    assert(most < ROOM, `${most} bytes more, while it read`);
    client[Symbol.dispose]();
    const { reason } = await spawnd.record({ message: "end" });
    assertEquals(reason, "client-reset");
    assertEquals(childrenOf(spawnd.pid), []);
  });
}
