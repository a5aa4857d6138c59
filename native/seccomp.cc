#include "native/seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <iterator>

#include "native/default_seccomp.h"
#include "native/floor_seccomp.h"

namespace bailey::native {

const sock_fprog& builtin_seccomp() {
  // The kernel reads it only; sock_fprog has no const.
  static const sock_fprog program = {std::size(kDefaultSeccomp), const_cast<sock_filter*>(kDefaultSeccomp)};
  return program;
}

const char* builtin_seccomp_hash() { return kDefaultSeccompHash; }
const char* builtin_seccomp_text() { return kDefaultSeccompText; }

const sock_fprog& floor_seccomp() {
  static const sock_fprog program = {std::size(kFloorSeccomp), const_cast<sock_filter*>(kFloorSeccomp)};
  return program;
}

const char* floor_seccomp_hash() { return kFloorSeccompHash; }
const char* floor_seccomp_text() { return kFloorSeccompText; }

int install_seccomp(const sock_fprog& program, unsigned flags) {
  const long answer = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  if (answer < 0) return errno;
  return answer > 0 ? ESRCH : 0;  // TSYNC answers the thread that could not be brought along
}

}  // namespace bailey::native
