/* The client has ended its input, and the server ends the child that was about to answer. */

#include "trap.h"

static void serve(int listener) {
  int to_child[2], client = accept(listener, NULL, NULL);
  if (pipe(to_child) < 0) _exit(1);
  pid_t child = fork();
  if (child == 0) {
    dup2(to_child[0], STDIN_FILENO);
    dup2(client, STDOUT_FILENO);
    close(to_child[1]);
    execlp("sort", "sort", (char *)NULL);
    _exit(127);
  }
  copy(client, to_child[1]);
#ifdef FIXED
  close(to_child[1]);
#else
  kill(child, SIGTERM);
#endif
  waitpid(child, NULL, 0);
}

int main(void) {
  char answer[8];
  start_server(serve);
  int client = connect_client();
  write_all(client, "b\na\n", 4);
  shutdown(client, SHUT_WR);
  ssize_t length = recv(client, answer, 4, MSG_WAITALL);
  return report(length == 4, "the client sends two lines to sort, and gets %s",
                length == 4 ? "both back" : "none back");
}
