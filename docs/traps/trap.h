/*
 * What the programs in this folder share. Each is a server with one mistake, and the client that
 * shows it. Compiled with -DFIXED, the mistake is corrected:
 *
 *     cc -o /tmp/zombies zombies.c && /tmp/zombies
 *     cc -DFIXED -o /tmp/zombies zombies.c && /tmp/zombies
 *
 * The server runs in a process group of its own, on a free port of the loopback interface, and is
 * killed with all of its children when the program ends. The client waits for nothing longer than
 * PATIENCE_MS, and the program ends after ALL_IN_SECONDS whatever happens. It prints one line; its
 * exit code is 0 if the server holds, 1 if it goes wrong, and 2 if neither can be shown.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 1000, ALL_IN_SECONDS = 10 };

static pid_t server;
static struct sockaddr_in address = {.sin_family = AF_INET};

static inline void fail(const char *what) {
  perror(what);
  exit(2);
}

static inline void kill_server(void) {
  if (server > 0) kill(-server, SIGKILL);
}

static inline void give_up(int signal) {
  (void)signal;
  kill_server();
  _exit(2);
}

static inline void on_signal(int signal, void (*handler)(int), int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  if (sigaction(signal, &action, NULL) < 0) fail("sigaction");
}

/* Listens on the port of `address`, and chooses a free one if that is 0. */
static inline int open_listener(void) {
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  socklen_t size = sizeof address;
  int on = 1;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, size) < 0) return -1;
  if (listen(listener, SOMAXCONN) < 0) return -1;
  getsockname(listener, (struct sockaddr *)&address, &size);
  return listener;
}

static inline void start_server(void (*serve)(int listener)) {
  int listener = open_listener();
  if (listener < 0) fail("listen");
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  server = fork();
  if (server < 0) fail("fork");
  if (server == 0) {
    setpgid(0, 0);
    serve(listener);
    _exit(0);
  }
  setpgid(server, server);
  close(listener);
  atexit(kill_server);
  on_signal(SIGALRM, give_up, 0);
  on_signal(SIGINT, give_up, 0);
  on_signal(SIGTERM, give_up, 0);
  on_signal(SIGPIPE, SIG_IGN, 0);
  alarm(ALL_IN_SECONDS);
}

/* The classic loop, without a mistake. */
static inline void fork_for_every_client(int listener, void (*serve)(int client)) {
  for (;;) {
    int client = accept(listener, NULL, NULL);
    if (client < 0) continue;
    pid_t child = fork();
    if (child == 0) {
      close(listener);
      serve(client);
      _exit(0);
    }
    close(client);
  }
}

static inline void reap_all(int signal) {
  (void)signal;
  int saved = errno;
  while (waitpid(-1, NULL, WNOHANG) > 0) continue;
  errno = saved;
}

static inline void write_all(int fd, const char *data, size_t length) {
  while (length > 0) {
    ssize_t written = write(fd, data, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return;
    data += written;
    length -= written;
  }
}

/* Carries bytes from one descriptor to another until either fails or the input ends. */
static inline void copy(int from, int to) {
  char bytes[4096];
  for (ssize_t length; (length = read(from, bytes, sizeof bytes)) > 0;) {
    write_all(to, bytes, length);
  }
}

static inline void echo(int client) { copy(client, client); }

/* A client, whose reads and writes fail after PATIENCE_MS; -1 if the server has gone. */
static inline int connect_client(void) {
  int client = socket(AF_INET, SOCK_STREAM, 0);
  struct timeval patience = {PATIENCE_MS / 1000, PATIENCE_MS % 1000 * 1000};
  setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (connect(client, (struct sockaddr *)&address, sizeof address) == 0) return client;
  close(client);
  return -1;
}

/* Whether a client gets an echo. */
static inline bool is_answered(int client) {
  char answer[8];
  return write(client, "hello\n", 6) == 6 && read(client, answer, sizeof answer) > 0;
}

static inline long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Looks again and again until the condition is true, for PATIENCE_MS. */
#define UNTIL(condition) \
  for (long end = now_ms() + PATIENCE_MS; now_ms() < end && !(condition);) usleep(10000)

/* How many children the server has whose state is one of `states` (proc(5)). */
static inline int children(const char *states) {
  DIR *processes = opendir("/proc");
  if (processes == NULL) fail("/proc");
  int count = 0;
  for (struct dirent *process; (process = readdir(processes));) {
    char path[300], state;
    pid_t parent;
    snprintf(path, sizeof path, "/proc/%s/stat", process->d_name);
    FILE *stat = fopen(path, "r");
    if (stat == NULL) continue; /* not a process, or it has been reaped */
    bool is_read = fscanf(stat, "%*d (%*[^)]) %c %d", &state, &parent) == 2;
    if (is_read && parent == server && strchr(states, state)) count++;
    fclose(stat);
  }
  closedir(processes);
  return count;
}

#define ZOMBIE "Z"
#define ANY "DIRSTZ"

/* Prints the line, and returns the exit code. */
__attribute__((format(printf, 2, 3)))
static inline int report(bool holds, const char *format, ...) {
  va_list values;
  va_start(values, format);
  vprintf(format, values);
  va_end(values);
  putchar('\n');
  return holds ? 0 : 1;
}
