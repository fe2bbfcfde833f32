/** The latest refusals, as the status listener tells them. */

import { assert, assertEquals } from "@std/assert";
import { commandHandler } from "../lib/child/handler.ts";
import { MAX_REFUSALS, Refusals } from "../lib/status/refusals.ts";
import type { Status } from "../lib/status/listener.ts";
import { connectFrom } from "./_sockets.ts";
import { Shown, wanted } from "./_status.ts";
import { until } from "./_waiting.ts";

Deno.test("only the latest refusals are kept, the latest first", () => {
  const refusals = new Refusals();
  for (let id = 1; id <= MAX_REFUSALS + 5; id++) {
    refusals.add({ id, reason: "busy", client: `192.0.2.1:${id}` });
  }
  const { latest } = refusals;
  assertEquals([latest.length, latest[0]!.client], [MAX_REFUSALS, "192.0.2.1:25"]);
  assertEquals(latest.at(-1)!.client, "192.0.2.1:6");
});

Deno.test("status.json says who was refused lately, when and why", async () => {
  const beganAtMs = Date.now();
  const handler = commandHandler("cat");
  await using shown = await Shown.start(wanted({ "": { handler, deny: ["127.0.0.9/32"] } }));
  const client = await connectFrom("127.0.0.9", shown.port(""));
  const ended = new Promise((resolve) => client.once("close", resolve).resume());
  const address = `127.0.0.9:${client.localPort}`;
  await ended;
  const { latestRefusals: [refusal, ...more] } = await until("a refusal", async () => {
    const status = await shown.data<Status>();
    return status.latestRefusals.length > 0 && status;
  });
  assertEquals([refusal!.id, refusal!.client, refusal!.reason, more], [1, address, "denied", []]);
  const atMs = Date.parse(refusal!.time);
  assert(atMs >= beganAtMs && atMs <= Date.now(), refusal!.time);
});

Deno.test("a client for which no child can be started is among the latest refusals", async () => {
  const program = await Deno.makeTempFile({ prefix: "spawnd-test-" });
  await Deno.writeTextFile(program, "#!/bin/sh\nexec cat\n");
  await Deno.chmod(program, 0o700);
  await using shown = await Shown.start(
    wanted({ "": { handler: commandHandler(program), group: false } }),
  );
  await Deno.remove(program);
  using _conn = await Deno.connect({ hostname: "127.0.0.1", port: shown.port("") });
  const { latestRefusals, failed } = await until("a refusal", async () => {
    const status = await shown.data<Status>();
    return status.latestRefusals.length > 0 && status;
  });
  assertEquals([failed, latestRefusals[0]!.reason], [1, "failed"]);
});
