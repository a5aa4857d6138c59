#include "native/hardening.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bailey::native {

namespace {

int halve(__rlimit_resource resource) {
  rlimit limit{};
  if (getrlimit(resource, &limit) < 0) return errno;
  if (limit.rlim_max == RLIM_INFINITY) return 0;
  limit.rlim_max /= 2;
  if (limit.rlim_cur > limit.rlim_max) limit.rlim_cur = limit.rlim_max;
  return setrlimit(resource, &limit) < 0 ? errno : 0;
}

// The host's limit is in fs/inotify; the one of our namespace, in user/, is counted as well (namespaces(7)).
int halve_inotify() {
  char text[24];
  int fd = open("/proc/sys/fs/inotify/max_user_instances", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return errno == ENOENT ? 0 : errno;  // a kernel without inotify
  const ssize_t length = read(fd, text, sizeof text);
  const int read_error = length < 0 ? errno : 0;
  close(fd);
  if (read_error) return read_error;
  long limit = 0;
  for (ssize_t i = 0; i < length && text[i] >= '0' && text[i] <= '9'; ++i) limit = limit * 10 + (text[i] - '0');
  size_t at = sizeof text;
  for (limit /= 2; at > 0; limit /= 10) {
    text[--at] = static_cast<char>('0' + limit % 10);
    if (limit < 10) break;
  }
  fd = open("/proc/sys/user/max_inotify_instances", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return errno;
  const int error = write(fd, text + at, sizeof text - at) < 0 ? errno : 0;
  close(fd);
  return error;
}

}  // namespace

int set_no_new_privileges() { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : errno; }

int join_fresh_keyring() {
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0 || errno == ENOSYS) return 0;
  return errno;
}

void start_undumpable() {
  constexpr gid_t kAnother = 1;
  (void)syscall(SYS_setresgid, static_cast<gid_t>(-1), kAnother, static_cast<gid_t>(-1));
}

int leave_half_to_the_caller() {
  if (int error = halve(RLIMIT_SIGPENDING)) return error;
  if (int error = halve(RLIMIT_MSGQUEUE)) return error;
  return halve_inotify();
}

int forbid_dumping() { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : errno; }

}  // namespace bailey::native
