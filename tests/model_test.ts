/**
 * The lesson in docs/model.md: everything it refers to exists, its picture is valid, and the traps
 * that no other test covers are tested here.
 */

import { assert, assertEquals } from "@std/assert";
import { childrenOf, isAlive } from "./_processes.ts";
import { ask, receive, receiveAll, send, text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { until } from "./_waiting.ts";

const ROOT = new URL("../", import.meta.url);
const DOCS = new URL("docs/", ROOT);
const MODEL = await Deno.readTextFile(new URL("model.md", DOCS));
const PICTURE = await Deno.readTextFile(new URL("model.svg", DOCS));

/** Whether a formatted source declares `name`; for `Class.member`, a member of that class. */
function declares(source: string, identifier: string): boolean {
  const [name, member] = identifier.split(".");
  const declaration = `^(?:[a-z]+ )+${name}\\b`;
  if (member === undefined) return new RegExp(declaration, "m").test(source);
  const [body = ""] = new RegExp(`${declaration}[^]*?^}`, "m").exec(source) ?? [];
  return new RegExp(`^  (?:[a-z]+ )*${member}\\b`, "m").test(body);
}

const TEST = /\b(?:Deno\.test|test\w+)\(\s*(?:"[^"\n]*",\s*)*(["`])([^\n]+?)\1,\s*(?:async )?\(/g;

/** Whether a source has a test of this name; a `${…}` in it stands for any string of the source. */
function hasTest(source: string, name: string): boolean {
  return [...source.matchAll(TEST)].some(([, , declared]) => {
    const pattern = declared!.split(/\$\{\w+\}/).map(RegExp.escape).join("(.+)");
    const match = new RegExp(`^${pattern}$`).exec(name);
    return match?.slice(1).every((part) => source.includes(`"${part}"`));
  });
}

const LINK = /\[([^\]]+)\]\(([^)\s]+)\)/g;

/**
 * The broken references in a document. A link labelled with code refers to an identifier in that
 * file; a link to a test file that is labelled with words, to a test; any other link, to the file. A
 * word that looks like a file's path is relative to the root of the repository. Links to other
 * sites are not followed.
 */
async function deadReferences(markdown: string, folder = DOCS): Promise<string[]> {
  const dead: string[] = [];
  const read = (path: string, base: URL) =>
    Deno.readTextFile(new URL(path, base)).catch(() => void dead.push(`no file ${path}`));
  for (const [, label, path] of markdown.matchAll(LINK)) {
    if (/^(https?:|#)/.test(path!)) continue;
    const source = await read(path!.replace(/\/$/, "/README.md"), folder);
    if (source === undefined) continue;
    const identifier = /^`(.*)`$/.exec(label!)?.[1];
    if (identifier !== undefined) {
      if (!declares(source, identifier)) dead.push(`no ${identifier} in ${path}`);
    } else if (path!.endsWith("_test.ts")) {
      if (!hasTest(source, label!)) dead.push(`no test "${label}" in ${path}`);
    }
  }
  const words = markdown.replaceAll(LINK, "$1");
  for (const [path] of words.matchAll(/(?<![\w./-])[\w./-]*\w\.(?:ts|c|md|json|svg)\b/g)) {
    if (!path.startsWith("/")) await read(path, ROOT);
  }
  return dead;
}

Deno.test("docs/model.md refers to files, names and tests that exist", async () => {
  assertEquals(await deadReferences(MODEL), []);
});

for (const page of ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]) {
  Deno.test(`${page} refers to files and names that exist`, async () => {
    assertEquals(await deadReferences(await Deno.readTextFile(new URL(page, ROOT)), ROOT), []);
  });
}

Deno.test("every trap in docs/model.md has faulty C code and a test", () => {
  const [, chapter] = /^## The traps.*?\n(.*?)^## /ms.exec(MODEL)!;
  const traps = chapter!.split(/^### /m).slice(1);
  assert(traps.length >= 9, `${traps.length} traps`);
  const incomplete = traps.filter((trap) =>
    !/^```c\n/m.test(trap) || !/\]\(\.\.\/tests\/\w+_test\.ts\)/.test(trap)
  );
  assertEquals(incomplete, []);
});

Deno.test("a broken reference is found", async () => {
  const good = [
    "[`Server`](../lib/server/server.ts) [`Acceptor.#run`](../lib/server/acceptor.ts) bench/fork_server.c",
    "[`reap`](../bench/fork_server.c) [`LINGER_MS`](../lib/net/connection.ts) [there](model.svg)",
    "[a client that sends nothing gets nothing](../tests/counter_test.ts) /tmp/of_yours.ts",
    "[SIGINT ends an idle server with exit code 0 and no child left](../tests/signals_test.ts)",
  ];
  assertEquals(await deadReferences(good.join("\n")), []);
  const bad = [
    "[`Servers`](../lib/server/server.ts)",
    "[`Acceptor.run`](../lib/server/acceptor.ts)",
    "[`Networks.#run`](../lib/server/acceptor.ts)",
    "[`Acceptor.#run`](../lib/net/listener.ts)",
    "[`saved`](../bench/fork_server.c)",
    "[the server](../lib/server/servers.ts)",
    "[a client that sends nothing gets](../tests/counter_test.ts)",
    "[a client that sends nothing gets nothing](../tests/relay_test.ts)",
    "[SIGQUIT ends an idle server with exit code 0 and no child left](../tests/signals_test.ts)",
    "`lib/server/servers.ts`",
    "    deno run servers.ts",
  ];
  for (const reference of bad) {
    assertEquals((await deadReferences(reference)).length, 1, reference);
  }
});

/** Why an SVG is not well-formed, self-contained or legible. */
function faultsIn(svg: string): string[] {
  const faults: string[] = [];
  const open: string[] = [];
  const tag = /<(\/?)([\w:-]+)(?:\s+[\w:-]+="[^"<]*")*\s*(\/?)>/g;
  const rest = svg.replace(/<!--.*?-->/gs, "").replace(tag, (_, end, name, empty) => {
    if (!end && !empty) open.push(name);
    if (end && open.pop() !== name) faults.push(`</${name}> where another element is open`);
    return "";
  });
  if (open.length > 0) faults.push(`<${open.at(-1)}> is not closed`);
  if (/[<>]/.test(rest)) faults.push("a stray < or >");
  if (/&(?!\w+;)/.test(svg)) faults.push("a bare &");
  if (/href|src=|@import|url\((?!#)|<(?:script|image|foreignObject)\b/.test(svg)) {
    faults.push("an external resource");
  }
  for (const [, id] of svg.matchAll(/url\(#([^)]*)\)/g)) {
    if (!svg.includes(` id="${id}"`)) faults.push(`no element ${id}`);
  }
  for (const [, size] of svg.matchAll(/(\d+)px/g)) {
    if (Number(size) < 12) faults.push(`text of ${size} px`);
  }
  return faults;
}

Deno.test("docs/model.svg is well-formed and self-contained, for light and dark", () => {
  assertEquals(faultsIn(PICTURE), []);
  const [root] = /^<svg [^>]*>/.exec(PICTURE)!;
  assert(/ role="img"/.test(root) && / aria-label="[^"]{20,}"/.test(root), root);
  assert(PICTURE.includes("@media (prefers-color-scheme: dark)"));
  assert(MODEL.includes("](model.svg)"));
});

Deno.test("a picture that is broken or loads an external resource is found", () => {
  assertEquals(faultsIn('<svg a="b"><!-- < --><g/><text>1 &lt; 2</text></svg>'), []);
  const broken = [
    "<svg><g></svg>",
    "<svg><text></g></svg>",
    "<svg><text>1 < 2</text></svg>",
    "<svg><g a=b/></svg>",
    "<svg><text>a & b</text></svg>",
    '<svg><use href="other.svg"/></svg>',
    "<svg><style>@import 'a.css';</style></svg>",
    '<svg><g fill="url(#none)"/></svg>',
    "<svg><style>text { font: 9px serif; }</style></svg>",
  ];
  for (const svg of broken) assert(faultsIn(svg).length > 0, svg);
});

/** Connects, and checks that the connection is served. */
async function connectServed(spawnd: Spawnd): Promise<Deno.TcpConn> {
  const conn = await spawnd.connect();
  await send(conn, "x");
  assertEquals(text(await receive(conn, 1)), "x");
  return conn;
}

Deno.test("a child that exits while another lives is reaped, and the server goes on", async () => {
  await using spawnd = await Spawnd.start("--", "cat");
  using _lasting = await connectServed(spawnd);
  const children = childrenOf(spawnd.pid);
  assertEquals(text(await ask(spawnd.port, "one")), "one");
  await until("the other child to be reaped", () => childrenOf(spawnd.pid).length === 1);
  assertEquals(childrenOf(spawnd.pid), children);
  assertEquals(text(await ask(spawnd.port, "two")), "two");
});

Deno.test("children that exit together while the server is stopped are all reaped", async () => {
  await using spawnd = await Spawnd.start("--", "cat");
  const conns = await Promise.all(Array.from({ length: 20 }, () => connectServed(spawnd)));
  const children = childrenOf(spawnd.pid);
  spawnd.kill("SIGSTOP");
  for (const child of children) Deno.kill(child, "SIGKILL");
  await until("them to exit", () => !children.some(isAlive));
  assertEquals(childrenOf(spawnd.pid).length, 20, "all zombies, with one pending SIGCHLD");
  spawnd.kill("SIGCONT");
  await until("all of them to be reaped", () => childrenOf(spawnd.pid).length === 0);
  for (const conn of conns) conn.close();
  const reaped = () => spawnd.records({ message: "end", exit: "SIGKILL" }).length === 20;
  await until("twenty records", reaped);
});

/** The open files of a process, by descriptor (Linux: proc(5)). */
function filesOf(pid: number): [descriptor: string, file: string][] {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].flatMap(({ name }) => {
    try {
      return [[name, Deno.readLinkSync(`/proc/${pid}/fd/${name}`)]];
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return []; // closed in the meantime
      throw error;
    }
  });
}

Deno.test("a child inherits its own two pipes and nothing else from its server", async () => {
  await using spawnd = await Spawnd.start("--", "cat");
  using first = await connectServed(spawnd);
  using _second = await connectServed(spawnd);
  const files = new Set(filesOf(spawnd.pid).map(([, file]) => file));
  for (const [, file] of filesOf(Deno.pid)) files.delete(file); // inherited by every process here
  for (const child of childrenOf(spawnd.pid)) {
    const shared = filesOf(child).filter(([, file]) => files.has(file));
    assertEquals(shared.map(([descriptor]) => descriptor), ["0", "1"]);
  }
  await first.closeWrite();
  assertEquals(text(await receiveAll(first)), "", "its input ends although a later child runs");
});

Deno.test("a client that does not read its child's output delays no other client", async () => {
  await using spawnd = await Spawnd.start(
    ...["--", "sh", "-c", `read -r count; exec head -c "$count" /dev/zero`],
  );
  using slow = await spawnd.connect();
  await send(slow, "100000000\n");
  const { pid } = await spawnd.record({ message: "open" });
  const isBlocked = () => /pipe_write$/.test(Deno.readTextFileSync(`/proc/${pid}/wchan`));
  await until("its child to block", isBlocked);
  for (let client = 0; client < 5; client++) {
    assertEquals((await ask(spawnd.port, "1000\n")).length, 1000);
  }
  assert(isBlocked());
});
