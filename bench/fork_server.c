/*
 * The classic multi-process server, for comparison: the parent accepts, forks for every connection,
 * and reaps its children; a child answers every message with a numbered block.
 *
 *     cc -O2 -o fork_server fork_server.c && ./fork_server 127.0.0.1 9527
 *
 * The child serves its client without an exec: a process per connection cannot cost less.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 256 };

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* One signal may stand for many children, and the interrupted code needs its errno unchanged. */
static void reap(int signal) {
  (void)signal;
  int saved = errno;
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
  errno = saved;
}

static int write_all(int fd, const char *data, size_t length) {
  while (length > 0) {
    ssize_t written = write(fd, data, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return -1;
    data += written;
    length -= written;
  }
  return 0;
}

static void serve(int client) {
  char message[BLOCK];
  for (int index = 0;; index++) {
    ssize_t length = read(client, message, sizeof message);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) return;
    char block[BLOCK] = {0};
    snprintf(block, sizeof block, "This is server send message:%d", index);
    if (write_all(client, block, sizeof block) < 0) return;
  }
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s ADDRESS PORT\n", argv[0]);
    return 2;
  }
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) {
    fprintf(stderr, "%s: no IPv4 address\n", argv[1]);
    return 2;
  }
  struct sigaction action = {.sa_handler = reap, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
  if (sigaction(SIGCHLD, &action, NULL) < 0) fail("sigaction");

  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (listener < 0) fail("socket");
  int on = 1;
  if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) fail("setsockopt");
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  if (listen(listener, SOMAXCONN) < 0) fail("listen");

  for (;;) {
    int client = accept(listener, NULL, NULL);
    if (client < 0) continue; /* the client has gone, or there are no descriptors */
    pid_t child = fork();
    if (child == 0) {
      close(listener);
      serve(client);
      _exit(0);
    }
    if (child < 0) perror("fork");
    close(client); /* even if fork failed, or it would leak */
  }
}
