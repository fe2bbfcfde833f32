/**
 * How a WebSocket ends, whichever side ends it: the close code, the record, and the child.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { pause } from "./_load.ts";
import { until, untilSteady, within } from "./_waiting.ts";
import { closeFrame, frame } from "./_web_frames.ts";
import { endOf, serveWeb, serveWebScript, stoppedOf, WebClient } from "./_web_socket.ts";

/** Ends that the child or the server brings about; the client answers the close frame. */
const ENDS: Record<string, {
  script: string;
  options?: string[];
  /** What the client sends first. */
  says?: string;
  messages?: string[];
  closes: [code: number, text: string];
  record: [reason: string, exit: number | string];
}> = {
  "a child that exits with 0": {
    script: "echo one; echo two; printf three",
    messages: ["one", "two", "three"],
    closes: [1000, ""],
    record: ["child-closed", 0],
  },
  "a child that fails": {
    script: "echo one; exit 3",
    messages: ["one"],
    closes: [1011, ""],
    record: ["child-closed", 3],
  },
  "a child that is killed": {
    script: "echo one; kill -9 $$",
    messages: ["one"],
    closes: [1011, ""],
    record: ["child-closed", "SIGKILL"],
  },
  "a child that closes its output, reads on, and exits": {
    script: "echo one; exec >&-; read -r _; exit 0",
    says: "input",
    messages: ["one"],
    closes: [1000, ""],
    record: ["child-closed", 0],
  },
  "a child that closes its output, reads on, and fails": {
    script: "exec >&-; read -r _; exit 7",
    says: "input",
    closes: [1011, ""],
    record: ["child-closed", 7],
  },
  "a client that says nothing for too long": {
    script: "exec cat",
    options: ["--idle-timeout", "0.2"],
    closes: [1008, "idle-timeout"],
    record: ["idle-timeout", 0],
  },
  "a session that lasts too long": {
    script: "exec cat",
    options: ["--session-timeout", "0.2"],
    says: "hello",
    messages: ["hello"],
    closes: [1008, "session-timeout"],
    record: ["session-timeout", 0],
  },
  "a child that leaves its output to another that is silent": {
    script: "sleep 60 & echo one",
    options: ["--eof-timeout", "0.2", "--kill-timeout", "10"],
    messages: ["one"],
    closes: [1011, "eof-timeout"],
    record: ["eof-timeout", 0],
  },
};

for (
  const [name, { script, options = [], says, messages = [], closes, record }] of Object.entries(
    ENDS,
  )
) {
  Deno.test(`${name} closes its WebSocket with ${closes.join(" ").trim()}`, async () => {
    await using spawnd = await serveWebScript(script, ...options);
    using client = await WebClient.connect(spawnd);
    if (says) await client.send(frame("text", says));
    for (const message of messages) assertEquals(await client.message(), message);
    assertEquals(await client.closed(), closes);
    assertEquals(await endOf(spawnd), record);
    assertEquals(await stoppedOf(spawnd), { accepted: 1, ended: 1, cut: 0 });
  });
}

for (
  const [code, reason] of [[1000, "bye"], [1001, ""], [3000, "x"], [4999, ""], [
    undefined,
    "",
  ]] as const
) {
  Deno.test(`a client that closes with ${code ?? "no code"} gets the same, before its child ends`, async () => {
    await using spawnd = await serveWebScript("cat; sleep 0.3; exit 5");
    using client = await WebClient.connect(spawnd);
    await client.send(frame("text", "x"));
    assertEquals(await client.message(), "x");
    await client.send(closeFrame(code, reason));
    assertEquals(await client.closing(), [code, ""]);
    assertEquals(await client.receive(), null);
    assertEquals(spawnd.records({ message: "end" }), []);
    assertEquals(await endOf(spawnd), ["client-closed", 5]);
    assertEquals(await stoppedOf(spawnd), { accepted: 1, ended: 1, cut: 0 });
  });
}

Deno.test("a client that closes is clean to Deno's own client, and its child has some time", async () => {
  await using spawnd = await serveWebScript("cat; exec sleep 60", "--kill-timeout", "0.2");
  const socket = new WebSocket(`ws://127.0.0.1:${spawnd.port}/`);
  const closed = new Promise<CloseEvent>((resolve) => socket.onclose = resolve);
  socket.onopen = () => socket.close(1000);
  const { code, wasClean } = await within("the end", closed);
  assertEquals([code, wasClean], [1000, true]);
  assertEquals(await endOf(spawnd), ["client-closed", "SIGTERM"]);
});

Deno.test("the end of the child is clean to Deno's own client", async () => {
  await using spawnd = await serveWebScript("echo one; exit 1");
  const socket = new WebSocket(`ws://127.0.0.1:${spawnd.port}/`);
  const { code, wasClean } = await within(
    "the end",
    new Promise<CloseEvent>((resolve) => socket.onclose = resolve),
  );
  assertEquals([code, wasClean], [1011, true]);
  assertEquals(await endOf(spawnd), ["child-closed", 1]);
});

Deno.test("both sides close at once", async () => {
  await using spawnd = await serveWebScript("read -r _");
  for (let id = 1; id <= 20; id++) {
    using client = await WebClient.connect(spawnd);
    await client.send(frame("text", "end"));
    if (id % 2) {
      await until(
        "the end of the child",
        () => spawnd.records({ message: "end", id }).length || true,
      );
    }
    await client.send(closeFrame(4000));
    const [code] = await client.closing();
    assert(code === 1000 || code === 4000, `${code}`);
    assertEquals(await client.receive(), null);
    const [reason, exit] = await endOf(spawnd, id);
    assertEquals([reason, exit], [code === 1000 ? "child-closed" : "client-closed", 0]);
  }
  assertEquals(await stoppedOf(spawnd), { accepted: 20, ended: 20, cut: 0 });
});

Deno.test("all that a child has written arrives, though its client goes on sending", async () => {
  await using spawnd = await serveWebScript("head -c 1000000 /dev/zero", "--ws-mode", "bytes");
  using client = await WebClient.connect(spawnd);
  let isOver = false;
  const sending = (async () => {
    while (!isOver) {
      await client.send(frame("binary", new Uint8Array(10_000)));
      await pause(0); // writes that are ready at once would leave no turn to the reads
    }
  })();
  let received = 0;
  for (let next = await client.receive(); next?.kind === "binary"; next = await client.receive()) {
    received += next.bytes.length;
  }
  isOver = true;
  await sending;
  assertEquals(received, 1_000_000);
  await client.send(closeFrame(1000));
  assertEquals(await client.receive(), null);
  const { reason, in: input, dropped } = await spawnd.record({ message: "end" });
  assertEquals(reason, "child-closed");
  assert(Number(input) + Number(dropped) > 0);
});

Deno.test("a client that does not answer the close frame is closed all the same", async () => {
  await using spawnd = await serveWebScript("echo one");
  using client = await WebClient.connect(spawnd);
  assertEquals(await client.message(), "one");
  assertEquals(await client.closing(), [1000, ""]);
  assertEquals(await client.receive(), null);
  assertEquals(await endOf(spawnd), ["child-closed", 0]);
});

Deno.test("a client that closes and reads nothing ends, though its child writes without end", async () => {
  await using spawnd = await serveWebScript(
    "exec cat /dev/zero",
    ...["--ws-mode", "bytes"],
  );
  using client = await WebClient.connect(spawnd);
  const { pid } = await spawnd.record({ message: "open" });
  await untilSteady(
    "the child to be blocked",
    () => Number(/wchar: (\d+)/.exec(Deno.readTextFileSync(`/proc/${pid}/io`))![1]),
  );
  await client.send(closeFrame(1000));
  assertEquals(await endOf(spawnd), ["client-closed", "SIGPIPE"]);
});

Deno.test("a handler that writes to a client that has closed is told at once", async () => {
  await using spawnd = await serveWeb("tests/_ticker.ts");
  using client = await WebClient.connect(spawnd);
  assertEquals(await client.message(), "tick");
  await client.send(closeFrame(1000));
  assertEquals(await endOf(spawnd), ["client-closed", 0]); // long before --kill-timeout
  const { seconds } = await spawnd.record({ message: "end" });
  assert(Number(seconds) < 4, `${seconds}`);
  assertMatch(spawnd.lines.join("\n"), /^told by a write, and by closed$/m);
});

Deno.test("at the end of the server's patience its clients are told that it goes away", async () => {
  await using spawnd = await serveWebScript(
    "exec cat",
    ...["--drain-timeout", "0.2", "--kill-timeout", "0.2"],
  );
  using client = await WebClient.connect(spawnd);
  await client.send(frame("text", "x"));
  assertEquals(await client.message(), "x");
  const stopped = spawnd.stop();
  assertEquals(await client.closed(), [1001, "drain-timeout"]);
  assertEquals((await stopped).code, 1);
  assertEquals(await endOf(spawnd), ["drain-timeout", 0]);
});

Deno.test("a server that is ended twice cuts its clients without a word", async () => {
  await using spawnd = await serveWebScript("trap '' TERM; echo one; sleep 60; sleep 60");
  using client = await WebClient.connect(spawnd);
  assertEquals(await client.message(), "one");
  spawnd.kill("SIGTERM");
  await spawnd.record({ message: "draining" });
  spawnd.kill("SIGTERM");
  assertEquals(await client.receive().catch(() => null), null);
  assertEquals((await spawnd.ended()).code, 143);
  assertEquals(await endOf(spawnd), ["killed", "SIGKILL"]);
});

Deno.test("while the server drains, a client ends as ever", async () => {
  await using spawnd = await serveWeb("--", "cat");
  using client = await WebClient.connect(spawnd);
  await spawnd.record({ message: "open" });
  const stopped = spawnd.stop();
  await spawnd.record({ message: "draining" });
  await client.send(frame("text", "x"));
  assertEquals(await client.message(), "x");
  await client.leave(1000);
  assertEquals((await stopped).code, 0);
});

for (
  const [what, last, due] of [
    ["closes", closeFrame(1000), "client-closed"],
    ["breaks the protocol", frame(3), "protocol-error"],
  ] as const
) {
  Deno.test(`a client that ${what} behind more than its child takes ends all the same`, async () => {
    await using spawnd = await serveWebScript(
      "echo x; exec sleep 60",
      ...["--ws-mode", "bytes", "--kill-timeout", "0.3", "--max-connections", "1"],
    );
    const client = await WebClient.connect(spawnd);
    assert(await client.message()); // its child would else perhaps write to a closed pipe
    await client.send(frame("binary", new Uint8Array(68_000)), last); // the pipe takes 65,536
    for (let next = await client.receive(); next !== null; next = await client.receive()) {
      if (next.kind === "close") break;
    }
    client[Symbol.dispose]();
    assertEquals(await endOf(spawnd), [due, "SIGTERM"]);
    using next = await WebClient.connect(spawnd); // the slot is free
    assert(await next.message());
    await next.leave(1000);
    await endOf(spawnd, 2);
  });
}
