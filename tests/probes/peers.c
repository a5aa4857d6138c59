// Two sandboxes, or two processes of the host.
// peers serve NAME            makes what another could find: an abstract socket, System V memory and queue, a POSIX queue and
//                             shared memory, a key; says "serving" and its pid, stays until stdin ends
// peers seek NAME PID...      "abstract", "sysv memory", "sysv queue", "posix queue", "posix memory", "key", "signal", "pidfd",
//                             "ptrace", "process_vm", "proc mem", "proc root", each against NAME or the PIDs
// peers watch FILE            "ready", then "seen" when somebody opens FILE, until stdin ends
// peers lock FILE START SIZE  "locked", while an open-file-description lock on that range of FILE, until stdin ends
// peers lease FILE            "read lease" and "write lease" on FILE, which is made if it is missing
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "verdict.h"

enum { kKeyctlSearch = 10, kUserKeyring = -4, kUserSessionKeyring = -5 };

static key_t key_of(const char* name) {
  unsigned key = 5381;
  for (; *name; name++) key = key * 33 + (unsigned char)*name;
  return (key_t)(key & 0x7fffffff);
}

static socklen_t abstract_address(struct sockaddr_un* address, const char* name) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  const int length = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "%s", name);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

static void serve(const char* name) {
  char path[128];
  snprintf(path, sizeof path, "/%s", name);
  struct sockaddr_un address;
  const socklen_t size = abstract_address(&address, name);
  const int server = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(server, (struct sockaddr*)&address, size) == 0) listen(server, 8);
  const int memory = shmget(key_of(name), 4096, IPC_CREAT | 0666), queue = msgget(key_of(name), IPC_CREAT | 0666);
  mq_open(path, O_CREAT | O_RDWR, 0666, NULL);
  shm_open(path, O_CREAT | O_RDWR, 0666);
  syscall(SYS_add_key, "user", name, "secret", 6, kUserKeyring);
  printf("serving: %d\n", getpid());
  fflush(stdout);
  while (getchar() != EOF) {}
  shmctl(memory, IPC_RMID, NULL);
  msgctl(queue, IPC_RMID, NULL);
  mq_unlink(path);
  shm_unlink(path);
  syscall(SYS_keyctl, 9, syscall(SYS_keyctl, kKeyctlSearch, kUserKeyring, "user", name, 0), kUserKeyring);  // unlink
}

// "done" when it worked on any of the processes.
static void say_any(const char* name, int done) { printf("%s: %s\n", name, done ? "done" : errno_name(errno)); }

static int attach(pid_t pid) {
  if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0) return 0;
  ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
  waitpid(pid, NULL, __WALL);
  ptrace(PTRACE_DETACH, pid, NULL, NULL);
  return 1;
}

static int open_of(pid_t pid, const char* what, int flags) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
  return open(path, flags) >= 0;
}

static void seek_processes(int count, char** pids) {
  int signaled = 0, held = 0, traced = 0, read_from = 0, memory = 0, root = 0;
  for (int i = 0; i < count; i++) {
    const pid_t pid = atoi(pids[i]);
    char byte;
    const struct iovec here = {&byte, 1}, there = {(void*)&environ, 1};
    signaled += kill(pid, 0) == 0;
    held += syscall(SYS_pidfd_open, pid, 0) >= 0;
    traced += attach(pid);
    read_from += process_vm_readv(pid, &here, 1, &there, 1, 0) == 1 || errno == EFAULT;
    memory += open_of(pid, "mem", O_RDWR);
    root += open_of(pid, "root/etc", O_RDONLY);
  }
  say_any("signal", signaled);
  say_any("pidfd", held);
  say_any("ptrace", traced);
  say_any("process_vm", read_from);
  say_any("proc mem", memory);
  say_any("proc root", root);
}

static void seek(const char* name, int count, char** pids) {
  char path[128];
  snprintf(path, sizeof path, "/%s", name);
  struct sockaddr_un address;
  const socklen_t size = abstract_address(&address, name);
  tell("abstract", connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr*)&address, size));
  tell("sysv memory", shmget(key_of(name), 4096, 0));
  tell("sysv queue", msgget(key_of(name), 0));
  tell("posix queue", mq_open(path, O_RDWR));
  tell("posix memory", shm_open(path, O_RDWR, 0));
  tell("key", syscall(SYS_keyctl, kKeyctlSearch, kUserKeyring, "user", name, 0));
  seek_processes(count, pids);
}

static void watch(const char* file) {
  const int events = inotify_init1(IN_NONBLOCK);
  if (inotify_add_watch(events, file, IN_OPEN | IN_ACCESS) < 0) {
    tell("watch", -1);
    return;
  }
  printf("watch: ready\n");
  fflush(stdout);
  struct pollfd both[2] = {{events, POLLIN, 0}, {0, POLLIN, 0}};
  while (poll(both, 2, -1) > 0) {
    if (both[0].revents & POLLIN) {
      printf("event: seen\n");
      return;
    }
    if (both[1].revents) break;
  }
  printf("event: none\n");
}

static void lock(const char* file, const char* start, const char* size) {
  struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = atol(start), .l_len = atol(size)};
  const int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (tell("lock", fcntl(fd, F_OFD_SETLK, &range)) < 0) return;
  printf("lock: locked\n");
  fflush(stdout);
  while (getchar() != EOF) {}
}

static void lease(const char* file) {
  const int fd = open(file, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
  if (tell("open", fd) < 0) return;
  tell("read lease", fcntl(fd, F_SETLEASE, F_RDLCK));
  tell("write lease", fcntl(fd, F_SETLEASE, F_WRLCK));
}

int main(int argc, char** argv) {
  const char* what = argc > 2 ? argv[1] : "";
  if (strcmp(what, "serve") == 0) serve(argv[2]);
  else if (strcmp(what, "seek") == 0) seek(argv[2], argc - 3, argv + 3);
  else if (strcmp(what, "watch") == 0) watch(argv[2]);
  else if (strcmp(what, "lock") == 0 && argc > 4) lock(argv[2], argv[3], argv[4]);
  else if (strcmp(what, "lease") == 0) lease(argv[2]);
  else return 2;
  return 0;
}
