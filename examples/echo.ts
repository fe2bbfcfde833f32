/**
 * Echo: the client gets back what it says. A handler is as little as this: bytes come on stdin and go
 * on stdout, and when the client has ended its input, the process ends. A client that leaves before
 * it has taken everything is no error.
 *
 *     deno run --allow-net --allow-run main.ts examples/echo.ts
 *
 * @module
 */

await Deno.stdin.readable.pipeTo(Deno.stdout.writable).catch((error) => {
  if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
});
