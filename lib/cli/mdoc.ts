/**
 * Plain text in mdoc(7), the language of manual pages: nothing in it is taken for a macro or an
 * escape sequence, by groff or mandoc.
 *
 * @module
 */

/** Terms and their texts. */
export function list(texts: Readonly<Record<string, string>>): string {
  const items = Object.entries(texts).map(([term, text]) => `.It ${term}\n${prose(text)}`);
  return [".Bl -tag -width Ds", ...items, ".El"].join("\n");
}

/** A sentence on lines of at most 80 characters, none of which could be a macro. */
export function prose(text: string): string {
  const sentence = text.charAt(0).toUpperCase() + text.slice(1).replace(/\.?$/, ".");
  const lines = sentence.match(/\S.{0,75}(?= |$)/g)!;
  return lines
    .map((line) => escaped(line).replaceAll(/(?<!\S)(?=\S*(?:\\-\\-|:\/\/))/g, "\\%")) // no hyphenation
    .map((line) => line.replace(/^(?=[.'])/, "\\&"))
    .join("\n");
}

/** Text as troff has it; a hyphen is what can be typed, everywhere. */
export function escaped(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    .replaceAll("`", "\\(ga")
    .replaceAll("'", "\\(aq");
}
