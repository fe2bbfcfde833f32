/** The children of a server, while a reload changes how they are started. */

import { assertEquals, assertThrows } from "@std/assert";
import { log } from "../lib/base/log.ts";
import { NO_OBSERVER } from "../lib/base/observer.ts";
import { checkChildren, Children, type Taken } from "../lib/child/children.ts";
import { withHeader } from "../lib/child/launch.ts";
import { SpawnPace } from "../lib/child/spawn_pace.ts";
import { commandHandler } from "../lib/mod.ts";
import { resolveSettings } from "../lib/server/settings.ts";

Deno.test("a dead child is replaced by one that reads the same first, or by none", async () => {
  const settings = resolveSettings({ handler: commandHandler("cat"), killTimeoutMs: 100 });
  const { launch } = await checkChildren(settings);
  const children = new Children(settings, launch, {
    log,
    observer: NO_OBSERVER,
    pace: new SpawnPace(),
  });
  const { worker } = await children.take({}, new AbortController().signal) as Taken;
  const workers = [worker, children.replace({}, worker)];
  children.update(settings, withHeader(launch));
  assertThrows(() => children.replace({}, worker), Error, "the module has changed");
  const { worker: told } = await children.take({}, new AbortController().signal) as Taken;
  workers.push(told, children.replace({}, told));
  assertEquals(workers.map(({ readsHeader }) => readsHeader), [false, false, true, true]);
  for (const worker of workers) {
    await worker.stop(100);
    await worker.release();
  }
  await children.close();
});
