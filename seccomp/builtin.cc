#include "seccomp/builtin.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <iterator>

#include "seccomp/default_program.h"
#include "seccomp/floor_program.h"

namespace bailey::seccomp {

const sock_fprog& builtin_program() {
  // The kernel reads it only; sock_fprog has no const.
  static const sock_fprog program = {std::size(kDefaultSeccomp), const_cast<sock_filter*>(kDefaultSeccomp)};
  return program;
}

const char* builtin_hash() { return kDefaultSeccompHash; }
const char* builtin_text() { return kDefaultSeccompText; }

const sock_fprog& floor_program() {
  static const sock_fprog program = {std::size(kFloorSeccomp), const_cast<sock_filter*>(kFloorSeccomp)};
  return program;
}

const char* floor_hash() { return kFloorSeccompHash; }
const char* floor_text() { return kFloorSeccompText; }

int install_filter(const sock_fprog& program, unsigned flags) {
  const long answer = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  if (answer < 0) return errno;
  return answer > 0 ? ESRCH : 0;  // TSYNC answers the thread that could not be brought along
}

}  // namespace bailey::seccomp
