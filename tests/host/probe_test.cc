// Probes against a host that was made worse: what a probe says must follow what the kernel does, and nothing
// else.
#include "host/probe/probe.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <set>
#include <vector>

#include "host/probe/trial.h"
#include "tests/support/leaks.h"
#include "tests/support/require.h"

namespace bailey::host {
namespace {

using State = Probe::State;

// The calls fail with ENOSYS, as on an old kernel or below a container's filter.
bool take_away(const std::vector<int>& calls) {
  std::vector<sock_filter> code = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const int call : calls) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// In a child: makes it worse, then probes. The child's answer: 0 when the probe says `state` with a price and
// a remedy.
int probe_after(const std::function<bool()>& make_worse, const std::function<Probe()>& probe, State state) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!make_worse()) ::_exit(100);
    const Probe found = probe();
    if (found.state != state) ::_exit(1);
    if (found.state != State::ok && (found.cost.empty() || found.remedy.empty() || found.detail.empty())) ::_exit(2);
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(Probes, AllHaveANameAndWhatIsNotFineHasAPriceAndARemedy) {
  tests::LeakCheck leaks;
  std::set<std::string> names;
  for (const Probe& probe : probe_host()) {
    EXPECT_TRUE(names.insert(probe.name).second) << probe.name;
    EXPECT_FALSE(probe.detail.empty()) << probe.name;
    EXPECT_EQ(probe.cost.empty(), probe.state == State::ok) << probe.name;
    EXPECT_EQ(probe.remedy.empty(), probe.state == State::ok) << probe.name;
  }
}

TEST(Probes, AMissingCallIsFound) {
  tests::LeakCheck leaks;
  const struct {
    int call;
    Probe (*probe)();
    State state;
  } rows[] = {
      {SYS_openat2, probe_openat2, State::missing},
      {SYS_mount_setattr, probe_mount_api, State::missing},
      {SYS_open_tree, probe_mount_api, State::missing},
      {SYS_clone3, probe_clone3, State::missing},
      {SYS_pidfd_send_signal, probe_pidfd, State::missing},
      {SYS_close_range, probe_close_range, State::missing},
      {SYS_memfd_create, probe_memfd, State::missing},
      {SYS_seccomp, probe_seccomp, State::missing},
      {SYS_landlock_restrict_self, probe_landlock, State::degraded},
      {SYS_unshare, probe_user_namespace, State::missing},
      {SYS_unshare, probe_all_namespaces, State::missing},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(probe_after([&] { return take_away({row.call}); }, row.probe, row.state), 0) << "system call " << row.call;
    EXPECT_EQ(probe_after([] { return true; }, row.probe, State::ok), 0) << "system call " << row.call << " given back";
  }
}

TEST(Probes, ExhaustedNamespacesAreFound) {
  BAILEY_REQUIRE("userns");
  for (const char* kind : {"net", "mnt", "pid"}) {
    const auto exhaust = [kind] {
      TrialSteps step;
      if (!enter_user_namespace(step, 0)) return false;
      std::ofstream file(std::string("/proc/sys/user/max_") + kind + "_namespaces");
      file << "0" << std::flush;
      return file.good();
    };
    EXPECT_EQ(probe_after(exhaust, probe_all_namespaces, State::missing), 0) << kind;
    EXPECT_EQ(probe_after(exhaust, probe_namespace_limits, State::missing), 0) << kind;
  }
}

TEST(Trials, AChildThatDiesOrHangsIsAFailure) {
  const Trial killed = try_in_child([](TrialSteps&) { ::abort(); });
  EXPECT_FALSE(killed.ok());
  EXPECT_EQ(killed.step, "child");
  const Trial failed = try_in_child([](TrialSteps& step) { step.fail("made up", ENOTTY); });
  EXPECT_EQ(failed.err, ENOTTY);
  EXPECT_EQ(failed.text().substr(0, 15), "made up: ENOTTY");
  const Trial fine = try_in_child([](TrialSteps& step) { step.value = 7; });
  EXPECT_TRUE(fine.ok());
  EXPECT_EQ(fine.value, 7);
}

}  // namespace
}  // namespace bailey::host
