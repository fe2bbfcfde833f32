/**
 * Showing untrusted text: what a client sent must neither forge a line nor reach a terminal raw.
 *
 * @module
 */

/**
 * `text` in double quotes, on one line: quotes, backslashes and every character that is not plainly
 * visible (control, format and separator characters, lone surrogates) in JavaScript's escapes.
 *
 * @example
 * ```ts
 * import { quote } from "./quote.ts";
 *
 * console.log(quote('say "hi"\n\x1b[2J')); // "say \"hi\"\n\u001b[2J"
 * ```
 */
export function quote(text: string): string {
  const quoted = JSON.stringify(text);
  // Most text ends here: the classes of Unicode below take a while to compile at their first use.
  if (/^[ -~]*$/.test(quoted)) return quoted;
  return quoted.replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}
