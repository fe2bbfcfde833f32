/* The server carries all of the input first, then all of the output: both sides block. */

#include "trap.h"

enum { LENGTH = 10000000 };

static void serve(int listener) {
  int to_child[2], from_child[2], client = accept(listener, NULL, NULL);
  if (pipe(to_child) < 0 || pipe(from_child) < 0) _exit(1);
  if (fork() == 0) {
    dup2(to_child[0], STDIN_FILENO);
    dup2(from_child[1], STDOUT_FILENO);
    close(to_child[1]);
    execlp("cat", "cat", (char *)NULL);
    _exit(127);
  }
  close(from_child[1]);
#ifdef FIXED
  if (fork() == 0) {
    copy(client, to_child[1]);
    _exit(0);
  }
#else
  copy(client, to_child[1]);
#endif
  close(to_child[1]);
  copy(from_child[0], client);
}

int main(void) {
  static char bytes[1 << 16];
  int total = 0;
  start_server(serve);
  int client = connect_client();
  if (fork() == 0) {
    for (int sent = 0; sent < LENGTH; sent += 1000) write_all(client, bytes, 1000);
    shutdown(client, SHUT_WR);
    _exit(0);
  }
  for (ssize_t length; (length = read(client, bytes, sizeof bytes)) > 0;) total += length;
  return report(total == LENGTH, "%d of %d bytes come back from cat", total, LENGTH);
}
