/**
 * WebSockets whose client vanishes: it resets, or it answers no ping.
 */

import { assert, assertEquals } from "@std/assert";
import { pause } from "./_load.ts";
import { descriptorsOf, processesWith } from "./_processes.ts";
import { untilSteady } from "./_waiting.ts";
import { closeFrame, frame } from "./_web_frames.ts";
import { endOf, serveWebScript, stoppedOf, WebClient } from "./_web_socket.ts";
import { NodeWire } from "./_wire.ts";

Deno.test("a connection that ends without a close frame has been lost", async () => {
  await using spawnd = await serveWebScript("cat; sleep 60", "--kill-timeout", "0.1");
  using client = await WebClient.connect(spawnd);
  await client.send(frame("text", "x"));
  assertEquals(await client.message(), "x");
  await (client.wire as Deno.TcpConn).closeWrite();
  assertEquals(await client.receive().catch(() => null), null);
  assertEquals(await endOf(spawnd), ["client-reset", "SIGTERM"]);
});

/** What a client has sent before it resets, and whether its child takes that. */
const RESETS: Record<string, { script: string; frames: Uint8Array[]; answer?: string }> = {
  "that is idle": { script: "exec cat", frames: [frame("text", "x")], answer: "x" },
  "in the middle of a frame": {
    script: "exec cat",
    frames: [frame("text", "x"), frame("text", "half", { length: 100 })],
    answer: "x",
  },
  "of a child that does not read": {
    script: "exec sleep 60",
    frames: [frame("binary", new Uint8Array(900_000))],
  },
  "of a child that writes without end": { script: "exec cat /dev/zero", frames: [] },
  "of a child that has closed its output and does not read": {
    script: "exec >&-; exec sleep 60",
    frames: [frame("binary", new Uint8Array(900_000))],
  },
  "of a child that has closed its output": {
    script: "exec >&-; exec cat >/dev/null",
    frames: [frame("text", "x")],
  },
};

for (const [name, { script, frames, answer }] of Object.entries(RESETS)) {
  Deno.test(`a client ${name} resets: its child ends, and nothing is left`, async () => {
    await using spawnd = await serveWebScript(
      script,
      ...["--ws-mode", answer ? "lines" : "bytes", "--kill-timeout", "0.1"],
    );
    const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
    (await WebClient.connect(spawnd))[Symbol.dispose](); // what is only once opened is now
    await endOf(spawnd);
    const before = await descriptors();
    const wire = await NodeWire.connect(spawnd.port);
    const client = await WebClient.open(wire);
    const sending = client.send(...frames).catch(() => {});
    if (answer) assertEquals(await client.message(), answer);
    await spawnd.record({ message: "open", id: 2 });
    await wire.reset();
    await sending;
    assertEquals((await endOf(spawnd, 2))[0], "client-reset");
    assertEquals(await descriptors(), before);
    assertEquals(processesWith(`TCPLOCALPORT=${spawnd.port}`), []);
    assertEquals(await stoppedOf(spawnd), { accepted: 2, ended: 2, cut: 0 });
  });
}

Deno.test("a client that answers no ping is closed; one that answers, or speaks, is not", async () => {
  await using spawnd = await serveWebScript("exec cat >/dev/null", "--ws-ping", "0.5");
  using silent = await WebClient.connect(spawnd);
  using answering = await WebClient.connect(spawnd);
  using speaking = await WebClient.connect(spawnd);
  const answer = async (client: WebClient, answer: Uint8Array) => {
    for (let pings = 0; pings < 3; pings++) {
      assertEquals((await client.receive())?.kind, "ping");
      await client.send(answer);
    }
  };
  const answered = [answer(answering, frame("pong")), answer(speaking, frame("text"))];
  assertEquals((await silent.receive())?.kind, "ping");
  assertEquals(await silent.receive(), null);
  assertEquals(await endOf(spawnd), ["client-reset", 0]);
  await Promise.all(answered);
  assertEquals(spawnd.records({ message: "end" }).length, 1);
});

Deno.test("a client that is not read is not closed for the answers that it cannot give", async () => {
  await using spawnd = await serveWebScript(
    "read -r _; echo one; sleep 1; exec cat",
    ...["--ws-ping", "0.1", "--ws-mode", "bytes", "--ws-max-message", "10000000"],
  );
  using client = await WebClient.connect(spawnd);
  const sending = client.send(frame("binary", `\n${"x".repeat(5_000_000)}`));
  let received = 0;
  while (received < 5_000_000) {
    const next = (await client.receive())!;
    if (next.kind === "ping") continue; // no answer: it sends all the time
    received += next.bytes.length;
  }
  await sending;
});

Deno.test("a client that reads nothing for a while is not closed, and finds no pile of pings", async () => {
  const bytes = 20_000_000;
  await using spawnd = await serveWebScript(
    `head -c ${bytes} /dev/zero; exec cat`,
    ...["--ws-ping", "0.1", "--ws-mode", "bytes"],
  );
  using client = await WebClient.connect(spawnd);
  await pause(1_000);
  let pings = 0;
  for (let received = 0; received < bytes;) {
    const next = (await client.receive())!;
    if (next.kind === "binary") received += next.bytes.length;
    else pings++;
    if (next.kind === "ping") await client.send(frame("pong"));
  }
  assert(pings < 7, `${pings} pings`);
});

Deno.test("a client that reads slowly is not taken for one that answers no ping", async () => {
  const length = 400_000;
  await using spawnd = await serveWebScript(
    `head -c ${length} /dev/zero; exec cat >/dev/null`,
    ...["--ws-mode", "bytes", "--ws-ping", "0.2"],
  );
  using client = await WebClient.connect(spawnd);
  let received = 0;
  while (received < length) { // the system has taken all of it, with pings behind it
    const next = await client.receive();
    if (next?.kind === "ping") continue;
    assertEquals(next?.kind, "binary");
    received += next!.bytes.length;
    await pause(next!.bytes.length / 200); // 200 kB/s
  }
  await client.send(closeFrame(1000));
  let next = await client.receive();
  while (next?.kind === "ping") next = await client.receive();
  assertEquals(next?.kind, "close");
  assertEquals((await endOf(spawnd))[0], "client-closed");
});
