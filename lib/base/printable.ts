/**
 * Text from outside, such as a name in a file, made safe for a terminal.
 *
 * @module
 */

/**
 * The same text on one line: control and format characters, which could forge a line or send escape
 * sequences to a terminal, become JavaScript escapes.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { printable } from "./printable.ts";
 *
 * assertEquals(printable("no user \x1b[2Jbob\n"), "no user \\u{1b}[2Jbob\\u{a}");
 * ```
 */
export function printable(text: string): string {
  if (/^[ -~]*$/.test(text)) return text;
  return text.replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}
