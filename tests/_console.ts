/**
 * The console of a WebSocket address, in a browser and before a server of its own.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Browser, Page } from "playwright-core";
import { CONTENT_SECURITY_POLICY, PAGE } from "../lib/web/page.ts";
import { open, testIn } from "./_browser.ts";
import { until } from "./_waiting.ts";

export type Handler = (socket: WebSocket) => void;

/** Serves the page, and at the same address WebSockets, which `handler` gets when they are open. */
export async function start(handler: Handler) {
  const headers = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": await CONTENT_SECURITY_POLICY,
  };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const protocol = request.headers.get("sec-websocket-protocol");
    if (protocol === null) return new Response(PAGE, { headers });
    const { socket, response } = Deno.upgradeWebSocket(request, { protocol });
    socket.onopen = () => handler(socket);
    return response;
  });
  const { port } = server.addr;
  return {
    port,
    url: `http://127.0.0.1:${port}/a/shell?x=1`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Passes connections on to `port`, until `cut` closes them all without a word. */
export function startRelay(port: number) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns: Deno.Conn[] = [];
  (async () => {
    for await (const conn of listener) {
      const server = await Deno.connect({ hostname: "127.0.0.1", port });
      conns.push(conn, server);
      conn.readable.pipeTo(server.writable).catch(() => {});
      server.readable.pipeTo(conn.writable).catch(() => {});
    }
  })();
  return {
    port: listener.addr.port,
    cut() {
      listener.close();
      for (const conn of conns) conn.close();
    },
  };
}

/** Greets, and answers each message. */
export const greeter: Handler = (socket) => {
  socket.send("hello\n");
  socket.onmessage = ({ data }) => socket.send(`got ${data}`);
};

/** Closes with the code and the reason it is sent. */
export const closer: Handler = (socket) => {
  socket.onmessage = ({ data }) => {
    const [, code, reason] = data.match(/^(\d{4}) ?(.*)/) ?? [];
    if (code) socket.close(Number(code), reason);
  };
};

/** Declares a test of the page of such a server. Whatever goes wrong on the page fails it. */
export function testConsole(
  name: string,
  handler: Handler,
  fn: (page: Page, url: string, browser: Browser) => Promise<void>,
  more = {},
): void {
  testIn(name, async (browser) => {
    await using server = await start(handler);
    const [page, problems] = await open(browser, server.url, more);
    await fn(page, server.url, browser);
    assertEquals(problems, []);
    await page.context().close(); // the server waits for its connections
  });
}

export const log = (page: Page) => page.getByRole("log", { name: "Output" });
export const input = (page: Page) => page.getByRole("textbox", { name: "Line to send" });

export const hasFocus = (page: Page, id: string) =>
  page.evaluate<boolean>(`document.activeElement.id === "${id}"`);

/** Sends a line as a person does. */
export async function enter(page: Page, text: string): Promise<void> {
  await until("the input to have the focus", () => hasFocus(page, "input"));
  await page.keyboard.type(text);
  await page.keyboard.press("Enter");
}

/** The lines of the log; what was sent is marked as it is for screen readers. */
export const linesOf = (page: Page) =>
  page.evaluate<string[]>(`
    Array.from(log.children, (line) => line.tagName === "HR" ? "---" : Array.from(line.childNodes, (node) =>
      (node.nodeName === "B" ? getComputedStyle(node, "::before").content.slice(1, -1) : "") + node.textContent
    ).join(""))`);

export async function untilLines(page: Page, ...expected: string[]): Promise<void> {
  const areThere = async () => JSON.stringify(await linesOf(page)) === JSON.stringify(expected);
  await until("the lines", areThere, 5000)
    .catch(async () => assertEquals(await linesOf(page), expected));
}

export const untilState = (page: Page, text: string) =>
  page.getByRole("status").getByText(text, { exact: true }).waitFor();

export const untilAtEnd = (page: Page) =>
  until(
    "the end of the log to be in view",
    () => page.evaluate<boolean>("log.scrollHeight - log.scrollTop - log.clientHeight < 2"),
  );
