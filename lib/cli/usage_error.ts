/**
 * What is wrong with a command line or a configuration file: all of it, one line each.
 *
 * @module
 */

import { quote, shorten } from "../base/quote.ts";

/** The longest text of a user's that a message repeats. */
const MAX_SHOWN = 60;

/** A command line or a configuration that cannot be used; each problem says what could be. */
export class UsageError extends AggregateError {
  override readonly name = "UsageError";
  /** What is wrong, one line each; at least one. */
  readonly problems: readonly string[];
  /** What helps with all of them, if anything. */
  readonly hint: string | undefined;

  constructor(problems: readonly string[], hint?: string) {
    super(problems, problems.join("\n"));
    this.problems = problems;
    this.hint = hint;
  }
}

/** `text` in quotes, cut where it is long. */
export function quoted(text: string): string {
  return quote(shorten(text, MAX_SHOWN));
}

/** `text` as it is where that can be read on one line, else in quotes. */
export function shown(text: string): string {
  return /^[\w./@+~:=[\]-]+$/.test(text) && text.length <= 4 * MAX_SHOWN ? text : quoted(text);
}
