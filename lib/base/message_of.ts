/**
 * What was thrown, in words.
 *
 * @module
 */

/** The message of an error, or the text of whatever else was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
