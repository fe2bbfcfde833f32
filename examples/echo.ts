/**
 * Echo: sends back what the client sends. A handler needs no more than this: it copies stdin to
 * stdout and exits when the client has ended its input. A client that disconnects before reading
 * everything is not an error. Web streams cost some start-up time, but write everything, at the pace
 * of the client, in one statement.
 *
 *     deno run --allow-net --allow-run main.ts examples/echo.ts
 *
 * @module
 */

await Deno.stdin.readable.pipeTo(Deno.stdout.writable).catch((error) => {
  if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
});
