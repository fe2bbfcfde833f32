/* The server closes a socket with unread input, and the reset destroys what it has written. */

#include "trap.h"

enum { LENGTH = 100000 };

static void serve(int listener) {
  static char bytes[LENGTH];
  int client = accept(listener, NULL, NULL), size = 2 * LENGTH;
  setsockopt(client, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  poll(&(struct pollfd){.fd = client, .events = POLLIN}, 1, PATIENCE_MS);
  write_all(client, bytes, LENGTH);
#ifdef FIXED
  struct timeval linger = {.tv_sec = 5};
  setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &linger, sizeof linger);
  shutdown(client, SHUT_WR);
  while (read(client, bytes, sizeof bytes) > 0) continue;
#endif
  close(client);
}

int main(void) {
  static char bytes[LENGTH];
  int total = 0, size = 16384;
  ssize_t length;
  start_server(serve);
  int client = connect_client();
  setsockopt(client, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  write_all(client, "more\n", 5);
  poll(&(struct pollfd){.fd = client}, 1, PATIENCE_MS); /* until a reset, if there is one */
  while ((length = read(client, bytes, sizeof bytes)) > 0) total += length;
  bool holds = length == 0 && total == LENGTH;
  return report(holds, "the client gets %s of the answer, then: %s", holds ? "all" : "a part",
                length == 0 ? "the end" : strerror(errno));
}
