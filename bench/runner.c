// runner FD PROGRAM [ARGUMENT...]: runs one program, writes what it cost to FD, and ends when everything that it left has
// ended.
//
// A process of its own, static and small, for two reasons. ru_maxrss begins at the size of whoever called exec, so a large
// caller would hide a small program. And a runtime that leaves processes behind would have whoever is timed next pay for their
// end: as a child subreaper this program waits for all of them.
//
// FD gets one line: wall time in ns, largest ru_maxrss in KiB, wait status. PROGRAM does not get FD.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const int out = atoi(argv[1]);
  if (fcntl(out, F_SETFD, FD_CLOEXEC) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) return 2;
  const long long begin = now_ns();
  const pid_t program = vfork();
  if (program < 0) return 2;
  if (program == 0) {
    execv(argv[2], argv + 2);
    _exit(127);
  }
  struct rusage usage = {0};
  int status = 0;
  while (wait4(program, &status, 0, &usage) < 0)
    if (errno != EINTR) return 2;
  dprintf(out, "%lld %ld %d\n", now_ns() - begin, usage.ru_maxrss, status);
  while (wait(NULL) > 0 || errno == EINTR) {}
  return 0;
}
