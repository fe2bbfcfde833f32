/* The parent keeps the client's socket open, so the connection does not end with the child. */

#include "trap.h"

static void serve(int listener) {
  on_signal(SIGCHLD, reap_all, SA_RESTART);
  for (;;) {
    int client = accept(listener, NULL, NULL);
    if (fork() == 0) {
      close(listener);
      echo(client);
      _exit(0);
    }
#ifdef FIXED
    close(client);
#endif
  }
}

int main(void) {
  char byte;
  start_server(serve);
  int client = connect_client();
  if (!is_answered(client)) fail("the client");
  shutdown(client, SHUT_WR);
  UNTIL(children(ANY) == 0);
  ssize_t length = read(client, &byte, 1);
  return report(length == 0, "the child has exited, and its client %s",
                length == 0 ? "sees the end" : "waits for more");
}
