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
  const quoted = JSON.stringify(text);
  // The common case. The Unicode classes below are slow to compile at their first use.
  if (/^[ -~]*$/.test(quoted)) return quoted;
  return quoted.replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}
