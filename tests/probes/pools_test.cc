// What the kernel counts for a user or for the whole machine: one sandbox must leave the host's root its part.
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/probes/probes.h"

namespace bailey::tests {
namespace {

class PoolProbes : public Probes {
 protected:
  static constexpr const char* kMost = "200000";

  static int taken(const Verdicts& verdicts, const std::string& pool) { return std::atoi(verdict(verdicts, pool).c_str()); }

  // The usual limit is 100000 or so: the same, but slower.
  static void limit_timers() {
    const rlimit few{3000, 3000};
    setrlimit(RLIMIT_SIGPENDING, &few);
  }

  // How many the host's root gets while a sandbox holds all that it could take.
  int left_for_the_host(const std::string& pool, int* taken_inside) {
    RunOptions wish = options(with_probes({"-i", "--open-files", "4096"}), {probe("pools"), pool, "3000000", "hold"});
    if (gvisor()) wish.arguments[wish.arguments.size() - 2] = "300";  // its own kernel's, which counts some of them not at all
    wish.keep_input_open = true;
    wish.before_exec = limit_timers;
    BaileyProcess process(std::move(wish));
    EXPECT_TRUE(process.wait_for_output("\n"));
    const int left = taken(outside("pools", {pool, kMost}, limit_timers), pool);
    const Outcome got = process.finish();
    EXPECT_EQ(got.exit_code, 0) << got;
    *taken_inside = taken(parse_verdicts(got.out), pool);
    return left;
  }
};

// The kernel counts these against the owner of the user namespace, too.
TEST_F(PoolProbes, LeaveTheHostsRootItsInotifyTimersAndQueues) {
  for (const char* pool : {"inotify", "timers", "queues"}) {
    const int before = taken(outside("pools", {pool, kMost}, limit_timers), pool);
    ASSERT_GT(before, 1) << pool << ": this host has none to take";
    int inside = 0;
    const int left = left_for_the_host(pool, &inside);
    EXPECT_GE(left, before / 2) << pool;
    if (gvisor() && std::string(pool) == "queues") continue;  // gVisor has no message queues
    EXPECT_GT(inside, 1) << pool << ": the probe took nothing, so it proves nothing";
  }
}

// Memory that the kernel has once, for the filters of everybody: a sandbox gets none of it. Each is tried once and as small as
// can be; filling it would stop the machine.
TEST_F(PoolProbes, LeaveTheMachineItsMemoryForFilters) {
  const Verdicts seen = inside("filters", {}), control = outside("filters", {});
  ASSERT_EQ(control.size(), 9u);
  for (const auto& [what, answer] : control) EXPECT_EQ(answer, what.ends_with("bpf") ? "EBADF" : "done") << what;
  for (const auto& [what, answer] : seen) {
    const bool own = what.starts_with("seccomp") || what == "prctl";
    EXPECT_TRUE(gvisor() || answer == (own ? "EINVAL" : "EPERM")) << what << ": " << answer;
  }
  // gVisor's kernel interprets filters of seccomp, and of sockets it pretends to take them: the host's would not take a
  // descriptor that is none. The same where the sockets are the host's.
  if (gvisor()) {
    for (const Arguments& flags : {Arguments{}, Arguments{"--net", "host", "--allow-host-network"}})
      EXPECT_EQ(verdict(inside(flags, "filters", {}), "socket bpf"), "done");
  }
  EXPECT_EQ(seen.size(), control.size());
}

// What the kernel holds for a process is within its cgroup's memory: sockets of one machine, pipes, queues. (Not all is:
// docs/threat-model.md lists what no cgroup counts.)
TEST_F(PoolProbes, KeepWhatTheKernelHoldsForThemWithinTheirMemory) {
  const std::map<std::string, std::string> kinds = {{"unix", "400"}, {"pipes", "900"}, {"messages", "5000"}};
  for (const auto& [kind, most] : kinds) {
    const auto take = [&, kind = kind, most = most](const char* memory) {
      return run(with_probes({"--memory", memory, "--open-files", "4096"}), {probe("pools"), kind, most});
    };
    const Outcome few = take(gvisor() ? "16M" : "32M"), many = take("512M");
    // Killed, or refused by the kernel's "no memory".
    EXPECT_TRUE(few.exit_code == 137 || taken(parse_verdicts(few.out), kind) < std::atoi(most.c_str())) << kind << few;
    EXPECT_EQ(verdict(parse_verdicts(many.out), kind), most + " none") << kind << many;
  }
}

// Counted for the whole machine and limited by nothing else.
TEST_F(PoolProbes, LeaveTheMachineItsAsynchronousRequestsAndTerminals) {
  ASSERT_GT(taken(outside("pools", {"aio", "2"}), "aio"), 0);
  if (gvisor()) {  // its own kernel's, in its own memory: the host's are out of reach
    int inside = 0;
    EXPECT_GT(left_for_the_host("aio", &inside), 1);
    return;
  }
  EXPECT_EQ(verdict(inside("pools", {"aio", "2"}), "aio"), "0 ENOSYS");
  const Verdicts terminals = inside({"--open-files", "1000"}, "pools", {"terminals", "600"});
  EXPECT_EQ(verdict(terminals, "terminals"), "256 ENOSPC");
}

}  // namespace
}  // namespace bailey::tests
