/**
 * The journal: whether the log goes there (systemd: systemd.exec(5), JOURNAL_STREAM).
 *
 * @module
 */

import { readVariable } from "../base/variable.ts";

/**
 * Whether stderr is connected to the journal. `false` where Deno does not let the environment be
 * read. Loads a module only where there is a journal at all.
 */
export async function isJournal(): Promise<boolean> {
  const stream = readVariable("JOURNAL_STREAM");
  if (!stream) return false;
  // The variable is inherited, by processes whose stderr goes elsewhere too. Unlike Deno.stat, this
  // takes no permission (Deno 2.9.6).
  const { fstatSync } = await import("node:fs");
  const { dev, ino } = fstatSync(2, { bigint: true });
  return stream === `${dev}:${ino}`;
}
