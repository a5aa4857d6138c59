// Trial: something tried in a forked child, so that whatever it does to a process (namespaces, filters,
// limits) is gone with it. For probes only: this process must be single-threaded. The child becomes dumpable,
// because it writes its own id maps.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace bailey::host {

struct Trial {
  int err = 0;        // 0: it worked
  int64_t value = 0;  // what the trial found, such as an ABI number
  std::string step;   // the call that failed
  bool ok() const { return err == 0; }
  std::string text() const;  // "mount_setattr: ENOSYS (Function not implemented)"
};

// In the child: fails at `step` with errno unless `good`; the next steps are not taken.
class TrialSteps {
 public:
  bool operator()(bool good, const char* step);
  void fail(const char* step, int err);
  int64_t value = 0;
  int err = 0;
  char step[32] = {};
};

// Runs `act` in a child. A child that dies or is not done after five seconds fails with step "child" (EINTR,
// ETIMEDOUT).
Trial try_in_child(const std::function<void(TrialSteps&)>& act);

// The start of many trials: a new user namespace with this user as its root, and `more` (CLONE_NEWNS...).
bool enter_user_namespace(TrialSteps& step, int more);

}  // namespace bailey::host
