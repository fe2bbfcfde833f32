/**
 * The status page: what a person sees of a running server. One document that loads nothing else; its
 * script fetches `status.json` every second and writes text only, never markup.
 *
 * The document, its style and its script are files of their own kind, so that they are formatted and
 * linted as what they are. They are part of the program, and reading them takes no permission.
 *
 * @module
 */

import DOCUMENT from "./page.html" with { type: "text" };
import STYLE from "./page.css" with { type: "text" };
import ELEMENTS from "./page_elements.js" with { type: "text" };
import CONNECTIONS from "./page_connections.js" with { type: "text" };
import MAIN from "./page.js" with { type: "text" };

/** The modules of the script as one, which loads no other. */
const SCRIPT = [ELEMENTS, CONNECTIONS, MAIN]
  .map((text) => text.replaceAll(/^import .*;$|^export /gm, "")).join("");

/** The document. */
export const PAGE: string = DOCUMENT
  .replace("<style></style>", () => `<style>${STYLE}</style>`)
  .replace("<script></script>", () => `<script>${SCRIPT}</script>`);

/** The document may run its own style and script, and fetch from its own server; nothing else. */
export const CONTENT_SECURITY_POLICY: Promise<string> = (async () => {
  const [style, script] = await Promise.all([STYLE, SCRIPT].map(async (text) => {
    const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    return `'sha256-${btoa(String.fromCharCode(...new Uint8Array(hash)))}'`;
  }));
  return `default-src 'none'; style-src ${style}; script-src ${script}; connect-src 'self'; ` +
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
})();
