/** Facts as logfmt, read by the rules of go-logfmt, which many log collectors use. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { formatFacts } from "../lib/base/logfmt.ts";

/** The pairs of a line; a word without a value has none. Throws where go-logfmt reports an error. */
function parse(line: string): [key: string, value: string | undefined][] {
  const pairs: [string, string | undefined][] = [];
  let at = 0;
  const peek = () => line[at] ?? " "; // a line ends like a word
  const fail = () => {
    throw new SyntaxError(`at ${at} of ${line}`);
  };
  for (;;) {
    while (at < line.length && peek() <= " ") at++;
    if (at === line.length) return pairs;
    const begin = at;
    while (peek() > " " && peek() !== "=" && peek() !== '"') at++;
    if (at === begin || peek() === '"') fail();
    const key = line.slice(begin, at);
    if (peek() !== "=") {
      pairs.push([key, undefined]);
      continue;
    }
    const start = ++at;
    if (peek() !== '"') {
      while (peek() > " ") if ('="'.includes(line[at++]!)) fail();
      pairs.push([key, line.slice(start, at)]);
      continue;
    }
    do {
      at++;
      while (peek() === "\\") at += 2;
      if (at >= line.length || peek() < " ") fail();
    } while (peek() !== '"');
    pairs.push([key, JSON.parse(line.slice(start, ++at))]); // go-logfmt's escapes are those of JSON
    if (peek() > " ") fail();
  }
}

/** Texts of any kind, many with what has a meaning in logfmt. */
const value = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({
    unit: fc.constantFrom(..."=\"'\\ \t\n\r\0\x1b\x7f\x9bu{}\u2028\u202e\ud800é😀\u{e0001}a1"),
  }),
  fc.constantFrom("", " ", "=", '"', "\\", "a=b", "-", "[::1]:1", "/a,b+c@d"),
);
const key = fc.stringMatching(/^[a-zA-Z_-]{1,9}$/);

Deno.test("every value is read as it was, on one line", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(key, value), { selector: ([key]) => key }), (facts) => {
      const line = formatFacts(Object.fromEntries(facts));
      assertEquals(/[\p{C}\p{Zl}\p{Zp}]/u.test(line), false, line);
      assertEquals(Object.fromEntries(parse(`info  an event${line}`)), {
        info: undefined,
        an: undefined,
        event: undefined,
        ...Object.fromEntries(facts),
      });
    }),
    { numRuns: 2000 },
  );
});

Deno.test("values that are not texts are words, and absent ones are left out", () => {
  const line = formatFacts({ a: 1.5, b: true, c: undefined, d: null, e: -2, f: "" });
  assertEquals(line, ' a=1.5 b=true d=null e=-2 f=""');
});
