/**
 * Progress of a tool that runs for a while: one line on the terminal, rewritten in place. Without a
 * terminal nothing is written, so that a pipe or a log has the results only.
 *
 * @module
 */

const encoder = new TextEncoder();

/** Shows `text` instead of the previous one; an empty text clears the line. */
export function showProgress(text: string): void {
  if (!Deno.stderr.isTerminal()) return;
  const columns = Deno.consoleSize().columns || 80;
  const shown = text.slice(0, columns - 1); // a line that wraps would not be replaced
  Deno.stderr.writeSync(encoder.encode(`\r\x1b[K${shown}`));
}
