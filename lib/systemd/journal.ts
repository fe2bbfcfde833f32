/**
 * The journal: whether the log goes there (systemd: systemd.exec(5), JOURNAL_STREAM).
 *
 * @module
 */

import { fstatSync } from "node:fs";

/**
 * Whether stderr is the stream that JOURNAL_STREAM names. The variable is inherited, by processes
 * whose stderr goes elsewhere too.
 */
export function isJournal(stream: string): boolean {
  // Unlike Deno.stat, this takes no permission (Deno 2.9.6).
  const { dev, ino } = fstatSync(2, { bigint: true });
  return stream === `${dev}:${ino}`;
}
