import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { quote } from "../lib/base/quote.ts";

Deno.test("quoted text is one line of visible characters and spaces", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert(/^"[^\p{C}\p{Zl}\p{Zp}]*"$/u.test(quote(text)), quote(text));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("visible text stays as it is", () => {
  for (const text of ["hello, world", "grüße", "你好", "👋"]) {
    assertEquals(quote(text), `"${text}"`);
  }
});

Deno.test("quotes, backslashes, control, bidirectional and line separator characters are escaped", () => {
  assertEquals(quote('"\\'), '"\\"\\\\"');
  assertEquals(quote("\x1b[2J\r\n\x9b\x7f"), '"\\u001b[2J\\r\\n\\u009b\\u007f"');
  assertEquals(quote("\u202e\u2028\ud800"), '"\\u202e\\u2028\\ud800"');
});
