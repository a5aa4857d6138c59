// processes N: tries to have N children at once; says how many it got and why no more. Ends all of them.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv) {
  const int wanted = argc > 1 ? atoi(argv[1]) : 1;
  pid_t* children = calloc((size_t)wanted, sizeof *children);
  int got = 0, why = 0;
  for (; got < wanted; got++) {
    children[got] = fork();
    if (children[got] == 0) {
      pause();
      _exit(0);
    }
    if (children[got] < 0) {
      why = errno;
      break;
    }
  }
  printf("%d %s\n", got, got == wanted ? "all" : strerror(why));
  fflush(stdout);
  for (int i = 0; i < got; i++) kill(children[i], SIGKILL);
  while (wait(NULL) > 0) {}
  return 0;
}
