// What the record says of the command's use: times, CPU and memory of the command alone, and the making of the sandbox apart.
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

constexpr int64_t kMiB = 1 << 20;

class AccountContract : public Contract {
 protected:
  // Where nobody delegated a cgroup to this user nothing counts memory, and CPU time only as far as init knows it.
  static bool has_cgroup(const Outcome& got) { return got.number("peak_memory_bytes").has_value(); }
  // gVisor's boot is in what an ordinary user's process is told of its children.
  bool counts_cpu(const Outcome& got) const { return has_cgroup(got) || !gvisor(); }
};

TEST_F(AccountContract, LeavesTheMakingOfTheSandboxOut) {
  const Outcome got = run({"/bin/true"});
  EXPECT_EQ(got.exit_code, 0) << got;
  const int64_t setup_us = got.number("setup_ns").value_or(0) / 1000, wall_us = got.number("wall_us").value_or(INT64_MAX);
  EXPECT_LT(wall_us, setup_us) << got;
  EXPECT_GT(wall_us, 0) << got;
  EXPECT_EQ(got.number("boot_ns").value_or(0) > 0, gvisor()) << got;
  if (gvisor()) {
    EXPECT_LT(wall_us, got.number("boot_ns").value_or(0) / 1000) << got;
  }
  if (!counts_cpu(got)) return;
  // Not in ticks of 4 ms: it took some, and less than the making.
  EXPECT_GT(got.number("cpu_us").value_or(0), 0) << got;
  EXPECT_LT(got.number("cpu_us").value_or(INT64_MAX), setup_us) << got;
  EXPECT_EQ(got.number("user_us").value_or(0) + got.number("system_us").value_or(0), got.number("cpu_us")) << got;
}

TEST_F(AccountContract, CountsTheCpuTimeThatTheCommandCounts) {
  const Outcome got = run(with_probes(), {probe("burn"), "400"});
  EXPECT_EQ(got.exit_code, 0) << got;
  const int64_t own = std::atoll(got.out.c_str());
  ASSERT_GE(own, 400'000) << got;
  if (!counts_cpu(got)) return;
  const int64_t cpu_us = got.number("cpu_us").value_or(0);
  // gVisor's own account says how long its threads were to run, which on a busy host is much more than they ran; and its kernel
  // works for the command.
  EXPECT_GE(cpu_us, gvisor() ? own / 20 : own * 9 / 10) << got;
  EXPECT_LE(cpu_us, gvisor() ? own * 2 : own * 5 / 4) << got;
  EXPECT_GE(got.number("wall_us").value_or(0), own * 9 / 10) << got;
}

TEST_F(AccountContract, CountsTheCpuTimeOfGrandchildrenAndOfTheKilled) {
  const Outcome got = shell(with_probes(), probe("burn") + " 200 > /dev/null; " + probe("burn") + " 200");
  EXPECT_EQ(got.exit_code, 0) << got;
  if (!counts_cpu(got)) return;
  EXPECT_GE(got.number("cpu_us").value_or(0), gvisor() ? 20'000 : 380'000) << got;
  const Outcome killed = run(with_probes({"--timeout", "500ms"}), {probe("burn"), "600000"});
  EXPECT_EQ(killed.text("verdict"), "timed_out") << killed;
  EXPECT_GE(killed.number("wall_us").value_or(0), 490'000) << killed;
  if (!has_cgroup(killed)) return;
  EXPECT_GT(killed.number("cpu_us").value_or(0), 0) << killed;
  EXPECT_LE(killed.number("cpu_us").value_or(0), killed.number("wall_us").value_or(0) * 3 / 2) << killed;
}

TEST_F(AccountContract, CountsNoCpuTimeForSleep) {
  const Outcome got = run({"/bin/sleep", "1"});
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_GE(got.number("wall_us").value_or(0), 990'000) << got;
  if (!counts_cpu(got)) return;
  EXPECT_LT(got.number("cpu_us").value_or(INT64_MAX), got.number("wall_us").value_or(0) / 4) << got;
}

TEST_F(AccountContract, TellsTheLargestResidentSizeApartFromThePageCache) {
  const Outcome touched = shell(with_probes(), probe("memory") + " 64; true");
  EXPECT_EQ(touched.exit_code, 0) << touched;
  EXPECT_GE(touched.number("max_rss_bytes").value_or(0), 64 * kMiB) << touched;
  EXPECT_LT(touched.number("max_rss_bytes").value_or(0), 128 * kMiB) << touched;
  const TempDir volume;
  ASSERT_EQ(::chmod(volume.path().c_str(), 0777), 0);
  const Outcome written = run(with_probes({"-v", volume.path() + ":/data"}), {probe("memory"), "64", "/data/file"});
  EXPECT_EQ(written.exit_code, 0) << written;
  EXPECT_GT(written.number("max_rss_bytes").value_or(0), 0) << written;
  EXPECT_LT(written.number("max_rss_bytes").value_or(INT64_MAX), 32 * kMiB) << written;
}

TEST_F(AccountContract, BeginsThePeakOfMemoryWithTheCommand) {
  const Outcome got = run({"/bin/true"});
  EXPECT_EQ(got.exit_code, 0) << got;
  // gVisor's own kernel holds more than 16 MiB when the command starts. Builds that boot with the job cannot tell it apart.
  if (has_cgroup(got) && backend() != "gvisor-2022") {
    EXPECT_LT(got.number("peak_memory_bytes").value_or(0), 16 * kMiB) << got;
  }
}

// What is left in the buffers of sockets is the kernel's memory, and the sandbox's all the same.
TEST_F(AccountContract, CountsAndLimitsTheMemoryOfSockets) {
  if (differs_here()) return;
  for (const std::string kind : {"tcp", "udp"}) {
    const Outcome got = run(with_probes({"--memory", "64M"}), {probe("sockets"), kind, "150"});
    if (got.text("verdict") == "out_of_memory") continue;
    EXPECT_EQ(got.exit_code, 0) << kind << ": " << got;
    ASSERT_EQ(got.out.rfind("held ", 0), 0u) << kind << ": " << got;
    const int64_t held = std::atoll(got.out.c_str() + 5) * kMiB;
    EXPECT_GT(held, 0) << kind << ": " << got;
    EXPECT_LE(held, gvisor() ? 100 * kMiB : 72 * kMiB) << kind << ": " << got;
    const int64_t peak =
        std::max(got.number("peak_memory_bytes").value_or(0), got.number("peak_socket_memory_bytes").value_or(0));
    EXPECT_GE(peak, held / 2) << kind << ": " << got;
  }
}

}  // namespace
}  // namespace bailey::tests
