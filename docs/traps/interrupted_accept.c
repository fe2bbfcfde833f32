/* SIGCHLD interrupts accept, and the server takes that for a failure. */

#include "trap.h"

static void serve(int listener) {
  on_signal(SIGCHLD, reap_all, 0); /* without SA_RESTART */
  for (;;) {
    int client = accept(listener, NULL, NULL);
#ifdef FIXED
    if (client < 0 && errno == EINTR) continue;
#endif
    if (client < 0) _exit(1);
    if (fork() == 0) {
      close(listener);
      echo(client);
      _exit(0);
    }
    close(client);
  }
}

int main(void) {
  start_server(serve);
  int first = connect_client();
  if (!is_answered(first)) fail("the first client");
  close(first);
  UNTIL(children(ANY) == 0);
  bool holds = is_answered(connect_client());
  return report(holds, "the first child has exited, and the server %s",
                holds ? "goes on" : "too");
}
