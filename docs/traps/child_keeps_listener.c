/* A child keeps the listening socket open, so the port is in use after the server has exited. */

#include "trap.h"

static void serve(int listener) {
  int client = accept(listener, NULL, NULL);
  if (fork() == 0) {
#ifdef FIXED
    close(listener);
#endif
    echo(client);
    _exit(0);
  }
}

int main(void) {
  start_server(serve);
  int client = connect_client();
  if (!is_answered(client)) fail("the client");
  waitpid(server, NULL, 0);
  bool holds = open_listener() >= 0;
  return report(holds, "the server has exited, and its port is %s", holds ? "free" : "in use");
}
