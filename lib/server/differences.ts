/**
 * What a change of the services changes, for the log.
 *
 * @module
 */

import { type Option, OPTIONS } from "./options.ts";
import type { Settings } from "./settings.ts";

/** What has changed, as facts for the log. */
export function differences(
  old: ReadonlyMap<string, Settings>,
  now: ReadonlyMap<string, Settings>,
): Record<string, unknown> {
  const certificates = [...now.values()].reduce((sum, { cert }) => sum + cert.length, 0);
  const single = now.get("");
  if (single) return { handler: single.handler.name, ...(certificates > 0 && { certificates }) };
  const started = [...now.keys()].filter((name) => !old.has(name));
  const stopped = [...old.keys()].filter((name) => !now.has(name));
  const changed = [...now].flatMap(([name, settings]) => {
    const keys = old.has(name) ? changedOptions(old.get(name)!, settings) : [];
    return keys.length > 0 ? [`${name}: ${keys.join(" ")}`] : [];
  });
  const textOf = (names: string[], separator = ",") => names.join(separator) || undefined;
  return {
    services: now.size,
    started: textOf(started),
    stopped: textOf(stopped),
    changed: textOf(changed, ", "),
    ...(certificates > 0 && { certificates }),
  };
}

/** The names of the options that differ. */
function changedOptions(old: Settings, now: Settings): string[] {
  const options: Record<string, Pick<Option, "name">> = {
    handler: { name: "handler" },
    ...OPTIONS,
  };
  const [before, after] = [old, now] as unknown as Record<string, unknown>[];
  return Object.keys(options)
    .filter((key) => JSON.stringify(before![key]) !== JSON.stringify(after![key]))
    .map((key) => options[key]!.name);
}
