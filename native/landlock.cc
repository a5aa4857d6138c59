#include "native/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace bailey::native {
namespace {

// From include/uapi/linux/landlock.h of Linux 6.18: Debian 12's header ends with ABI 2, and glibc has no
// wrappers.
constexpr uint64_t kExecute = 1 << 0, kWriteFile = 1 << 1, kReadFile = 1 << 2, kReadDir = 1 << 3, kRemoveDir = 1 << 4,
                   kRemoveFile = 1 << 5, kMakeChar = 1 << 6, kMakeDir = 1 << 7, kMakeReg = 1 << 8, kMakeSock = 1 << 9,
                   kMakeFifo = 1 << 10, kMakeBlock = 1 << 11, kMakeSym = 1 << 12;
constexpr uint64_t kRefer = 1 << 13;                                          // ABI 2
constexpr uint64_t kTruncate = 1 << 14;                                       // ABI 3
constexpr uint64_t kIoctlDev = 1 << 15;                                       // ABI 5
constexpr uint64_t kScopeAbstractUnixSocket = 1 << 0, kScopeSignal = 1 << 1;  // ABI 6
constexpr unsigned kCreateRulesetVersion = 1;
constexpr int kRulePathBeneath = 1, kRuleNetPort = 2;

struct RulesetAttr {
  uint64_t handled_access_fs, handled_access_net, scoped;
};
struct [[gnu::packed]] PathBeneathAttr {
  uint64_t allowed_access;
  int32_t parent_fd;
};
struct NetPortAttr {
  uint64_t allowed_access, port;
};

constexpr uint64_t kRead = kExecute | kReadFile | kReadDir;
constexpr uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDev;
constexpr uint64_t kWrite =
    kWriteFile | kTruncate | kRemoveDir | kRemoveFile | kMakeDir | kMakeReg | kMakeSock | kMakeFifo | kMakeSym | kRefer;

uint64_t rights_of(LandlockAccess access) {
  switch (access) {
    case LandlockAccess::read_only: return kRead;
    case LandlockAccess::writable: return kRead | kWrite;
    case LandlockAccess::devices: return kReadFile | kReadDir | kWriteFile | kTruncate | kIoctlDev;
    case LandlockAccess::kernel: return kReadFile | kReadDir | kWriteFile | kTruncate;
  }
  return 0;
}

int add_path(int ruleset, const LandlockRule& rule) {
  open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_MAGICLINKS;
  const int fd = static_cast<int>(syscall(SYS_openat2, AT_FDCWD, rule.path.c_str(), &how, sizeof how));
  if (fd < 0) return errno;
  struct stat st;
  PathBeneathAttr attr = {rule.rights, fd};
  int error = 0;
  if (fstat(fd, &st) != 0) {
    error = errno;
  } else {
    if (!S_ISDIR(st.st_mode)) attr.allowed_access &= kOfFiles;
    if (syscall(SYS_landlock_add_rule, ruleset, kRulePathBeneath, &attr, 0) != 0) error = errno;
  }
  close(fd);
  return error;
}

LandlockFailure fill(int ruleset, const LandlockPlan& plan) {
  for (size_t i = 0; i < plan.rules.size(); ++i)
    if (const int error = add_path(ruleset, plan.rules[i])) return {error, static_cast<int>(i)};
  for (const LandlockPort& port : plan.ports) {
    const NetPortAttr attr = {port.rights, port.port};
    if (syscall(SYS_landlock_add_rule, ruleset, kRuleNetPort, &attr, 0) != 0) return {errno, -1};
  }
  if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) return {errno, -1};
  return {};
}

}  // namespace

int landlock_abi() {
  const long abi = syscall(SYS_landlock_create_ruleset, nullptr, 0, kCreateRulesetVersion);
  return abi > 0 ? static_cast<int>(abi) : 0;
}

LandlockPlan compile_landlock(int abi, const std::vector<LandlockPlace>& places) {
  LandlockPlan plan;
  plan.abi = abi;
  if (abi < 2) {
    plan.why_off = abi < 1 ? "the kernel has no Landlock" : "Landlock ABI 1 forbids every rename between directories";
    return plan;
  }
  plan.handled_fs = kRead | kWriteFile | kRemoveDir | kRemoveFile | kMakeChar | kMakeDir | kMakeReg | kMakeSock | kMakeFifo |
                    kMakeBlock | kMakeSym | kRefer;
  if (abi >= 3) plan.handled_fs |= kTruncate;
  if (abi >= 5) plan.handled_fs |= kIoctlDev;
  if (abi >= 6) plan.scoped = kScopeAbstractUnixSocket | kScopeSignal;
  for (const LandlockPlace& place : places) plan.rules.push_back({place.path, rights_of(place.access) & plan.handled_fs});
  return plan;
}

std::vector<LandlockPlace> standard_landlock_places(const std::vector<std::string>& writable) {
  std::vector<LandlockPlace> out = {{"/", LandlockAccess::read_only},
                                    {"/dev", LandlockAccess::devices},
                                    {"/proc", LandlockAccess::kernel},
                                    {"/dev/shm", LandlockAccess::writable},
                                    {"/dev/mqueue", LandlockAccess::writable}};
  for (const std::string& path : writable) {
    const auto same = [&](const LandlockPlace& place) {
      return place.path == path && place.access == LandlockAccess::writable;
    };
    if (std::ranges::none_of(out, same)) out.push_back({path, LandlockAccess::writable});
  }
  return out;
}

LandlockFailure apply_landlock(const LandlockPlan& plan) {
  if (!plan.why_off.empty()) return {};
  // Older kernels take the longer structure as long as what they do not know is zero.
  const RulesetAttr attr = {plan.handled_fs, plan.handled_net, plan.scoped};
  const int ruleset = static_cast<int>(syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0));
  if (ruleset < 0) return {errno, -1};
  const LandlockFailure failure = fill(ruleset, plan);
  close(ruleset);
  return failure;
}

}  // namespace bailey::native
