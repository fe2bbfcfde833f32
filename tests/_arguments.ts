/**
 * The arguments of the tools that run for a number of seconds.
 *
 * @module
 */

/** Whole numbers that a tool takes, in order, each with its smallest value and its default. */
export type Numbers = readonly (readonly [name: string, min: number, byDefault: number])[];

/**
 * The numbers in `args`, or their defaults.
 *
 * @throws {RangeError} There is an argument too many, or one is not such a number.
 */
export function readNumbers(numbers: Numbers, args: readonly string[]): number[] {
  if (args.length > numbers.length) {
    throw new RangeError(`too many arguments: ${args.slice(numbers.length).join(" ")}`);
  }
  return numbers.map(([name, min, byDefault], index) => {
    const text = args[index];
    if (text === undefined) return byDefault;
    if (/^\d{1,9}$/.test(text) && Number(text) >= min) return Number(text);
    throw new RangeError(`${name} is a whole number from ${min}, got ${JSON.stringify(text)}`);
  });
}

/** Reads a tool's arguments; prints `usage` and exits if it is asked for (0) or they are wrong (2). */
export function readArguments(usage: string, numbers: Numbers): number[] {
  if (Deno.args.includes("-h") || Deno.args.includes("--help")) {
    console.log(usage);
    Deno.exit(0);
  }
  try {
    return readNumbers(numbers, Deno.args);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    console.error(`${error.message}\n${usage}`);
    Deno.exit(2);
  }
}
