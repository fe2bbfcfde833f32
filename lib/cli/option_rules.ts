/**
 * The rules between options: which ones cannot be given without another one, or with it.
 *
 * @module
 */

import { ALL_OPTIONS, nameOf } from "./command_options.ts";

/** An option that breaks a rule. */
export interface Conflict {
  readonly key: string;
  /** The other option, which is missing, or one too many. */
  readonly other: string;
  readonly isMissing: boolean;
  /** What is wrong with it, for after its name. */
  readonly text: string;
}

/**
 * Which options do not fit together.
 *
 * @param given By key, how many values each option has been given.
 * @param dashes What goes before the name of another option.
 */
export function findConflicts(given: Readonly<Record<string, number>>, dashes = ""): Conflict[] {
  const conflicts: Conflict[] = [];
  for (const [key, { requires, excludes = [] }] of ALL_OPTIONS) {
    if (!given[key]) continue;
    if (requires && !given[requires]) {
      const text = `requires ${dashes}${nameOf(requires)}`;
      conflicts.push({ key, other: requires, isMissing: true, text });
    }
    const excluded = excludes.find((other) => given[other]);
    if (excluded) {
      const text = `cannot be given with ${dashes}${nameOf(excluded)}`;
      conflicts.push({ key, other: excluded, isMissing: false, text });
    }
  }
  return conflicts;
}

/** What is wrong if certificates and keys are not as many; a missing kind is a conflict of its own. */
export function unmatchedKeys(
  { cert = 0, key = 0 }: Readonly<Record<string, number>>,
  dashes = "",
): string | undefined {
  if (cert === key || cert === 0 || key === 0) return undefined;
  return `every ${dashes}cert takes a ${dashes}key, ` +
    `got ${cert} ${dashes}cert and ${key} ${dashes}key`;
}
