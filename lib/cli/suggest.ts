/**
 * What was probably meant by a name that does not exist.
 *
 * @module
 */

import { closestString } from "npm:deno-std@^1.4.0/text/closest_string.js"; // @std/text
import { levenshteinDistance } from "npm:deno-std@^1.4.0/text/levenshtein_distance.js";

/** Longer names are no slips of the finger, and would take time to compare. */
const MAX_LENGTH = 40;
/** More candidates are no help. */
const MAX_CANDIDATES = 5;

/** The names that begin with `name`, or else those that end with it as a word, if there are a few. */
export function abbreviated(name: string, names: readonly string[]): string[] | undefined {
  if (name.length < 2) return undefined;
  const begin = names.filter((candidate) => candidate.startsWith(name));
  const found = begin.length > 0
    ? begin
    : names.filter((candidate) => candidate.endsWith(`-${name}`));
  return found.length > 0 && found.length <= MAX_CANDIDATES ? found : undefined;
}

/** The one of `names` that is nearest to `name`, if it is near. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  if (name === "" || name.length > MAX_LENGTH) return undefined;
  const candidate: string = closestString(name, [...names]);
  const isNear = levenshteinDistance(name, candidate) <= Math.ceil(name.length / 3);
  return isNear ? candidate : undefined;
}
