#include "native/identity/namespace_owner.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"

namespace bailey::native {

namespace {

constexpr uid_t kUnchanged = static_cast<uid_t>(-1);

int set_effective_user(uid_t uid) { return static_cast<int>(::syscall(SYS_setresuid, kUnchanged, uid, kUnchanged)); }

}  // namespace

Result<> NamespaceOwner::become(uint32_t uid) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {};
  if (::prctl(PR_GET_PDEATHSIG, &parent_death_signal_) < 0 || ::syscall(SYS_capget, &header, sets) < 0)
    return sys_error("asking for this process's capabilities", errno);
  parent_ = ::getppid();
  if (set_effective_user(uid) < 0) return sys_error("becoming the owner of a user namespace", errno);
  changed_ = true;
  // The effective set went with the effective root; the permitted one stays as long as the real user is root.
  if (::syscall(SYS_capset, &header, sets) < 0) return sys_error("keeping the capabilities of a namespace's owner", errno);
  return {};
}

NamespaceOwner::~NamespaceOwner() {
  if (!changed_) return;
  if (set_effective_user(0) < 0) log::end_process(std::string("this process cannot be root again: ") + errno_name(errno));
  ::prctl(PR_SET_DUMPABLE, 0);
  if (parent_death_signal_ == 0) return;
  ::prctl(PR_SET_PDEATHSIG, parent_death_signal_);
  if (::getppid() != parent_) ::raise(parent_death_signal_);  // it died in between
}

}  // namespace bailey::native
