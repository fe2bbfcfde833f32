/* Fork fails, and the parent does not close the client's socket. */

#include "trap.h"

static void serve(int listener) {
  /* This user may start no more processes. Root is exempt from the limit. */
  if (getuid() == 0 && setuid(65534) < 0) _exit(1);
  setrlimit(RLIMIT_NPROC, &(struct rlimit){0, 0});
  for (;;) {
    int client = accept(listener, NULL, NULL);
    pid_t child = fork();
#ifndef FIXED
    if (child < 0) continue;
#endif
    if (child == 0) {
      close(listener);
      echo(client);
      _exit(0);
    }
    close(client);
  }
}

int main(void) {
  char byte;
  start_server(serve);
  ssize_t length = read(connect_client(), &byte, 1);
  if (length < 0 && errno != EAGAIN) fail("read");
  return report(length == 0, "there is no process for the client, and its connection %s",
                length == 0 ? "is closed" : "stays open");
}
