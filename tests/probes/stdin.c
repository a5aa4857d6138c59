// stdin: what descriptor 0 is and lets a program do, a line each: "size: N" ("size: stream" for no file), "map", "seek",
// "again"
// (/dev/stdin opened for reading) with the number of bytes that were the expected ones, then ways to write it: "done" or an
// errno.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// Byte n of the expected input.
static char byte_of(long n) { return (char)('a' + n % 23); }

static long count_right(const char* bytes, long size, long from) {
  long right = 0;
  for (long i = 0; i < size; i++) right += bytes[i] == byte_of(from + i);
  return right;
}

static long read_right(int fd, long from) {
  static char buffer[1 << 16];
  long right = 0;
  for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0; from += got) right += count_right(buffer, got, from);
  return right;
}

static void say(const char* what, int failed) { printf("%s: %s\n", what, failed ? strerrorname_np(errno) : "done"); }

int main(void) {
  struct stat info;
  if (fstat(0, &info) != 0 || !S_ISREG(info.st_mode)) {
    printf("size: stream\nread: %ld\n", read_right(0, 0));
    return 0;
  }
  printf("size: %lld\n", (long long)info.st_size);
  const char* mapped = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, 0, 0);
  printf("map: %ld\n", mapped == MAP_FAILED ? -1 : count_right(mapped, (long)info.st_size, 0));
  printf("read: %ld\n", read_right(0, 0));
  printf("seek: %ld\n", lseek(0, 7, SEEK_SET) == 7 ? read_right(0, 7) : -1);
  const int again = open("/dev/stdin", O_RDONLY);
  printf("again: %ld\n", again < 0 ? -1 : read_right(again, lseek(again, 0, SEEK_CUR)));

  say("write", write(0, "X", 1) < 0);
  say("truncate", ftruncate(0, 0) < 0);
  const int writable = open("/proc/self/fd/0", O_RDWR);
  say("write again", writable < 0 || write(writable, "X", 1) < 0);
  say("truncate again", writable < 0 || ftruncate(writable, 0) < 0);
  say("map shared", writable < 0 || mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, writable, 0) == MAP_FAILED);
  say("open truncating", open("/proc/self/fd/0", O_RDWR | O_TRUNC) < 0);
  return 0;
}
