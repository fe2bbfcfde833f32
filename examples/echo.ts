/**
 * Echo: sends back what the client sends, as it comes. A client that leaves before it has read
 * everything is not an error.
 *
 *     deno run --allow-net --allow-run main.ts examples/echo.ts
 *
 * @module
 */

import { serve } from "@spawnd/spawnd/handler";

await serve(async (client) => {
  for (let bytes; (bytes = await client.read()) !== null;) await client.write(bytes);
});
