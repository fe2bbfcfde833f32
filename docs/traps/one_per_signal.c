/* Several exits may be reported by one SIGCHLD, and the handler collects one child. */

#include "trap.h"

static void reap(int signal) {
#ifdef FIXED
  reap_all(signal);
#else
  (void)signal;
  waitpid(-1, NULL, WNOHANG);
#endif
}

static void serve(int listener) {
  on_signal(SIGCHLD, reap, SA_RESTART);
  fork_for_every_client(listener, echo);
}

int main(void) {
  int clients[10];
  start_server(serve);
  for (int count = 0; count < 10; count++) {
    clients[count] = connect_client();
    if (!is_answered(clients[count])) fail("a client");
  }
  kill(server, SIGSTOP); /* until all of them have exited */
  waitpid(server, NULL, WUNTRACED);
  for (int count = 0; count < 10; count++) close(clients[count]);
  UNTIL(children(ZOMBIE) == 10);
  kill(server, SIGCONT);
  UNTIL(children(ANY) == 0);
  int zombies = children(ZOMBIE);
  return report(zombies == 0, "10 children have exited together, %d are zombies", zombies);
}
