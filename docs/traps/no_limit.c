/* Every client gets a process, however many there are. */

#include "trap.h"

enum { CLIENTS = 30, LIMIT = 10 };

static void serve(int listener) {
  for (int running = 0;; running++) {
    while (waitpid(-1, NULL, WNOHANG) > 0) running--;
#ifdef FIXED
    while (running >= LIMIT && waitpid(-1, NULL, 0) > 0) running--;
#endif
    int client = accept(listener, NULL, NULL);
    if (fork() == 0) {
      close(listener);
      echo(client);
      _exit(0);
    }
    close(client);
  }
}

int main(void) {
  int clients[CLIENTS];
  start_server(serve);
  for (int count = 0; count < CLIENTS; count++) clients[count] = connect_client();
  UNTIL(children(ANY) == CLIENTS);
  int processes = children(ANY);
  for (int count = 0; count < CLIENTS - 1; count++) close(clients[count]);
  bool is_last_served = is_answered(clients[CLIENTS - 1]);
  return report(processes == LIMIT && is_last_served,
                "%d clients have %d processes, and the last client is %s", CLIENTS, processes,
                is_last_served ? "served" : "not served");
}
