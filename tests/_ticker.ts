/** A handler that writes until its client has left, and says how it was told. */

import { serve } from "@spawnd/spawnd/handler";

await serve(async (client) => {
  client.closed.addEventListener("abort", () => console.error("told by a write, and by closed"));
  for (;;) {
    await client.write("tick\n");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});
