/* Without a free descriptor accept fails at once, again and again. */

#include "trap.h"

static volatile int *failures; /* shared with the client */

static void serve(int listener) {
  setrlimit(RLIMIT_NOFILE, &(struct rlimit){listener + 1, listener + 1});
  for (;;) {
    if (accept(listener, NULL, NULL) >= 0) _exit(1);
    ++*failures;
#ifdef FIXED
    usleep(50000);
#endif
  }
}

int main(void) {
  int access = PROT_READ | PROT_WRITE;
  failures = mmap(NULL, sizeof *failures, access, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (failures == MAP_FAILED) fail("mmap");
  start_server(serve);
  connect_client();
  UNTIL(*failures > 1000);
  if (*failures == 0) fail("accept");
  bool holds = *failures <= 1000;
  return report(holds, "without descriptors accept is tried %s a second",
                holds ? "a few times" : "more than 1000 times");
}
