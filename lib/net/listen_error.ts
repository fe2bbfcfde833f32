/**
 * The error of an address that cannot be listened on.
 *
 * @module
 */

/** An address cannot be listened on. The message says why and what to do, in one line. */
export class ListenError extends Error {
  /** Always `ListenError`. */
  override readonly name = "ListenError";

  /**
   * Creates an error for one address.
   *
   * @param address The address to listen on, as it is shown in the message.
   * @param reason What is wrong and what to do about it.
   * @param what What cannot be done there.
   */
  constructor(address: string, reason: string, what = "listen") {
    super(`Cannot ${what} on ${address}: ${reason}`);
  }
}
