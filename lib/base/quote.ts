/**
 * Makes untrusted text safe to show: what a client sent must neither forge a log line nor reach a
 * terminal unescaped.
 *
 * @module
 */

/**
 * Puts `text` in double quotes, on one line. Quotes, backslashes and every character that is not
 * plainly visible (control, format and separator characters, lone surrogates) become JavaScript
 * escapes.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { quote } from "./quote.ts";
 *
 * assertEquals(quote('"hi"\n\x1b[2J'), '"\\"hi\\"\\n\\u001b[2J"');
 * ```
 */
export function quote(text: string): string {
  return printable(JSON.stringify(text));
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
  // The common case. The Unicode classes below are slow to compile at their first use.
  if (/^[ -~]*$/.test(text)) return text;
  return text.replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}
