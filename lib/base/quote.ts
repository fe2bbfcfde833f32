/**
 * Makes untrusted text safe to show: what a client sent must neither forge a log line nor reach a
 * terminal unescaped, nor fill the log.
 *
 * @module
 */

/**
 * What is not plainly visible, and could forge a line or send escape sequences to a terminal: control
 * and format characters, separators, lone surrogates. It is slow to compile at its first use.
 */
const invisible = () => /[\p{C}\p{Zl}\p{Zp}]/gu;

/** Whether a text has none of that for certain: the common case. */
const isPlain = (text: string) => /^[ -~]*$/.test(text);

/**
 * Puts `text` in double quotes, on one line, as a JSON string. Quotes, backslashes and every character
 * that is not plainly visible (control, format and separator characters, lone surrogates) are escaped.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { quote } from "./quote.ts";
 *
 * assertEquals(quote('"hi"\n\x1b[2J\x9b'), '"\\"hi\\"\\n\\u001b[2J\\u009b"');
 * ```
 */
export function quote(text: string): string {
  return escapeJson(JSON.stringify(text));
}

/** The same JSON, with what it leaves raw escaped: control characters, and what reorders text. */
export function escapeJson(json: string): string {
  if (isPlain(json)) return json;
  return json.replace(
    invisible(),
    (character) =>
      character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
        .join(""),
  );
}

/**
 * The first `length` characters of a text, with `…` after them if there were more.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { shorten } from "./quote.ts";
 *
 * assertEquals(shorten("chat, mqtt", 4), "chat…");
 * ```
 */
export function shorten(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}

/**
 * The same text on one line: control and format characters, which could forge a line or send escape
 * sequences to a terminal, become JavaScript escapes.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { printable } from "./quote.ts";
 *
 * assertEquals(printable("no user \x1b[2Jbob\n"), "no user \\u{1b}[2Jbob\\u{a}");
 * ```
 */
export function printable(text: string): string {
  if (isPlain(text)) return text;
  return text.replace(
    invisible(),
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}
