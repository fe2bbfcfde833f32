/**
 * What is allowed, but hardly meant, of what is to be served.
 *
 * @module
 */

import { formatFacts } from "./logfmt.ts";

/** What is to be logged. */
export type Warning = readonly [message: string, facts?: Readonly<Record<string, unknown>>];

/** A warning on one line. */
export function formatWarning([message, facts = {}]: Warning): string {
  return message + formatFacts(facts);
}
