// The process that becomes runsc, from clone to exec. The order of the steps matters for security; nothing here allocates,
// logs, locks or throws.
//
//   parent                                    child: PID 1 of a new pid namespace, in a new mount namespace
//   ----------------------------------------------------------------------------------------------
//   clone3 ---------------------------------> joins its cgroup, attaches the private root and its mounts,
//                                             pivots into it, drops the host's tree,
//                                             is forbidden set-id files and devices (seccomp/profiles/host.seccomp)
//           <------- Failure{step, errno} ---  on an error, then exits
//           <------------- end of file ------ exec of /runsc/runsc
//
// runsc is PID 1 there: when it ends, for whatever reason, the kernel kills the sentry, the gofer and their stubs and reports
// runsc's end only after all of them are gone. Nothing can be left, and nobody else's children are ever waited for.
#pragma once

#include <cstdint>
#include <span>

namespace bailey::gvisor {

enum class ChildStep : uint32_t {
  parent,
  cgroup,
  mounts,
  proc,
  pts,
  overlay,
  pivot,
  oom_score,
  session,
  descriptors,
  filter,
  exec,
  count
};
const char* to_text(ChildStep step);

struct Failure {
  ChildStep step = ChildStep::parent;
  int32_t error = 0;
  int32_t attachment = -1;  // index, of an error in `mounts`
};

struct ChildAttachment {
  int tree = -1;
  const char* target = nullptr;
};

// Every descriptor is above kLastTarget, so that none is overwritten while they are put in place.
inline constexpr int kLastTarget = 31;

struct ChildInputs {
  std::span<const int> join;  // cgroup v1 `tasks` descriptors
  int root_mount = -1;
  std::span<const ChildAttachment> attachments;
  bool overlay = false;
  bool hide_network_settings = false;   // an empty /proc/sys/net
  bool terminal = false;                // a devpts of its own, for runsc to open a pty in
  const char* oom_score_adj = nullptr;  // text
  int stdio[3] = {-1, -1, -1};
  int job = -1, report = -1;  // become kJobFd and kReportFd
  int status = -1;            // write end; CLOEXEC
  int parents_status = -1;    // the parent's end, closed first: otherwise the parent's death would not be seen
  int spare = -1;             // left open at a high number
  bool independent = false;   // goes on without its parent, once it is runsc
  const char* const* arguments = nullptr;
};

[[noreturn]] void run_child(const ChildInputs& inputs);

}  // namespace bailey::gvisor
