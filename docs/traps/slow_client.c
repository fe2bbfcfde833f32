/* The parent reads from a client itself, and all others wait for that client. */

#include "trap.h"

static void serve(int listener) {
  for (;;) {
    char request[256];
    ssize_t length;
    int client = accept(listener, NULL, NULL);
#ifndef FIXED
    length = read(client, request, sizeof request);
#endif
    if (fork() == 0) {
      close(listener);
#ifdef FIXED
      length = read(client, request, sizeof request);
#endif
      if (length > 0) write_all(client, request, length);
      _exit(0);
    }
    close(client);
  }
}

int main(void) {
  start_server(serve);
  connect_client(); /* and says nothing */
  bool holds = is_answered(connect_client());
  return report(holds, "one client is silent, and the next is %s",
                holds ? "served" : "not served");
}
