// NamespaceOwner: while it lives, user namespaces that this thread makes belong to `uid` of the host instead of to root.
//
// The kernel counts inotify instances and watches, queued signals, POSIX timers and message queues of everybody in a user
// namespace against the namespace's owner, too (kernel/ucount.c). Were root the owner, one workload could use up what the
// host's root may have of them, and every daemon's inotify_init or timer_create would fail. The first id of the sandbox's own
// range has no processes but the sandbox's.
//
// The owner is the effective user id at the clone. Changing it clears the effective capabilities, the
// signal for the parent's death (a caller may have set one on us) and undumpability: this class sets them again. Needs
// CAP_SETUID. One thread.
#pragma once

#include <linux/capability.h>

#include <cstdint>

#include "base/result.h"

namespace bailey::native {

class NamespaceOwner {
 public:
  NamespaceOwner() = default;
  ~NamespaceOwner();  // root again
  NamespaceOwner(const NamespaceOwner&) = delete;
  NamespaceOwner& operator=(const NamespaceOwner&) = delete;

  // For a process whose effective user is root.
  Result<> become(uint32_t uid);

 private:
  bool changed_ = false;
  int parent_ = 0;
  int parent_death_signal_ = 0;
};

}  // namespace bailey::native
