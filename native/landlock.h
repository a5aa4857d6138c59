// Landlock: the second layer under the mounts. What the mount tree forbids by read-only mounts, this forbids
// once more by path, so that one mistake in the mounts is not enough. The plan is pure data; only
// apply_landlock touches the kernel.
//
//   ABI 2 (Linux 5.19) links and renames across directories   ABI 3 (6.2) truncation   ABI 4 (6.7) TCP ports
//   ABI 5 (6.10) ioctl on devices                             ABI 6 (6.12) abstract Unix sockets, signals
//
// Each kernel gets all that it knows. Under ABI 1 any ruleset forbids every rename and link between
// directories, which mv, git and package managers would notice: there Landlock stays off and `why_off` says
// so, for --explain, doctor and the audit line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bailey::native {

enum class LandlockAccess {
  read_only,  // read, list, execute
  writable,   // all of that, and write, truncate, create, remove, move across directories; no device nodes
  devices,    // read, write and ioctl of what is there: /dev
  kernel,     // read and write of what is there: /proc
};

struct LandlockPlace {
  std::string path;  // absolute, inside the new root
  LandlockAccess access = LandlockAccess::read_only;
};

struct LandlockRule {
  std::string path;
  uint64_t rights = 0;  // for a directory; what a file cannot have is left out when the rule is added
};

struct LandlockPort {
  uint16_t port = 0;
  uint64_t rights = 0;
};

struct LandlockPlan {
  int abi = 0;
  std::string why_off;  // not empty: nothing will be applied, and why
  uint64_t handled_fs = 0, handled_net = 0, scoped = 0;
  std::vector<LandlockRule> rules;
  std::vector<LandlockPort> ports;  // always empty so far: no rule about TCP ports is set
};

// 0 when the kernel has no Landlock or it is switched off. One system call; needs nothing.
int landlock_abi();

// What is below no place is forbidden; rights add up on the way down, as in {"/", read_only}, {"/tmp",
// writable}. Processes inside can reach abstract sockets of, and send signals to, processes that share this
// domain or a nested one only: a process that joins the sandbox later has a domain of its own.
LandlockPlan compile_landlock(int abi, const std::vector<LandlockPlace>& places);

// The places of `run`: "/" read-only, /dev, /proc, /dev/shm, /dev/mqueue, and `writable` (/tmp, home,
// read-write volumes).
std::vector<LandlockPlace> standard_landlock_places(const std::vector<std::string>& writable);

struct LandlockFailure {
  int error = 0;  // errno, 0: applied, or nothing to apply
  int rule = -1;  // index into plan.rules when that one failed, usually because its path does not exist
};

// In the calling thread and all it will start, for good. Opens the rules' paths as they are now: after
// pivot_root, before seccomp. Needs no_new_privs, or CAP_SYS_ADMIN in the user namespace. May run between
// clone and exec.
LandlockFailure apply_landlock(const LandlockPlan& plan);

}  // namespace bailey::native
