/**
 * What was probably meant by a name that does not exist.
 *
 * @module
 */

import { closestString } from "@std/text/closest-string";
import { levenshteinDistance } from "@std/text/levenshtein-distance";

/** Longer names are no slips of the finger, and would take time to compare. */
const MAX_LENGTH = 40;

/** The one of `names` that is nearest to `name`, if it is near. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  if (name === "" || name.length > MAX_LENGTH) return undefined;
  const candidate: string = closestString(name, [...names]);
  const isNear = levenshteinDistance(name, candidate) <= Math.ceil(name.length / 3);
  return isNear ? candidate : undefined;
}
