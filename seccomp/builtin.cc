#include "seccomp/builtin.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <iterator>

#include "seccomp/default_program.h"
#include "seccomp/floor_program.h"
#include "seccomp/host_program.h"
#include "seccomp/worker_program.h"

namespace bailey::seccomp {

namespace {

// The kernel only reads it; sock_fprog has no const.
template <size_t N>
constexpr sock_fprog view(const sock_filter (&code)[N]) {
  return {N, const_cast<sock_filter*>(code)};
}

}  // namespace

constinit const BuiltFilter kWorkload = {view(kDefaultSeccomp), kDefaultSeccompHash, kDefaultSeccompText};
constinit const BuiltFilter kFloor = {view(kFloorSeccomp), kFloorSeccompHash, kFloorSeccompText};
constinit const BuiltFilter kWorker = {view(kWorkerSeccomp), kWorkerSeccompHash, kWorkerSeccompText};
constinit const BuiltFilter kHost = {view(kHostSeccomp), kHostSeccompHash, kHostSeccompText};

int install_filter(const sock_fprog& program, unsigned flags) {
  const long answer = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  if (answer < 0) return errno;
  return answer > 0 ? ESRCH : 0;  // TSYNC returns the thread that could not be brought along
}

}  // namespace bailey::seccomp
