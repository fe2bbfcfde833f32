/* The parent never collects the exit status of its children, so each stays as a zombie. */

#include "trap.h"

static void serve(int listener) {
#ifdef FIXED
  on_signal(SIGCHLD, reap_all, SA_RESTART);
#endif
  fork_for_every_client(listener, echo);
}

int main(void) {
  start_server(serve);
  for (int count = 0; count < 10; count++) {
    int client = connect_client();
    if (!is_answered(client)) fail("a client");
    close(client);
  }
  UNTIL(children(ZOMBIE) == children(ANY));
  UNTIL(children(ANY) == 0);
  int zombies = children(ZOMBIE);
  return report(zombies == 0, "10 children have exited, %d are zombies", zombies);
}
