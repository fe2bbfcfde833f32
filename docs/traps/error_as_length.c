/* A reset makes read return -1, which is used as a length. */

#include "trap.h"

static void serve(int listener) {
  char message[256];
  FILE *log = fopen("/dev/null", "w");
  int client = accept(listener, NULL, NULL);
  for (;;) {
    ssize_t length = read(client, message, sizeof message);
#ifdef FIXED
    if (length < 0) return;
#endif
    if (length == 0) return;
    for (size_t index = 0; index < (size_t)length; index++) fputc(message[index], log);
  }
}

int main(void) {
  int status;
  start_server(serve);
  int client = connect_client();
  struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(client); /* with a reset */
  waitpid(server, &status, 0);
  if (WIFEXITED(status)) return report(true, "a client's reset ends the child normally");
  return report(false, "a client's reset kills the child: %s", strsignal(WTERMSIG(status)));
}
