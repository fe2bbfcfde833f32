/**
 * A server of the Model Context Protocol behind a WebSocket, as the README of the examples starts
 * it. It is the real one: its package is downloaded once, and is in Deno's cache from then on.
 */

import { assert, assertEquals } from "@std/assert";
import { COMMANDS, README } from "./_examples.ts";
import { runClient } from "./_programs.ts";
import type { Spawnd } from "./_spawnd.ts";
import { until, within } from "./_waiting.ts";
import { PageSocket, startWeb, webAddress } from "./_web_examples.ts";

const PACKAGE = /npm:@modelcontextprotocol\/server-\S+/.exec(README)![0];
/** Long enough for a slow network. */
const DOWNLOAD_MS = 60_000;

/** Starts it after what the README says to do before. */
async function startServer(): Promise<Spawnd> {
  assert(README.includes(`    deno cache --no-config ${PACKAGE}\n`));
  const download = runDeno("cache", "--no-config", PACKAGE);
  await within("the package", download, DOWNLOAD_MS);
  const spawnd = await startWeb(
    "npm:@modelcontextprotocol/server-sequential-thinking",
    "127.0.0.1:8080",
    { "-- deno": `-- ${Deno.execPath()}` },
  );
  await until("warm children", async () => Number((await spawnd.status()).warm) > 1);
  return spawnd;
}

async function runDeno(...args: string[]): Promise<string> {
  return await runClient(Deno.execPath(), args, { NO_COLOR: "1" });
}

/** Calls a method of the server, and resolves to the result. */
async function call(page: PageSocket, id: number, method: string, params: unknown) {
  const answer = await page.ask(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
  const { result, ...rest } = JSON.parse(answer!);
  assertEquals(rest, { jsonrpc: "2.0", id });
  return result;
}

Deno.test("an MCP server speaks to each WebSocket in a process of its own, without permissions", async () => {
  const command = COMMANDS.find((command) => command.includes(PACKAGE))!;
  assert(!command.split(" -- ")[1]!.includes("--allow"), command);
  await using spawnd = await startServer();
  for (const round of [1, 2]) { // the second one finds nothing of the first
    await using page = await PageSocket.open(spawnd, ["mcp"]);
    assertEquals(page.protocol, "mcp");
    const clientInfo = { name: "test", version: "1.0.0" };
    const initial = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo };
    const { protocolVersion, serverInfo } = await call(page, 1, "initialize", initial);
    assertEquals(protocolVersion, initial.protocolVersion);
    assertEquals(serverInfo.name, "sequential-thinking-server");
    page.send(JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" }));
    const { tools: [{ name }] } = await call(page, 2, "tools/list", {});
    for (const thoughtNumber of [1, 2]) {
      const thought = {
        thought: "Hm.\nä",
        thoughtNumber,
        totalThoughts: 2,
        nextThoughtNeeded: true,
      };
      const result = await call(page, 2 + thoughtNumber, "tools/call", {
        name,
        arguments: thought,
      });
      assertEquals(result.structuredContent.thoughtHistoryLength, thoughtNumber);
    }
    assertEquals(await page.close(), 1000);
    await spawnd.record({ message: "open", id: round, start: "warm" });
    await spawnd.record({ message: "end", id: round, exit: 0, reason: "client-closed" });
  }
});

Deno.test("the client of MCP's SDK connects as the README says", async () => {
  await using spawnd = await startServer();
  const [, code] = /```js\n(.*?)```/s.exec(README.split("## An MCP server")[1]!)!;
  const [, flags, output] = /^ {4}\$ deno run (.*) client\.js\n((?: {4}.*\n)*)/m.exec(README)!;
  const file = await Deno.makeTempFile({ suffix: ".js" });
  await Deno.writeTextFile(file, code!.replace("127.0.0.1:8080/", webAddress(spawnd)));
  await within("the SDK", runDeno("cache", "--no-config", file), DOWNLOAD_MS);
  const printed = await runDeno("run", "--no-prompt", "--cached-only", ...flags!.split(" "), file);
  assertEquals(printed, output!.replaceAll(/^ {4}/gm, ""));
  await spawnd.record({ message: "end", exit: 0, reason: "client-closed" });
  await Deno.remove(file);
});
