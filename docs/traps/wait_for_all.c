/* The handler of SIGCHLD waits for the children that are still running. */

#include "trap.h"

static void reap(int signal) {
  (void)signal;
#ifdef FIXED
  while (waitpid(-1, NULL, WNOHANG) > 0) continue;
#else
  while (waitpid(-1, NULL, 0) > 0) continue;
#endif
}

static void serve(int listener) {
  on_signal(SIGCHLD, reap, SA_RESTART);
  fork_for_every_client(listener, echo);
}

int main(void) {
  start_server(serve);
  int lasting = connect_client(), short_lived = connect_client();
  if (!is_answered(lasting) || !is_answered(short_lived)) fail("a client");
  close(short_lived);
  UNTIL(children(ANY) == 1);
  bool holds = is_answered(connect_client());
  return report(holds, "one child has exited, one is running: the next client is %s",
                holds ? "served" : "not served");
}
