/* The server takes what one read returns for one message. */

#include "trap.h"

static void serve(int listener) {
  int client = accept(listener, NULL, NULL);
#ifdef FIXED
  FILE *input = fdopen(client, "r");
  char *message = NULL;
  size_t size = 0;
  while (getdelim(&message, &size, ';', input) > 0) dprintf(client, "[%s]", message);
#else
  char message[256];
  for (ssize_t length; (length = read(client, message, sizeof message)) > 0;) {
    dprintf(client, "[%.*s]", (int)length, message);
  }
#endif
}

int main(void) {
  char answer[64] = "";
  start_server(serve);
  int client = connect_client();
  write_all(client, "one;two;th", 10);
  size_t end = read(client, answer, 5);
  write_all(client, "ree;", 4);
  shutdown(client, SHUT_WR);
  for (ssize_t length; (length = read(client, answer + end, sizeof answer - 1 - end)) > 0;) {
    end += length;
  }
  bool holds = strcmp(answer, "[one;][two;][three;]") == 0;
  return report(holds, "one;two;three; arrives as %s", answer);
}
