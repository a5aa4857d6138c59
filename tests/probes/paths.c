// paths find PATH TEXT        looks for the host's file PATH, whose contents begin with TEXT, by every route that a name can
//                             take: "direct", "dotdot", "proc root", "proc cwd", "descriptors", "mounts": found, or an errno
// paths handle PATH           "handle: TYPE HEX", what name_to_handle_at says of it
// paths open TYPE HEX TEXT    opens that handle on every mount and descriptor there is: "opened: found", "opened: done", an
// errno paths nsfs TYPE HEX         opens that handle of a namespace by FD_NSFS_ROOT paths link FROM TO          "link",
// "linkat of a descriptor", "rename" paths flip A B              exchanges the two for ever paths own FILE              tries
// every way to overwrite the program that runs as PID 1 and the one that this is
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "verdict.h"

enum { kMaxHandle = 128 };

static const char* text_wanted;

// "" while nothing worked; then "found", or the last errno.
static char answer[64];

static void try_path(int directory, const char* path) {
  if (strcmp(answer, "found") == 0) return;
  const int fd = openat(directory, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    snprintf(answer, sizeof answer, "%s", errno_name(errno));
    return;
  }
  char buffer[256] = "";
  const ssize_t n = read(fd, buffer, sizeof buffer - 1);
  close(fd);
  snprintf(
      answer, sizeof answer, "%s",
      n >= (ssize_t)strlen(text_wanted) && strncmp(buffer, text_wanted, strlen(text_wanted)) == 0 ? "found" : "another file");
}

static void say_answer(const char* name) {
  printf("%s: %s\n", name, *answer ? answer : "no such route");
  answer[0] = 0;
}

// Up from `directory` by more ".." than any directory is deep, then down to the file.
static void try_up(int directory, const char* path) {
  char up[PATH_MAX] = "";
  for (int i = 0; i < 40; i++) strcat(up, "../");
  snprintf(up + strlen(up), sizeof up - strlen(up), "%s", path + 1);
  try_path(directory, up);
}

static void try_processes(const char* link, const char* path) {
  DIR* proc = opendir("/proc");
  for (struct dirent* entry; proc && (entry = readdir(proc));) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    char via[PATH_MAX];
    snprintf(via, sizeof via, "/proc/%s/%s%s", entry->d_name, link, path);
    try_path(AT_FDCWD, via);
    snprintf(via, sizeof via, "/proc/%s/%s/../../../../../../..%s", entry->d_name, link, path);
    try_path(AT_FDCWD, via);
  }
  if (proc) closedir(proc);
}

static void try_descriptors(const char* path) {
  for (int fd = 0; fd < 1024; fd++) {
    if (fcntl(fd, F_GETFD) < 0) continue;
    try_up(fd, path);
    for (int pid = 0; pid < 2; pid++) {
      char via[PATH_MAX];
      snprintf(via, sizeof via, "/proc/%s/fd/%d%s", pid ? "1" : "self", fd, path);
      try_path(AT_FDCWD, via);
      snprintf(via, sizeof via, "/proc/%s/fd/%d/../../../../../..%s", pid ? "1" : "self", fd, path);
      try_path(AT_FDCWD, via);
      if (openat(fd, ".", O_PATH) < 0 || fchdir(fd) < 0) continue;
      try_up(AT_FDCWD, path);
      if (chdir("/") < 0) return;
    }
  }
}

// Calls use(path) for each mount point.
static void for_each_mount(void (*use)(const char* place, const void* argument), const void* argument) {
  FILE* table = fopen("/proc/self/mountinfo", "re");
  char line[8192], place[PATH_MAX];
  while (table && fgets(line, sizeof line, table))
    if (sscanf(line, "%*s %*s %*s %*s %4095s", place) == 1) use(place, argument);
  if (table) fclose(table);
}

static void try_from_mount(const char* place, const void* path) {
  const int fd = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  try_up(fd, path);
  close(fd);
}

static void find(const char* path) {
  try_path(AT_FDCWD, path);
  say_answer("direct");
  try_up(AT_FDCWD, path);
  say_answer("dotdot");
  try_processes("root", path);
  say_answer("proc root");
  try_processes("cwd", path);
  say_answer("proc cwd");
  try_descriptors(path);
  say_answer("descriptors");
  for_each_mount(try_from_mount, path);
  say_answer("mounts");
}

// --- handles ---------------------------------------------------------------------------------------------------------------

static union {
  struct file_handle head;
  char bytes[sizeof(struct file_handle) + kMaxHandle];
} handle;

static int say_handle(const char* path) {
  int mount = 0;
  handle.head.handle_bytes = kMaxHandle;
  // 0x200: AT_HANDLE_FID is no help, a handle that can be opened is wanted
  if (name_to_handle_at(AT_FDCWD, path, &handle.head, &mount, 0) < 0) {
    tell("handle", -1);
    return 0;
  }
  printf("handle: %d ", handle.head.handle_type);
  for (unsigned i = 0; i < handle.head.handle_bytes; i++) printf("%02x", handle.head.f_handle[i]);
  printf("\n");
  return 0;
}

static void read_handle(const char* type, const char* hex) {
  handle.head.handle_type = atoi(type);
  handle.head.handle_bytes = (unsigned)strlen(hex) / 2;
  for (unsigned i = 0; i < handle.head.handle_bytes && i < kMaxHandle; i++) {
    unsigned byte = 0;
    sscanf(hex + 2 * i, "%2x", &byte);
    handle.head.f_handle[i] = (unsigned char)byte;
  }
}

static void open_on(int mount) {
  if (strcmp(answer, "found") == 0) return;
  const int fd = open_by_handle_at(mount, &handle.head, O_RDONLY | O_NONBLOCK);
  if (fd < 0) {
    if (!*answer || errno == EPERM) snprintf(answer, sizeof answer, "%s", errno_name(errno));
    return;
  }
  char buffer[256] = "";
  const ssize_t n = read(fd, buffer, sizeof buffer - 1);
  snprintf(answer, sizeof answer, "%s", n > 0 && strncmp(buffer, text_wanted, strlen(text_wanted)) == 0 ? "found" : "done");
  close(fd);
}

static void open_on_mount(const char* place, const void* unused) {
  (void)unused;
  const int fd = open(place, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return;
  open_on(fd);
  close(fd);
}

static void say_nsfs(void) {
  const int fd = open_by_handle_at(-10003, &handle.head, O_RDONLY);  // FD_NSFS_ROOT, Linux 6.18
  tell("nsfs", fd);
  if (fd >= 0) tell("nsfs entered", setns(fd, 0));
}

// --- links -----------------------------------------------------------------------------------------------------------------

static void say_links(const char* from, const char* to) {
  char name[PATH_MAX], descriptor[64];
  snprintf(name, sizeof name, "%s/linked", to);
  tell("link", link(from, name));
  unlink(name);
  snprintf(name, sizeof name, "%s/linked-fd", to);
  snprintf(descriptor, sizeof descriptor, "/proc/self/fd/%d", open(from, O_PATH));
  tell("linkat of a descriptor", linkat(AT_FDCWD, descriptor, AT_FDCWD, name, AT_SYMLINK_FOLLOW));
  unlink(name);
}

// --- the programs ----------------------------------------------------------------------------------------------------------

static void try_to_overwrite(const char* name, const char* path) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  tell(name, fd < 0 ? fd : write(fd, "", 0));
  if (fd >= 0) close(fd);
}

static void say_own(const char* file) {
  try_to_overwrite("pid 1", "/proc/1/exe");
  try_to_overwrite("this program", "/proc/self/exe");
  try_to_overwrite("memory of pid 1", "/proc/1/mem");
  tell("reading the memory of pid 1", open("/proc/1/mem", O_RDONLY));
  tell("truncating pid 1", truncate("/proc/1/exe", 0));
  tell("descriptors of pid 1", open("/proc/1/fd", O_RDONLY | O_DIRECTORY));
  char target[PATH_MAX] = "";
  const ssize_t n = readlink("/proc/1/exe", target, sizeof target - 1);
  printf("name of pid 1: %s\n", n > 0 ? target : errno_name(errno));
  if (file) try_to_overwrite("a file of one's own", file);
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "find") == 0 && argc == 4) {
    text_wanted = argv[3];
    find(argv[2]);
  } else if (strcmp(what, "handle") == 0 && argc == 3) {
    return say_handle(argv[2]);
  } else if (strcmp(what, "open") == 0 && argc == 5) {
    text_wanted = argv[4];
    read_handle(argv[2], argv[3]);
    for_each_mount(open_on_mount, NULL);
    for (int fd = 0; fd < 16; fd++)
      if (fcntl(fd, F_GETFD) >= 0) open_on(fd);
    say_answer("opened");
  } else if (strcmp(what, "nsfs") == 0 && argc == 4) {
    read_handle(argv[2], argv[3]);
    say_nsfs();
  } else if (strcmp(what, "link") == 0 && argc == 4) {
    say_links(argv[2], argv[3]);
  } else if (strcmp(what, "flip") == 0 && argc == 4) {
    for (;;) syscall(SYS_renameat2, AT_FDCWD, argv[2], AT_FDCWD, argv[3], 2);  // RENAME_EXCHANGE
  } else if (strcmp(what, "own") == 0) {
    say_own(argc > 2 ? argv[2] : NULL);
  } else {
    return 2;
  }
  return 0;
}
