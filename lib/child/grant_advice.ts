/**
 * The advice for a module that lacks a permission: which `--grant` would give it, once in the log.
 *
 * A module says what it lacks on its stderr, which the server does not see where children inherit
 * its own. So after a child has failed, the stderr of the next one passes through the server, for a
 * few children at most.
 *
 * @module
 */

import type { Logger } from "../base/log.ts";
import { advisedGrant } from "./sandbox.ts";

const MAX_WATCHED = 3;

/** The advice for the children of one handler. */
export class GrantAdvice {
  readonly #log: Logger;
  readonly #given = new Set<string>();
  #watched = 0;
  #isDue = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Notes that a child has failed. */
  childFailed(): void {
    this.#isDue = true;
  }

  /** Whether the next child's stderr is to be read. */
  takeWatch(): boolean {
    if (!this.#isDue || this.#watched === MAX_WATCHED) return false;
    this.#isDue = false;
    this.#watched++;
    return true;
  }

  /** Reads a line of a child's stderr. */
  read(line: string): void {
    const grant = advisedGrant(line);
    if (grant === undefined || this.#given.has(grant) || this.#given.size === MAX_WATCHED) return;
    this.#given.add(grant);
    this.#log.warn("the module lacks a permission", { remedy: `--grant ${grant}` });
  }
}
