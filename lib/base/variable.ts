/**
 * The server's environment, as far as Deno lets it be read.
 *
 * @module
 */

/** The value of a variable; `undefined` if it is not set or may not be read. Never prompts. */
export function readVariable(variable: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) : undefined;
}
