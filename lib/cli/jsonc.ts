/**
 * JSON with comments, with the place of everything in it, so that a message can name a line. The
 * parser goes on after an error and finds the others too.
 *
 * @module
 */

import {
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
} from "npm:jsonc-parser@^3.3.1";
import { quoted } from "./usage_error.ts";

export type { Node };

/** Something wrong at a place. */
export interface Fault {
  /** Where in the text, in UTF-16 units. */
  readonly offset: number;
  readonly text: string;
}

/** A key of an object, with its value. */
export interface Property {
  readonly key: string;
  /** Where it is. */
  readonly node: Node;
  readonly value: Node;
}

/** What the text is; `undefined`, or unreliable, if there are faults. */
export interface Parsed {
  readonly root?: Node | undefined;
  readonly faults: readonly Fault[];
}

/** Parses JSON in which comments and commas before a closing bracket are allowed. */
export function parseJsonc(text: string): Parsed {
  const errors: ParseError[] = [];
  try {
    const root = parseTree(text, errors, { allowTrailingComma: true });
    return {
      root,
      faults: errors.map((error) => ({ offset: error.offset, text: explain(text, error) })),
    };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the parser calls itself for every bracket
    return { faults: [{ offset: 0, text: "brackets are nested too deeply" }] };
  }
}

/** The keys of an object, in order, and each that it has twice. */
export function propertiesOf(object: Node): Property[] {
  return (object.children ?? []).map(({ children }) => {
    const [node, value] = children!;
    return { key: node!.value, node: node!, value: value! };
  });
}

/** The line, from 1, of a place in `text`. */
export function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split(/\r\n?|\n/).length;
}

/** What is expected where the parser has stopped, by its codes. */
const EXPECTED: Readonly<Record<string, string>> = {
  InvalidSymbol: 'a value, such as true, 10 or "text"',
  InvalidNumberFormat: "a number",
  PropertyNameExpected: "a key in double quotes",
  ValueExpected: "a value",
  ColonExpected: '":"',
  CommaExpected: '","',
  CloseBraceExpected: '"," or "}"',
  CloseBracketExpected: '"," or "]"',
  EndOfFileExpected: "the end of the file",
  UnexpectedEndOfComment: "the end of the comment, */",
  UnexpectedEndOfString: "the end of the text, a double quote",
  UnexpectedEndOfNumber: "a number",
  InvalidUnicode: "four hexadecimal digits after \\u",
  InvalidEscapeCharacter: 'one of " \\ / b f n r t u after a backslash',
  InvalidCharacter: "an escape, such as \\n or \\t, for a control character",
};

function explain(text: string, { error, offset, length }: ParseError): string {
  const got = text.slice(offset, offset + length);
  return `expected ${EXPECTED[printParseErrorCode(error)] ?? "JSON"}, got ${
    got ? quoted(got) : "the end of the file"
  }`;
}
