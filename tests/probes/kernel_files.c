// kernel_files writable DIR...       every file below DIR (of /proc: this process, process 1 and what belongs to none) that
//                                    opens for writing: "PATH: done". Nothing is written.
// kernel_files search DIR... -- TEXT...   every such file that holds TEXT: "PATH: holds N", N counting the texts from 0
// kernel_files lift PATH             tries to take away what is mounted on PATH and to read what lies under it: "umount",
//                                    "bind over", "move away", "remount", "rename", "unlink", "write"; "bytes: N" can be read
// kernel_files lift-own PATH         the same from a user and mount namespace of its own
// kernel_files write PATH TEXT...    writes each TEXT to the PATH before it: "PATH: done"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "verdict.h"

static char** texts;
static int text_count;

static void see_writable(const char* path) {
  const int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return;
  printf("%s: done\n", path);
  close(fd);
}

static void see_texts(const char* path) {
  static char buffer[1 << 18];
  const int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return;
  size_t size = 0;
  // Some files never end (/proc/kmsg, trace pipes); 256 KiB of the others are enough.
  for (ssize_t n; size < sizeof buffer - 1 && (n = read(fd, buffer + size, sizeof buffer - 1 - size)) > 0;) size += (size_t)n;
  close(fd);
  for (int i = 0; i < text_count; i++)
    if (memmem(buffer, size, texts[i], strlen(texts[i]))) printf("%s: holds %d\n", path, i);
}

// Not other processes' directories but process 1's, no second names of this one, and no memory.
static int is_left_out(const char* directory, const char* name) {
  if (strcmp(directory, "/proc") == 0)
    return strcmp(name, "thread-self") == 0 || (name[0] >= '0' && name[0] <= '9' && strcmp(name, "1") != 0);
  return strcmp(name, "task") == 0 || strcmp(name, "mem") == 0 || strcmp(name, "pagemap") == 0 || strcmp(name, "kcore") == 0 ||
         strcmp(name, "map_files") == 0;
}

static void walk(const char* directory, int depth, void (*see)(const char* path)) {
  DIR* list = depth < 12 ? opendir(directory) : NULL;
  for (struct dirent* entry; list && (entry = readdir(list));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || is_left_out(directory, entry->d_name)) continue;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
    struct stat info;
    const int is_self = strcmp(path, "/proc/self") == 0 || strcmp(path, "/proc/net") == 0;
    if ((is_self ? stat(path, &info) : lstat(path, &info)) < 0) continue;
    if (S_ISDIR(info.st_mode)) walk(path, depth + 1, see);
    else if (S_ISREG(info.st_mode)) see(path);
  }
  if (list) closedir(list);
}

static void lift(const char* path) {
  tell("umount", umount2(path, MNT_DETACH));
  tell("bind over", mount("/proc/version", path, NULL, MS_BIND, NULL));
  tell("remount", mount(NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL));
  tell("move away", syscall(SYS_move_mount, AT_FDCWD, path, AT_FDCWD, "/tmp", 0));
  tell("rename", rename(path, "/tmp/renamed"));
  tell("unlink", unlink(path));
  const int writing = open(path, O_WRONLY | O_NONBLOCK);
  tell("write", writing < 0 ? -1 : write(writing, "changed\n", 8));
  char byte[4096];
  const int fd = open(path, O_RDONLY | O_NONBLOCK);
  printf("bytes: %zd\n", fd < 0 ? -1 : read(fd, byte, sizeof byte));
}

int main(int argc, char** argv) {
  const char* what = argc > 2 ? argv[1] : "";
  if (strcmp(what, "writable") == 0) {
    for (int i = 2; i < argc; i++) walk(argv[i], 0, see_writable);
  } else if (strcmp(what, "search") == 0) {
    int end = 2;
    while (end < argc && strcmp(argv[end], "--") != 0) end++;
    texts = argv + end + 1;
    text_count = argc - end - 1;
    for (int i = 2; i < end; i++) walk(argv[i], 0, see_texts);
  } else if (strcmp(what, "lift") == 0) {
    lift(argv[2]);
  } else if (strcmp(what, "lift-own") == 0) {
    tell("unshare", unshare(CLONE_NEWUSER | CLONE_NEWNS));
    lift(argv[2]);
  } else if (strcmp(what, "write") == 0) {
    for (int i = 2; i + 1 < argc; i += 2) {
      const int fd = open(argv[i], O_WRONLY | O_CREAT | O_NONBLOCK, 0644);
      tell(argv[i], fd < 0 ? -1 : write(fd, argv[i + 1], strlen(argv[i + 1])));
    }
  } else {
    return 2;
  }
  return 0;
}
