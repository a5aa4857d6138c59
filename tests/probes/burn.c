// burn MILLISECONDS: computes until it has used so much CPU time, then says how many microseconds that was, by its own account.
#include <sys/resource.h>

#include "verdict.h"

static long used_us(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000L + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

int main(int argc, char** argv) {
  const long wanted = (argc > 1 ? atol(argv[1]) : 0) * 1000;
  volatile unsigned sum = 0;
  while (used_us() < wanted)
    for (unsigned i = 0; i < 100000; i++) sum = sum + i;
  printf("%ld\n", used_us());
  return 0;
}
