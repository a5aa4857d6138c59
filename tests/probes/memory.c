// memory MIB [FILE]: touches so much anonymous memory, or writes so much to FILE (a tmpfs: memory as well), then says so.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char** argv) {
  const size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
  static char block[1 << 20];
  memset(block, 7, sizeof block);
  const int file = argc > 2 ? open(argv[2], O_WRONLY | O_CREAT, 0600) : -1;
  for (size_t i = 0; i < mib; i++) {
    if (argc > 2) {
      if (write(file, block, sizeof block) == (ssize_t)sizeof block) continue;
      printf("wrote %zu, then %s\n", i, strerror(errno));
      return 1;
    }
    char* memory = mmap(NULL, sizeof block, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      printf("touched %zu, then %s\n", i, strerror(errno));
      return 1;
    }
    memcpy(memory, block, sizeof block);
  }
  printf("all %zu\n", mib);
  return 0;
}
