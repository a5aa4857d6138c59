// stat PATH...: "MODE UID GID SIZE" of each, mode in octal. Coreutils' own asks by statx in a way that runsc of 2022 refuses.
#include <stdio.h>
#include <sys/stat.h>

int main(int argc, char** argv) {
  int failed = 0;
  for (int i = 1; i < argc; i++) {
    struct stat info;
    if (stat(argv[i], &info) == 0)
      printf("%o %u %u %lld\n", info.st_mode & 07777, info.st_uid, info.st_gid, (long long)info.st_size);
    else perror(argv[i]), failed = 1;
  }
  return failed;
}
