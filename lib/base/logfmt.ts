/**
 * Facts as `key=value`, in the form that logfmt parsers read: a value that is not a plain word is a
 * JSON string, so it can neither end its line nor pass for another fact.
 *
 * @module
 */

import { quote } from "./quote.ts";

/** The facts, each with a space before it; those that are `undefined` are left out. */
export function formatFacts(facts: Readonly<Record<string, unknown>>): string {
  return Object.entries(facts)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${formatValue(value)}`).join("");
}

/** A value as it is where it is a plain word, else in quotes. */
export function formatValue(value: unknown): string {
  const text = String(value);
  return /^[\w.:@/+,[\]-]+$/.test(text) ? text : quote(text);
}

/** A fact that is whole on a terminal only: a log is kept, and others may read it. */
export class TerminalFact {
  /** What a terminal shows. */
  readonly whole: string;
  readonly #short: string;

  /** @param short What every other log shows. */
  constructor(whole: string, short: string) {
    this.whole = whole;
    this.#short = short;
  }

  /** What a log in text shows. */
  toString(): string {
    return this.#short;
  }

  /** What a log in JSON shows. */
  toJSON(): string {
    return this.#short;
  }
}
