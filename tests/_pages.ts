/**
 * The blocks of code in a page of the documentation: what each is, and what has to be done with it.
 * Nothing here runs them (_page_runner.ts does).
 *
 * A block is indented by 4 spaces, or 4 deeper in a list item, or fenced. A comment before it says
 * that it is not run, and why (`<!-- not run: REASON -->`), or which test reads it from the page and
 * runs it (`<!-- run by tests/NAME_test.ts -->`).
 *
 * @module
 */

/** What a block is; `other` is output, or the configuration of another program. */
export type Kind = "commands" | "transcript" | "file" | "typescript" | "json" | "other";

/** A block of code. */
export interface Block {
  /** The page's path, from the root of the repository. */
  page: string;
  /** The number of its first line. */
  line: number;
  /** The heading that it is below. */
  section: string;
  kind: Kind;
  /** Its lines, without the indentation. */
  text: string;
  /** With `file`: the file's name. */
  name?: string;
  /** Why it is not run here. */
  marker?: { notRun: string } | { runBy: string };
}

/** The blocks of a page, in order. */
export function blocksOf(page: string, markdown: string): Block[] {
  const lines = markdown.split("\n");
  const blocks: Block[] = [];
  let section = "";
  let prose: string[] = []; // since the last block or heading
  let item = 0; // how far the text of the list item is indented
  let isAfterBlank = true;
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    const indent = line.search(/\S/);
    const [, fence, info = ""] = /^ *(`{3,})(.*)$/.exec(line) ?? [];
    const isIndented = isAfterBlank && indent >= item + 4;
    if (fence !== undefined || isIndented) {
      const first = fence === undefined ? at : at + 1;
      const last = fence === undefined ? endOfIndented(lines, at, item + 4) : lines.findIndex(
        (line, index) => index > at && line.trim() === fence,
      );
      if (last === -1) throw new Error(`${page}:${at + 1}: the fence has no end`);
      const depth = fence === undefined ? item + 4 : indent;
      const text = lines.slice(first, last).map((line) => line.slice(depth)).join("\n");
      const before = prose.join("\n");
      const marker = markerOf(before);
      blocks.push({
        page,
        line: first + 1,
        section,
        text,
        ...kindOf(info.trim(), text, before),
        ...marker && { marker },
      });
      at = fence === undefined ? last - 1 : last;
      prose = [];
      isAfterBlank = true;
      continue;
    }
    const [, heading] = /^#+ (.*)$/.exec(line) ?? [];
    const [bullet] = /^ *(?:[-*]|\d+\.) +/.exec(line) ?? [];
    if (heading !== undefined) [section, prose, item] = [heading, [], 0];
    else prose.push(line);
    if (bullet !== undefined) item = bullet.length;
    else if (isAfterBlank && indent >= 0 && indent < item) item = 0;
    isAfterBlank = line.trim() === "";
  }
  return blocks;
}

/** The number of the line after an indented block that begins at `start`. */
function endOfIndented(lines: readonly string[], start: number, depth: number): number {
  let end = start;
  for (let at = start; at < lines.length; at++) {
    const indent = lines[at]!.search(/\S/);
    if (indent >= depth) end = at + 1;
    else if (indent >= 0) break;
  }
  return end;
}

/** The marker that ends the text before a block. */
function markerOf(before: string): Block["marker"] {
  const [, comment] = /<!--((?:(?!-->)[^])*)-->\s*$/.exec(before) ?? [];
  const words = comment?.trim().replaceAll(/\s+/g, " ") ?? "";
  const [, notRun] = /^not run: (.+)$/.exec(words) ?? [];
  const [, runBy] = /^run by (\S+)$/.exec(words) ?? [];
  return notRun !== undefined ? { notRun } : runBy !== undefined ? { runBy } : undefined;
}

/** What a block is, by the words after its fence, its first line, and the text before it. */
function kindOf(info: string, text: string, before: string): { kind: Kind; name?: string } {
  if (/^(|sh|bash|shell)$/.test(info)) {
    return { kind: /^\$ /m.test(text) ? "transcript" : "commands" };
  }
  if (/^(console|nginx|ini|c)$/.test(info)) return { kind: "other" };
  const paragraph = before.replaceAll(/<!--[^]*?-->/g, "").trimEnd().split(/\n\s*\n/).at(-1)!;
  const [name] = [/^\/\/ ([\w./-]+)/.exec(text), /\bas\s+`([\w./-]+)`[^`]*:$/.exec(paragraph)]
    .concat([/`([\w./-]+)`:$/.exec(paragraph)])
    .flatMap((match) => match?.[1] ?? [])
    .filter((name) => /\.(?:tsx?|m?js|jsonc?|sh|py)$/.test(name));
  const [language] = info.split(" ");
  if (name !== undefined && info !== `${language} ignore`) return { kind: "file", name };
  if (language === "ts" && info === "ts") return { kind: "typescript" };
  if (/^jsonc?$/.test(info)) return { kind: "json" };
  if (/^(js|ts ignore)$/.test(info)) return { kind: "other" };
  throw new Error(`it is not known what a block of ${info} is`);
}

/** A command of a block, whose lines may be continued with a backslash. */
export interface Command {
  line: number;
  text: string;
  /** What a transcript shows after it; a line that is only `…` stands for any lines. */
  output: string;
}

/** The commands of a block: all its lines, or those of a transcript that begin with `$ `. */
export function commandsOf(block: Block): Command[] {
  const commands: Command[] = [];
  let isOpen = false;
  for (const [index, line] of block.text.split("\n").entries()) {
    const isTranscript = block.kind === "transcript";
    const [, text] = isTranscript ? /^\$ (.*)$/.exec(line) ?? [] : [line, line];
    if (isOpen) commands.at(-1)!.text += `\n${line}`;
    else if (text !== undefined) commands.push({ line: block.line + index, text, output: "" });
    else if (commands.length > 0) commands.at(-1)!.output += `${line}\n`;
    isOpen = (isOpen || text !== undefined) && line.endsWith("\\");
  }
  return commands.filter(({ text }) => !/^\s*(#.*)?$/.test(text));
}

/** Whether a command starts a server, and does not end by itself. */
export function isServer(command: string): boolean {
  return /^(?:(?:npx (?:-y )?)?deno run [^]*?\bmain\.ts\b|(?:npx (?:-y )?)?spawnd\b|deno task start\b)/
    .test(command) &&
    !/\s(?:--check|--help|-h|--version|-V|--once)(?=\s|$)/.test(command.replace(/ -- [^]*/, ""));
}

/** The anchors of a page's headings, as GitHub and others make them. */
export function anchorsOf(markdown: string): string[] {
  const seen = new Map<string, number>();
  return [...markdown.replaceAll(/^( *)```[^]*?^\1```/gm, "").matchAll(/^#+ (.*)$/gm)].map(
    ([, heading]) => {
      const anchor = heading!.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");
      const count = seen.get(anchor) ?? 0;
      seen.set(anchor, count + 1);
      return count === 0 ? anchor : `${anchor}-${count}`;
    },
  );
}

/** Where the links of a page lead to, apart from those to other sites. */
export function linksOf(markdown: string): string[] {
  const prose = markdown.replaceAll(/^( *)```[^]*?^\1```/gm, "").replaceAll(/`[^`]*`/g, "`");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!)
    .filter((link) => !/^\w+:/.test(link));
}
