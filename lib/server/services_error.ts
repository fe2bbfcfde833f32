/**
 * What is wrong with services: all of it, for all of them.
 *
 * @module
 */

import { messageOf } from "../base/message_of.ts";

/** Some services cannot be started as they are. */
export class ServicesError extends AggregateError {
  override readonly name = "ServicesError";

  /** @param errors The message of each says in one line what to do. */
  constructor(override readonly errors: Error[]) {
    super(errors, errors.map(messageOf).join(". "));
  }
}

/**
 * Calls `make` for every entry; resolves to what it returns, by the same names.
 *
 * @throws {ServicesError} Some of them threw.
 */
export async function forAll<T, R>(
  entries: ReadonlyMap<string, T>,
  make: (value: T, name: string) => R | Promise<R>,
): Promise<Map<string, R>> {
  const made = new Map<string, R>();
  const errors: Error[] = [];
  const results = await Promise.allSettled(
    [...entries].map(async ([name, value]) => [name, await make(value, name)] as const),
  );
  results.forEach((result, index) => {
    if (result.status === "fulfilled") made.set(...result.value);
    else errors.push(withName([...entries.keys()][index]!, result.reason));
  });
  if (errors.length > 0) throw new ServicesError(errors);
  return made;
}

/** An error, with the service that it is about. */
export function withName(name: string, error: unknown): Error {
  if (name === "" && error instanceof Error) return error;
  return new Error(`${name}: ${messageOf(error)}`, { cause: error });
}
