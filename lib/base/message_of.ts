/**
 * The message of a thrown value, which need not be an `Error`.
 *
 * @module
 */

/** The message of an error, or any other thrown value as a string. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
