/**
 * Where Deno's flags go.
 *
 * @module
 */

/** The place for whoever runs main.ts. */
export const BEFORE_MAIN = "before main.ts";

/** The place, which depends on how spawnd was installed, if it was. */
export function placeOfFlags(): string {
  if (Deno.mainModule.includes("/node_modules/")) return "into SPAWND_PERMISSIONS";
  // The deno.json of a checkout sets --unstable-net, and deno install takes no notice of it.
  const isCheckout = Deno.listenDatagram !== undefined;
  return isCheckout ? BEFORE_MAIN : `${BEFORE_MAIN}, or into deno install --force`;
}
