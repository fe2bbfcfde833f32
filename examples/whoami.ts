/**
 * Tells the client what is known of it, then echoes. The process may have started long before its
 * client connected; spawnd tells it who that is.
 *
 *     deno run --allow-net --allow-run main.ts examples/whoami.ts
 *
 * @module
 */

import { serve } from "@spawnd/spawnd/handler";

await serve(async (client) => {
  const { remote, tls } = client;
  await client.write(
    remote ? `You are ${remote.hostname}, port ${remote.port}.\n` : "I cannot tell who you are.\n",
  );
  if (tls) await client.write(`You speak ${tls.protocol}, as ${tls.commonName ?? "anybody"}.\n`);
  for (let bytes; (bytes = await client.read()) !== null;) await client.write(bytes);
});
