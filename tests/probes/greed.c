// Takes what it can, until it is stopped; each says a line when it has begun.
// greed fork          processes that fork, without end
// greed zombies       children that end and are never waited for: says how many it got
// greed memory        memory in many processes at once, touched
// greed inodes DIR    empty files: "files: N ERRNO"
// greed bytes DIR     one file that grows: "mebibytes: N ERRNO"
// greed descriptors   open files: "descriptors: N ERRNO"
// greed output        both streams, as fast as they go
// greed cpu           as many busy processes as there are CPUs, and more
// greed daemons       processes in sessions of their own that ignore every signal, and ends itself with 0
// greed crash         dies of SIGSEGV with much to dump
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "verdict.h"

static void say(const char* what, long count, int error) {
  printf("%s: %ld %s\n", what, count, errno_name(error));
  fflush(stdout);
}

static void take_processes(void) {
  puts("begun: fork");
  fflush(stdout);
  for (;;) fork();
}

static void take_zombies(void) {
  long count = 0;
  for (; count < 100000; count++) {
    const pid_t child = fork();
    if (child < 0) break;
    if (child == 0) _exit(0);
  }
  say("zombies", count, errno);
}

static void take_memory(void) {
  puts("begun: memory");
  fflush(stdout);
  for (int i = 0; i < 8; i++)
    if (fork() == 0)
      for (;;) {
        void* block = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (block == MAP_FAILED) usleep(1000);
      }
  while (wait(NULL) > 0) {}
}

static void take_inodes(const char* directory) {
  long count = 0;
  char path[PATH_MAX];
  for (; count < 3000000; count++) {
    snprintf(path, sizeof path, "%s/%ld", directory, count);
    if (mknod(path, S_IFREG | 0600, 0) < 0) break;
  }
  say("files", count, errno);
}

static void take_bytes(const char* directory) {
  static char block[1 << 20];
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/file", directory);
  const int file = open(path, O_WRONLY | O_CREAT, 0600);
  long count = 0;
  memset(block, 7, sizeof block);
  while (count < 100000 && write(file, block, sizeof block) == (ssize_t)sizeof block) count++;
  say("mebibytes", count, errno);
}

static void take_descriptors(void) {
  const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_NOFILE, &all);
  long count = 0;
  while (count < 10000000 && dup(0) >= 0) count++;
  say("descriptors", count, errno);
}

static void write_all(void) {
  static char block[1 << 16];
  memset(block, 'x', sizeof block);
  for (int stream = 1; stream > 0; stream = 3 - stream)
    if (write(stream, block, sizeof block) < 0) _exit(1);
}

static void take_cpu(void) {
  puts("begun: cpu");
  fflush(stdout);
  for (int i = 0; i < 8; i++)
    if (fork() == 0)
      for (volatile unsigned long n = 0;; n++) {}
  pause();
}

static void leave_daemons(void) {
  for (int i = 0; i < 8; i++) {
    if (fork() != 0) continue;
    setsid();
    if (fork() != 0) _exit(0);
    for (int number = 1; number < NSIG; number++) signal(number, SIG_IGN);
    for (int fd = 0; fd < 3; fd++) close(fd);
    for (;;) pause();
  }
  puts("begun: daemons");
}

static void crash(void) {
  const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
  printf("limit: %s\n", setrlimit(RLIMIT_CORE, &all) == 0 ? "raised" : errno_name(errno));
  fflush(stdout);
  signal(SIGSEGV, SIG_DFL);
  raise(SIGSEGV);
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "fork") == 0) take_processes();
  else if (strcmp(what, "zombies") == 0) take_zombies();
  else if (strcmp(what, "memory") == 0) take_memory();
  else if (strcmp(what, "inodes") == 0 && argc == 3) take_inodes(argv[2]);
  else if (strcmp(what, "bytes") == 0 && argc == 3) take_bytes(argv[2]);
  else if (strcmp(what, "descriptors") == 0) take_descriptors();
  else if (strcmp(what, "output") == 0) write_all();
  else if (strcmp(what, "cpu") == 0) take_cpu();
  else if (strcmp(what, "daemons") == 0) leave_daemons();
  else if (strcmp(what, "crash") == 0) crash();
  else return 2;
  return 0;
}
