// Limits under a storm of signals: the memory controller of v1 gives up with EINTR when one is pending.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/time.h>

#include "host/cgroup/cgroup.h"
#include "tests/support/leaks.h"
#include "tests/support/require.h"

namespace bailey::host {
namespace {

// SIGALRM again and again, caught by a handler that does nothing.
class SignalStorm {
 public:
  SignalStorm() {
    struct sigaction quiet{};
    quiet.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &quiet, &before_);
    const itimerval often{{0, 30}, {0, 30}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
  }
  ~SignalStorm() {
    const itimerval never{};
    ::setitimer(ITIMER_REAL, &never, nullptr);
    ::sigaction(SIGALRM, &before_, nullptr);
  }

 private:
  struct sigaction before_{};
};

TEST(CgroupUnderSignals, SetsEveryLimit) {
  BAILEY_REQUIRE("root", "cgroup");
  const CgroupMounts mounts = find_cgroups().value();
  const tests::LeakCheck leaks;
  bundle::Resources resources;
  resources.memory.limit = 256 << 20;
  resources.memory.swap = 256 << 20;
  resources.pids_limit = 64;
  const SignalStorm storm;
  for (int i = 0; i < 300; ++i) {
    auto cgroup = Cgroup::create(mounts, "", "test-storm-" + std::to_string(::getpid()), resources);
    ASSERT_TRUE(cgroup) << cgroup.error().message;
    const auto removed = cgroup->remove();
    ASSERT_TRUE(removed) << removed.error().message;
  }
}

}  // namespace
}  // namespace bailey::host
