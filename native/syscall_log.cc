#include "native/syscall_log.h"

#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "seccomp/names.h"
#include "seccomp/rules.h"

namespace bailey::native {

using namespace seccomp;

namespace {

constexpr int kMaxErrno = 4095;  // what the kernel makes of a larger one (SECCOMP_RET_ERRNO, seccomp(2))

}  // namespace

Result<SyscallLog> SyscallLog::open(Fd listener, std::shared_ptr<const FilterRules> verdicts, dispatcher::SeccompLog mode) {
  seccomp_notif_sizes sizes{};
  if (::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
    return sys_error("asking for the size of seccomp notifications", errno);
  SyscallLog out;
  out.notification_.resize(std::max<size_t>(sizes.seccomp_notif, sizeof(seccomp_notif)));
  out.response_.resize(std::max<size_t>(sizes.seccomp_notif_resp, sizeof(seccomp_notif_resp)));
  out.listener_ = std::move(listener);
  out.verdicts_ = std::move(verdicts);
  out.may_continue_ = mode == dispatcher::SeccompLog::all;
  return out;
}

void SyscallLog::serve() {
  for (int i = 0; i < kBatch && listener_; ++i)
    if (!answer_one()) return;
}

// False when nothing waits. Receiving waits when nothing is there, so poll has to say first that something is; a call whose
// process is killed in between is ENOENT.
bool SyscallLog::answer_one() {
  pollfd entry{listener_.get(), POLLIN, 0};
  if (::poll(&entry, 1, 0) <= 0) return false;
  if (!(entry.revents & POLLIN)) {
    listener_.reset();  // hung up: every process with the filter has ended
    return false;
  }
  std::ranges::fill(notification_, 0);  // the kernel insists
  auto* call = reinterpret_cast<seccomp_notif*>(notification_.data());
  if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, call) < 0) {
    if (errno == ENOENT || errno == EINTR) return true;
    log::warning(sys_error("receiving a seccomp notification", errno).error().message +
                 "; refused calls get ENOSYS from here on");
    listener_.reset();
    return false;
  }
  const uint32_t verdict = verdict_of(*verdicts_, call->data);
  const bool goes_on = may_continue_ && permits(verdict);
  count(call->data.nr, goes_on);

  std::ranges::fill(response_, 0);
  auto* answer = reinterpret_cast<seccomp_notif_resp*>(response_.data());
  answer->id = call->id;
  if (goes_on) answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  else if ((verdict & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO)
    answer->error = -std::min(static_cast<int>(verdict & SECCOMP_RET_DATA), kMaxErrno);
  else answer->error = -EPERM;  // no other verdict is reported
  // ENOENT: killed or interrupted meanwhile.
  (void)::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, answer);
  return true;
}

void SyscallLog::count(int number, bool used) {
  if (counts_.size() >= kMaxNames && !counts_.contains(number)) {
    ++others_;
    return;
  }
  Counts& counts = counts_[number];
  ++(used ? counts.used : counts.denied);
}

// Only this machine's own calls are reported: every profile kills the others.
dispatcher::LoggedCalls SyscallLog::calls() const {
  dispatcher::LoggedCalls out;
  for (const auto& [number, counts] : counts_) {
    const std::string name = call_name(native_arch(), static_cast<uint32_t>(number));
    if (counts.denied != 0) out.denied.push_back({name, counts.denied});
    if (counts.used != 0) out.used.push_back({name, counts.used});
  }
  std::ranges::sort(out.denied, {}, &dispatcher::CallCount::name);
  std::ranges::sort(out.used, {}, &dispatcher::CallCount::name);
  out.others = others_;
  return out;
}

}  // namespace bailey::native
