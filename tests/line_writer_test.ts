import { assert, assertEquals } from "@std/assert";
import { LIMITS, LineWriter } from "../lib/base/line_writer.ts";
import { until } from "./_waiting.ts";

/** A sink that a test opens and closes; it takes at most `step` bytes a write. */
class Tap {
  readonly writes: string[] = [];
  isOpen = false;
  step = Infinity;
  /** What the next writes reject with, if they do. */
  errors: (Error | undefined)[] = [];

  write = async (bytes: Uint8Array): Promise<number> => {
    await until("the tap to open", () => this.isOpen);
    const error = this.errors.shift();
    if (error) throw error;
    const taken = bytes.subarray(0, this.step);
    this.writes.push(new TextDecoder().decode(taken));
    return taken.length;
  };

  get text(): string {
    return this.writes.join("");
  }
}

function writerOf(
  tap: Tap,
  onDropped?: (count: number, error: unknown) => void,
): LineWriter<string> {
  const format = (line: string) => `${line}\n`;
  return new LineWriter({ sink: tap, format, ...(onDropped && { onDropped }) });
}

Deno.test("lines are written whole and in order, however little a write takes", async () => {
  const tap = new Tap();
  [tap.isOpen, tap.step] = [true, 3];
  const writer = writerOf(tap);
  for (const line of ["one", "two", "three"]) writer.write(line);
  await writer.flush(5000);
  assertEquals(tap.text, "one\ntwo\nthree\n");
});

Deno.test("a write has whole lines, and no more than a pipe takes in one piece", async () => {
  const tap = new Tap();
  const writer = writerOf(tap);
  const lines = Array.from({ length: 500 }, (_, i) => `${i}`.padStart(i % 90, "-"));
  for (const line of lines) writer.write(line);
  writer.write("x".repeat(10_000)); // longer than that by itself
  tap.isOpen = true;
  await writer.flush(5000);
  assertEquals(tap.text, [...lines, "x".repeat(10_000), ""].join("\n"));
  assert(tap.writes.every((write) => write.endsWith("\n")));
  const sizes = tap.writes.map(({ length }) => length).sort((a, b) => a - b);
  assertEquals(sizes.at(-1), 10_001);
  assert(sizes.at(-2)! <= 4096 && sizes.length < 20, sizes.join());
});

Deno.test("a full non-blocking sink is tried again, and nothing is lost", async () => {
  const tap = new Tap();
  tap.isOpen = true;
  tap.errors = Array.from({ length: 3 }, () => new Deno.errors.WouldBlock("full"));
  const writer = writerOf(tap);
  writer.write("patience");
  await writer.flush(5000);
  assertEquals(tap.text, "patience\n");
});

Deno.test("a sink without a reader loses the line, and the next one is tried", async () => {
  const tap = new Tap();
  tap.isOpen = true;
  tap.errors = [new Deno.errors.BrokenPipe("gone")];
  const writer = writerOf(tap);
  writer.write("lost");
  await writer.flush(5000);
  writer.write("found");
  await writer.flush(5000);
  assertEquals(tap.text, "found\n");
});

/** An open tap, and a writer to it that says in a line of its own how many were dropped. */
function tellingWriter(): { tap: Tap; writer: LineWriter<string> } {
  const tap = new Tap();
  tap.isOpen = true;
  const writer: LineWriter<string> = writerOf(
    tap,
    (count, error) => writer.write(`${count} dropped: ${error}`),
  );
  return { tap, writer };
}

/** Writes lines in one batch, and waits until that is done. */
async function writeLines(writer: LineWriter<string>, ...lines: string[]): Promise<void> {
  for (const line of lines) writer.write(line, "high", 60_000);
  await writer.flush(5000);
}

Deno.test("a line that a full disk cut short is ended, and the lines lost are counted", async () => {
  const full = new Error("full");
  const { tap, writer } = tellingWriter();
  const writeUntilFull = async (bytes: number, ...lines: string[]) => {
    tap.errors = [undefined, full];
    tap.step = bytes;
    await writeLines(writer, ...lines);
    tap.step = Infinity;
  };
  await writeUntilFull(6, "one", "two", "three");
  assertEquals(tap.text, "one\ntw");
  tap.errors = [full];
  await writeLines(writer, "lost"); // and still no end of the line
  await writeLines(writer, "four", "five");
  assertEquals(tap.text, "one\ntw\nfour\nfive\n3 dropped: Error: full\n");

  tap.writes.length = 0;
  await writeUntilFull(3, "six"); // all but its line break
  await writeUntilFull(1, "seven"); // just that line break
  await writeUntilFull(6, "eight", "nine"); // a whole line, and no part of the next one
  await writeLines(writer, "ten");
  assertEquals(tap.text, "six\neight\nten\n2 dropped: Error: full\n");
});

Deno.test("how many lines were dropped is told even if that is lost at first", async () => {
  const { tap, writer } = tellingWriter();
  tap.errors = [new Error("full")];
  await writeLines(writer, "one", "two");
  tap.errors = [undefined, new Error("full again")];
  await writeLines(writer, "three");
  await writeLines(writer, "four");
  await writeLines(writer, "five");
  assertEquals(tap.text, "three\nfour\n3 dropped: Error: full again\nfive\n");
});

Deno.test("a sink whose reader has gone is tried once for each batch, and told nothing", async () => {
  const { tap, writer } = tellingWriter();
  const gone = new Deno.errors.BrokenPipe("gone");
  tap.errors = Array.from({ length: 100 }, () => gone);
  for (let i = 0; i < 10; i++) await writeLines(writer, "lost", "lost too");
  assertEquals([tap.errors.length, tap.text], [90, ""]);
});

Deno.test("a full queue drops what matters least, and says how many when it can", async () => {
  const tap = new Tap();
  const dropped: number[] = [];
  const writer = writerOf(tap, (count) => dropped.push(count));
  writer.write("being written", "normal");
  for (const importance of ["low", "normal", "high"] as const) {
    for (let i = 0; i < LIMITS.high; i++) writer.write(importance, importance);
  }
  assertEquals(dropped, []);
  tap.isOpen = true;
  await writer.flush(5000);
  const count = (line: string) => tap.text.split("\n").filter((text) => text === line).length;
  const counts = [count("low"), count("normal"), count("high")];
  assertEquals(counts, [
    LIMITS.low,
    LIMITS.normal - LIMITS.low,
    LIMITS.high - LIMITS.normal,
  ]);
  assertEquals(dropped, [3 * LIMITS.high - LIMITS.high]);
});

Deno.test("flush() waits for a stuck sink only as long as it is told", async () => {
  const tap = new Tap();
  const writer = writerOf(tap);
  writer.write("stuck");
  const startedAt = performance.now();
  await writer.flush(50);
  assert(performance.now() - startedAt < 2000);
  tap.isOpen = true;
  await writer.flush(5000);
  assertEquals(tap.text, "stuck\n");
});

Deno.test("writing may begin later, for all that comes until then", async () => {
  const tap = new Tap();
  tap.isOpen = true;
  const writer = writerOf(tap);
  writer.write("first", "normal", 60_000);
  writer.write("second", "normal", 60_000);
  assertEquals(tap.writes, []);
  writer.write("urgent", "high");
  await writer.flush(5000);
  assertEquals(tap.writes, ["first\nsecond\nurgent\n"]);
});

Deno.test("an item that comes just as the writer runs dry is written too", async () => {
  for (let turns = 0; turns < 12; turns++) {
    const lines: string[] = [];
    const decoder = new TextDecoder();
    const writer = new LineWriter<string>({
      sink: {
        write: (bytes) => Promise.resolve(lines.push(decoder.decode(bytes)) && bytes.length),
      },
      format: (line) => `${line}\n`,
    });
    writer.write("a");
    for (let i = 0; i < turns; i++) await undefined;
    writer.write("b", "normal", 1);
    await until(`b, ${turns} turns behind a`, () => lines.join("") === "a\nb\n", 2000);
  }
});
