// devices list           every device node of the sandbox outside of /proc and /usr: "PATH: c 1:3", and what opening it says
// devices open PATH...   "PATH: done" when it opens
// devices make DIR       mknod of each kind in DIR and what opening it says: "char: EPERM", "char opened: ENOENT", ...
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "verdict.h"

static void list(const char* directory, int depth) {
  DIR* entries = depth < 10 ? opendir(*directory ? directory : "/") : NULL;
  for (struct dirent* entry; entries && (entry = readdir(entries));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (!*directory && (strcmp(entry->d_name, "proc") == 0 || strcmp(entry->d_name, "usr") == 0)) continue;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
    struct stat info;
    if (lstat(path, &info) < 0) continue;
    if (S_ISDIR(info.st_mode)) list(path, depth + 1);
    if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode))
      printf("%s: %c %u:%u\n", path, S_ISCHR(info.st_mode) ? 'c' : 'b', major(info.st_rdev), minor(info.st_rdev));
  }
  if (entries) closedir(entries);
}

static void try_to_open(const char* name, const char* path) {
  const int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  tell(name, fd);
  if (fd >= 0) close(fd);
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "list") == 0) {
    list("", 0);
  } else if (strcmp(what, "open") == 0) {
    for (int i = 2; i < argc; i++) try_to_open(argv[i], argv[i]);
  } else if (strcmp(what, "make") == 0 && argc == 3 && chdir(argv[2]) == 0) {
    tell("char", mknod("char", S_IFCHR | 0666, makedev(1, 11)));
    try_to_open("char opened", "char");
    tell("block", mknod("block", S_IFBLK | 0666, makedev(7, 0)));
    tell("whiteout", mknod("whiteout", S_IFCHR | 0666, makedev(0, 0)));
    tell("fifo", mknod("fifo", S_IFIFO | 0666, 0));
    for (const char** name = (const char*[]){"char", "block", "whiteout", "fifo", NULL}; *name; name++) unlink(*name);
  } else {
    return 2;
  }
  return 0;
}
