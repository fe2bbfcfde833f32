/* A signal interrupts write, which has written less than it was given. */

#include "trap.h"

enum { LENGTH = 64000000 };

static void ignore(int signal) { (void)signal; }

static void serve(int listener) {
  char *bytes = calloc(1, LENGTH);
  on_signal(SIGUSR1, ignore, SA_RESTART); /* which does not help */
  int client = accept(listener, NULL, NULL);
#ifdef FIXED
  write_all(client, bytes, LENGTH);
#else
  if (write(client, bytes, LENGTH) < 0) _exit(1);
#endif
}

int main(void) {
  static char bytes[1 << 16];
  int arrived = 0, total = 0;
  start_server(serve);
  int client = connect_client();
  UNTIL(ioctl(client, FIONREAD, &arrived) == 0 && arrived > 0);
  kill(server, SIGUSR1); /* while it writes */
  for (ssize_t length; (length = read(client, bytes, sizeof bytes)) > 0;) total += length;
  bool holds = total == LENGTH;
  return report(holds, "the client gets %s 64 MB", holds ? "all of" : "a part of");
}
