import { assert, assertEquals } from "@std/assert";
import { log } from "../lib/base/log.ts";
import { Networks } from "../lib/net/address.ts";
import { Connection } from "../lib/net/connection.ts";
import type { RequestFacts } from "../lib/net/client_facts.ts";
import { Upgrader } from "../lib/web/upgrade.ts";
import { connectionOf } from "./_connection.ts";

const PROXIES = await Networks.of([]);
const upgrader = new Upgrader({
  mode: "lines",
  protocols: ["chat"],
  origins: [],
  hasPage: false,
  maxMessageBytes: 1,
  pingMs: 0,
  log,
});

/** The request that a WebSocket is opened with at a path, or why it is not. */
async function open(
  target: string,
  { path = "/", fields = {} as Record<string, string> } = {},
): Promise<RequestFacts | string> {
  const lines = Object.entries({
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...fields,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  const client = connectionOf(`GET ${target} HTTP/1.1\r\n${lines.join("")}\r\n`);
  const result = await upgrader.upgrade(client, { path, proxies: PROXIES });
  return result instanceof Connection ? result.facts.request! : result.message;
}

Deno.test("a target is at the path or below it, and nothing else is", async () => {
  const parts = async (target: string, path: string) => {
    const request = await open(target, { path });
    if (typeof request === "string") return request;
    return [request.scriptName, request.pathInfo, request.query];
  };
  assertEquals(await parts("/", "/"), ["", "/", ""]);
  assertEquals(await parts("//a/b?c?d", "/"), ["", "//a/b", "c?d"]);
  assertEquals(await parts("/chat", "/chat"), ["/chat", "", ""]);
  assertEquals(await parts("/chat?", "/chat/"), ["/chat", "", ""]);
  assertEquals(await parts("/chat/%C3%A9%2f", "/chat"), ["/chat", "/é/", ""]);
  for (const path of ["/", "/chat"]) {
    for (const target of ["*", "chat", "?/chat", "http://localhost/chat", "localhost:80", "#/"]) {
      assertEquals(
        await parts(target, path),
        `nothing is served here: the path is ${path}`,
        target,
      );
    }
  }
  for (const target of ["/chatter", "/Chat", "/", "/%63hat", "//chat"]) {
    assertEquals(await parts(target, "/chat"), "nothing is served here: the path is /chat");
  }
  for (const target of ["/%", "/%zz", "/%ff", "/%00", "/a%00b"]) {
    assertEquals(await parts(target, "/"), "the path is not valid", target);
  }
});

Deno.test("the lists of a request are read in a time that grows with their length only", async () => {
  const blanks = " ".repeat(7_500);
  for (const name of ["Upgrade", "Connection", "Sec-WebSocket-Protocol"]) {
    const value = `a${blanks}b`;
    const start = performance.now();
    for (let count = 0; count < 200; count++) await open("/", { fields: { [name]: value } });
    const ms = performance.now() - start;
    assert(ms < 2_000, `${ms} ms for ${name}`);
  }
});
