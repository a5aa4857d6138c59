// signals handle: says "ready", waits for TERM or INT, waits on to see whether it comes again, says "NAME COUNT", exits 3.
// signals ignore: says "ready", says "ignored NAME" for each and goes on for ever.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int main(int argc, char** argv) {
  const int ignore = argc > 1 && strcmp(argv[1], "ignore") == 0;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_BLOCK, &set, NULL);
  setvbuf(stdout, NULL, _IONBF, 0);
  puts("ready");
  for (;;) {
    const int first = sigwaitinfo(&set, NULL);
    if (first < 0) continue;
    if (ignore) {
      printf("ignored %s\n", sigabbrev_np(first));
      continue;
    }
    int count = 1;
    const struct timespec more = {1, 0};
    while (sigtimedwait(&set, NULL, &more) > 0) count++;
    printf("%s %d\n", sigabbrev_np(first), count);
    return 3;
  }
}
