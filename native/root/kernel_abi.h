// The few system calls that Debian 12's C library (2.36) has no function for. Raw: they allocate nothing and may run between
// clone and exec; each returns what the kernel returns, -1 and errno on failure. The mount API itself (open_tree, move_mount,
// fsopen, fsconfig, fsmount, mount_setattr) is in <sys/mount.h>.
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace bailey::native {

// openat2(2): every link and ".." is resolved as if `root` were "/"; magic links (/proc/self/fd/N) are errors.
inline int openat2_in_root(int root, const char* path, uint64_t flags, uint64_t resolve = 0) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve;
  return static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof how));
}

inline int pivot_root(const char* new_root, const char* put_old) {
  return static_cast<int>(::syscall(SYS_pivot_root, new_root, put_old));
}

}  // namespace bailey::native
