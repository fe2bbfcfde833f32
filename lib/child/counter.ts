/**
 * The counter block, the counter service's answer to every message. The format is that of the
 * classic multi-process server, byte for byte: a numbered block of fixed size, padded with zero
 * bytes.
 *
 * @module
 */

/** The size of a block and the largest size of a message, in bytes. */
export const BLOCK_BYTES = 256;

const encoder = new TextEncoder();

/**
 * The answer to message number `index` of a connection, counting from 0: the text
 * `This is server send message:<index>`, padded with zero bytes to {@linkcode BLOCK_BYTES}.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { counterBlock } from "./counter.ts";
 *
 * const text = new TextDecoder().decode(counterBlock(7).subarray(0, 29));
 * assertEquals(text, "This is server send message:7");
 * ```
 */
export function counterBlock(index: number): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK_BYTES);
  encoder.encodeInto(`This is server send message:${index}`, block);
  return block;
}
