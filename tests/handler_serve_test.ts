/** serve() in a process of its own, without a server. */

import { assert, assertEquals } from "@std/assert";
import { announceHeader, sandboxFlags } from "../lib/child/sandbox.ts";
import { formatProxyHeader } from "../lib/net/proxy_protocol.ts";
import { assertRun, GREET, ModuleFolder } from "./_handlers.ts";
import { concat, text } from "./_sockets.ts";
import { until, within } from "./_waiting.ts";

Deno.test("a module that is started by hand serves stdin, and its client has no address", async () => {
  const stdout = "Hello undefined undefined\none!\ntwo!\n";
  await assertRun(GREET, "one\r\ntwo", { code: 0, stdout, stderr: "" });
});

Deno.test("a header that is not announced is the client's own bytes", async () => {
  const body = `async (client) => {
    await client.write(String(client.remote) + (await client.readExactly(28)).length);
  }`;
  const header = formatProxyHeader(2, {
    source: { hostname: "192.0.2.1", port: 1 },
    destination: { hostname: "192.0.2.2", port: 2 },
  });
  assertEquals(header.length, 28);
  const input = [...header].map((byte) => String.fromCharCode(byte)).join("");
  await assertRun(body, input, { code: 0, stdout: "undefined28", stderr: "" });
});

Deno.test("the process exits when the function returns, after the writes it did not wait for", async () => {
  const body = `(client) => {
    setInterval(() => {}, 1000);
    for (let i = 0; i < 100; i++) client.write(i + " ");
  }`;
  const stdout = Array.from({ length: 100 }, (_, i) => `${i} `).join("");
  await assertRun(body, "", { code: 0, stdout, stderr: "" });
});

/** Errors, and the line that they end with. */
const ERRORS: Record<string, [code: string, line: string]> = {
  "of the function": [
    `throw new TypeError("no\\nway\\x1b[1m")`,
    "handler.ts:2:39: Uncaught TypeError: no way [1m\n",
  ],
  "that is no Error": [`throw "words"`, "Uncaught words\n"],
  "that is undefined": ["throw undefined", "Uncaught undefined\n"],
  "in a timer": [
    `setTimeout(() => { throw new Error("late"); }); await new Promise(() => {})`,
    "handler.ts:2:58: Uncaught Error: late\n",
  ],
  "that nothing awaits": [
    `Promise.reject(new Error("late")); await new Promise(() => {})`,
    "handler.ts:2:48: Uncaught Error: late\n",
  ],
  "that is a symbol": [`throw Symbol("x")`, "Uncaught Symbol(x)\n"],
  "without a prototype": ["throw Object.create(null)", "Uncaught [Object: null prototype] {}\n"],
  "that cannot be shown": [
    `throw Object.assign(new Error(), { toString() { throw 1; } })`,
    "handler.ts:2:53: Uncaught an error that cannot be shown\n",
  ],
  "with a forged place": [
    `throw new Error("http://a\u001b]0;x\u0007:1:1\\n    at http://b:1:1\u202e")`,
    "handler.ts:2:39: Uncaught Error: http://a ]0;x :1:1     at http://b:1:1 \n",
  ],
  "of a connection of its own": [
    `throw new Deno.errors.UnexpectedEof("no close_notify")`,
    "handler.ts:2:39: Uncaught UnexpectedEof: no close_notify\n",
  ],
};

for (const [what, [code, stderr]] of Object.entries(ERRORS)) {
  Deno.test(`an error ${what} is one line on stderr, and exit code 1`, async () => {
    await assertRun(`async (client) => { ${code}; }`, "long\n", { code: 1, stdout: "", stderr });
  });
}

/** What a handler does, the client's input, and where in the handler what error is said to be. */
const CLIENTS_DOING: Record<string, [code: string, input: string, stderr: string]> = {
  "a line that is too long": [
    "for await (const _ of client.lines({ maxLength: 1 }));",
    "long\n",
    "50: Uncaught LineTooLongError: A line is longer than 1 bytes",
  ],
  "an end in the middle": [
    "await client.readExactly(4);",
    "ab",
    "33: Uncaught UnexpectedEof: The input ended after 2 of 4 bytes",
  ],
};

for (const [what, [code, input, stderr]] of Object.entries(CLIENTS_DOING)) {
  Deno.test(`${what} is the client's doing: one line on stderr, and exit code 0`, async () => {
    const expected = { code: 0, stdout: "", stderr: `handler.ts:2:${stderr}\n` };
    await assertRun(`async (client) => { ${code} }`, input, expected);
  });
}

Deno.test("a read that takes too long is the client's doing, and says where it was called", async () => {
  await using folder = await ModuleFolder.make(
    "async (client) => { await client.readLine({ timeoutMs: 10 }); }",
  );
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", folder.module],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stderr: "piped",
  }).spawn();
  assertEquals(
    (await within("its error", child.stderr.text())).replaceAll(`file://${folder.path}/`, ""),
    "handler.ts:2:46: Uncaught TimeoutError: The client did not send in time\n",
  );
  assertEquals((await child.status).code, 0);
  await child.stdin.close();
});

Deno.test("an error with a long message takes no time to print, and little room", async () => {
  const code = `throw new Error("A".repeat(5_000_000) + "a://".repeat(100_000))`;
  const beganAtMs = performance.now();
  await assertRun(`async () => { ${code} }`, "", {
    code: 1,
    stdout: "",
    stderr: `handler.ts:2:33: Uncaught Error: ${"A".repeat(993)}\n`,
  });
  assert(performance.now() - beganAtMs < 10_000); // it took minutes
});

/** A child as spawnd starts one for a module that uses serve(). */
function startAnnounced(module: string) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", ...announceHeader(sandboxFlags([])), module],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let stdout = "";
  const read = (async () => {
    for await (const chunk of child.stdout) stdout += text(chunk);
  })();
  const stderr = child.stderr.text();
  return {
    child,
    input: child.stdin.getWriter(),
    stdout: () => stdout,
    ended: async () => {
      const { code } = await within("its end", child.status);
      await read;
      return { code, stdout, stderr: await stderr };
    },
  };
}

const FACTS = {
  source: { hostname: "2001:db8::1", port: 54_321 },
  destination: { hostname: "2001:db8::2", port: 443 },
};

Deno.test("an announced header is read in any pieces, and the function is not called before", async () => {
  await using folder = await ModuleFolder.make(GREET);
  const header = formatProxyHeader(2, FACTS);
  const all = concat([header, new TextEncoder().encode("one\n")]);
  for (
    const cuts of [[all.length], [3, 16, 20, header.length - 1, header.length + 2, all.length]]
  ) {
    const { input, stdout, ended } = startAnnounced(folder.module);
    for (const [index, cut] of cuts.entries()) {
      await input.write(all.subarray(cuts[index - 1] ?? 0, cut));
      if (cut < header.length) assertEquals(stdout(), "");
    }
    await until("the greeting and the echo", () => stdout().endsWith("one!\n"));
    await input.close();
    assertEquals(await ended(), {
      code: 0,
      stdout: "Hello 2001:db8::1 54321\none!\n",
      stderr: "",
    });
  }
});

Deno.test("without a client the function is never called, and the process exits quietly", async () => {
  await using folder = await ModuleFolder.make(`() => { throw new Error("called"); }`);
  for (const length of [0, 10, 20]) {
    const { input, ended } = startAnnounced(folder.module);
    await input.write(formatProxyHeader(2, FACTS).subarray(0, length));
    await input.close();
    assertEquals(await ended(), { code: 0, stdout: "", stderr: "" });
  }
});

Deno.test("the announcement is gone when the function is called", async () => {
  const body = `(client) => client.write(String(Symbol.for("spawnd.header") in globalThis))`;
  await using folder = await ModuleFolder.make(body);
  const { input, ended } = startAnnounced(folder.module);
  await input.write(formatProxyHeader(2, FACTS));
  assertEquals(await ended(), { code: 0, stdout: "false", stderr: "" });
  await input.close().catch(() => {});
});

Deno.test("closed is aborted by the signal that stops a child, and the function ends as it likes", async () => {
  const body = `async (client) => {
    const closed = new Promise((resolve) => client.closed.addEventListener("abort", resolve));
    await client.write("ready");
    await closed;
    console.log(" bye");
    await client.write("never");
  }`;
  await using folder = await ModuleFolder.make(body);
  const { child, input, stdout, ended } = startAnnounced(folder.module);
  await input.write(formatProxyHeader(2, FACTS));
  await until("it to be ready", () => stdout() === "ready");
  child.kill("SIGTERM");
  assertEquals(await ended(), { code: 0, stdout: "ready bye\n", stderr: "" });
  await input.close().catch(() => {});
});

Deno.test("a client that reads no more ends the function quietly, and aborts closed", async () => {
  const body = `async (client) => {
    client.closed.addEventListener("abort", () => console.error("closed"));
    for (;;) await client.write("x".repeat(1000));
  }`;
  await using folder = await ModuleFolder.make(body);
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: [
      "-c",
      `("$0" run --no-prompt "$1"; echo "$?" >&2) | head -c 5`,
      Deno.execPath(),
      folder.module,
    ],
  }).output();
  assertEquals([code, text(stdout), text(stderr)], [0, "xxxxx", "closed\n0\n"]);
});
