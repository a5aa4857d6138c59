// pools NAME MAX [hold]: takes up to MAX of something that the kernel counts, says "NAME: COUNT ERRNO" (ERRNO of the first that
// it did not get, "none" when it got MAX), and with `hold` keeps them until stdin ends.
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/socket.h>
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

// The next three hold memory of the kernel's: about 200, 64 and 16 KiB each.
static int take_unix(void) {
  static const char block[4000];
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0) return -1;
  for (int i = 0; i < 100 && send(pair[0], block, sizeof block, MSG_DONTWAIT) > 0; i++) {}
  return pair[0];
}

static int take_pipe(void) {
  static const char block[4096];
  int pipe[2];
  if (pipe2(pipe, O_CLOEXEC | O_NONBLOCK) < 0) return -1;
  for (int i = 0; i < 16 && write(pipe[1], block, sizeof block) > 0; i++) {}
  return pipe[0];
}

static int take_messages(void) {
  static struct {
    long type;
    char text[8000];
  } message = {.type = 1};
  const int queue = msgget(IPC_PRIVATE, 0600);
  for (int i = 0; queue >= 0 && i < 2; i++)
    if (msgsnd(queue, &message, sizeof message.text, IPC_NOWAIT) < 0) return -1;
  return queue;
}

static int take_terminal(void) { return open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC); }

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    int (*take)(void);
  } pools[] = {{"inotify", take_inotify}, {"timers", take_timer}, {"queues", take_queue},      {"aio", take_aio},
               {"unix", take_unix},       {"pipes", take_pipe},   {"messages", take_messages}, {"terminals", take_terminal}};
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
