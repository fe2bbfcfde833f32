/* The parent writes to a child that has exited, and SIGPIPE kills it. */

#include "trap.h"

static void serve(int listener) {
#ifdef FIXED
  on_signal(SIGPIPE, SIG_IGN, 0);
#endif
  for (;;) {
    int to_child[2], client = accept(listener, NULL, NULL);
    if (pipe(to_child) < 0) _exit(1);
    pid_t child = fork();
    if (child == 0) _exit(0); /* it reads nothing */
    close(to_child[0]);
    waitpid(child, NULL, 0);
    if (write(to_child[1], "hello\n", 6) < 0) write_all(client, "gone\n", 5);
    close(to_child[1]);
    close(client);
  }
}

int main(void) {
  char answer[8];
  start_server(serve);
  bool holds = read(connect_client(), answer, sizeof answer) == 5;
  if (holds) holds = read(connect_client(), answer, sizeof answer) == 5;
  if (holds) return report(true, "a child reads nothing, and the next client is served");
  int status;
  waitpid(server, &status, 0);
  return report(false, "a child reads nothing, and the server dies: %s",
                WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "?");
}
