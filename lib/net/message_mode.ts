/**
 * What a message of a WebSocket is:
 *
 * - `lines`: a line of text, without its end (LF or CRLF);
 * - `text`: text as it comes;
 * - `bytes`: bytes as they come.
 */
export const MESSAGE_MODES = ["lines", "text", "bytes"] as const;

/** See {@linkcode MESSAGE_MODES}. */
export type MessageMode = (typeof MESSAGE_MODES)[number];
