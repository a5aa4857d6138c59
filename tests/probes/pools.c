// pools NAME MAX [hold]: takes up to MAX of something that the kernel counts, says "NAME: COUNT ERRNO" (ERRNO of the first that
// it did not get, "none" when it got MAX), and with `hold` keeps them until stdin ends.
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "verdict.h"

static int take_inotify(void) { return inotify_init1(IN_CLOEXEC); }

static int take_timer(void) {
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
  return timer_create(CLOCK_MONOTONIC, &event, &timer);
}

// A queue without a name stays as long as its descriptor.
static int take_queue(void) {
  char name[64];
  static int number;
  snprintf(name, sizeof name, "/bailey-probe-%d-%d", getpid(), number++);
  struct mq_attr attributes = {.mq_maxmsg = 10, .mq_msgsize = 8192};
  const int queue = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &attributes);
  const int error = errno;
  if (queue >= 0) mq_unlink(name);
  errno = error;
  return queue;
}

static int take_aio(void) {
  unsigned long context = 0;
  return (int)syscall(SYS_io_setup, 1000, &context);
}

static int take_terminal(void) { return open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC); }

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    int (*take)(void);
  } pools[] = {{"inotify", take_inotify},
               {"timers", take_timer},
               {"queues", take_queue},
               {"aio", take_aio},
               {"terminals", take_terminal}};
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  for (size_t i = 0; argc > 2 && i < sizeof pools / sizeof *pools; i++) {
    if (strcmp(argv[1], pools[i].name) != 0) continue;
    const int most = atoi(argv[2]);
    int count = 0;
    while (count < most && pools[i].take() >= 0) count++;
    printf("%s: %d %s\n", argv[1], count, count == most ? "none" : errno_name(errno));
    fflush(stdout);
    if (argc > 3)
      while (getchar() != EOF) {}
    return 0;
  }
  return 2;
}
