// What every probe says: "NAME: done", or "NAME: ERRNO" after a call that failed (probes.h).
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline const char* errno_name(int number) {
  const char* name = strerrorname_np(number);
  return name ? name : "E?";
}

// Keeps errno.
static inline long tell(const char* name, long result) {
  const int error = errno;
  printf("%s: %s\n", name, result >= 0 ? "done" : errno_name(error));
  fflush(stdout);
  errno = error;
  return result;
}
