// Workloads that take all they can: each stays within its limits, ends with its sandbox, and leaves the host able to work. What
// the limits let through, and that the same program takes more when it may, is the control.
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/clock.h"
#include "tests/probes/probes.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

class GreedProbes : public Probes {
 protected:
  // The number of a probe's line "NAME: NUMBER ERRNO".
  static int64_t count(const Outcome& got, const std::string& name) {
    return std::atoll(verdict(parse_verdicts(got.out), name).c_str());
  }
  // The host forks and executes while the sandbox does its worst.
  static void expect_host_works() {
    for (int i = 0; i < 5; ++i) EXPECT_EQ(run_outside({"/bin/echo", "alive"}), "alive\n");
  }
};

TEST_F(GreedProbes, ForksOnlyAsManyAsItMay) {
  for (const char* most : {"60", "200"}) {
    RunOptions wish = options(with_probes({"--pids", most, "--timeout", "3s"}), {probe("greed"), "fork"});
    BaileyProcess process(std::move(wish));
    EXPECT_TRUE(process.wait_for_output("begun"));
    expect_host_works();
    const Outcome got = process.finish();
    // The sentry of 2022 needs threads of the host's for each process of the guest's, and ends when it gets no more.
    if (gvisor_2022()) continue;
    EXPECT_EQ(got.text("verdict"), "timed_out") << got;
    EXPECT_GT(got.number("pids_limit_hits").value_or(0) + (gvisor() ? 1 : 0), 0)
        << got;  // gVisor's limit is its own RLIMIT_NPROC
  }
}

// A zombie is a process: it counts, and all of them end with the sandbox.
TEST_F(GreedProbes, KeepsOnlyAsManyZombiesAsItMay) {
  const Outcome few = run(with_probes({"--pids", "40"}), {probe("greed"), "zombies"});
  EXPECT_EQ(few.exit_code, 0) << few;
  EXPECT_GT(count(few, "zombies"), 20) << few;
  // A zombie of gVisor's counts for its parent's wait only, not against RLIMIT_NPROC: its own kernel's memory holds them.
  EXPECT_TRUE(gvisor() || count(few, "zombies") < 40) << few;
  const Outcome more = run(with_probes({"--pids", "400"}), {probe("greed"), "zombies"});
  EXPECT_GT(count(more, "zombies"), 300) << more;
}

TEST_F(GreedProbes, TouchesOnlyAsMuchMemoryAsItMay) {
  RunOptions wish = options(with_probes({"--memory", "96M", "--timeout", "4s"}), {probe("greed"), "memory"});
  BaileyProcess process(std::move(wish));
  expect_host_works();
  const Outcome got = process.finish();
  // Native: the kernel kills one of its processes after the other; the parent sees the end of all of them, or is one. Under
  // gVisor they are one process for the host.
  EXPECT_NE(got.text("verdict"), "") << got;
  EXPECT_GT(got.number("oom_kills").value_or(0), 0) << got;
  EXPECT_LE(got.number("peak_memory_bytes").value_or(INT64_MAX), 160 << 20) << got;
}

TEST_F(GreedProbes, WritesOnlyAsManyBytesAndFilesAsItMay) {
  for (const char* place : {"/tmp", "/dev/shm", "/root"}) {
    const Outcome bytes = run(with_probes({"--tmpfs-size", "8M"}), {probe("greed"), "bytes", place});
    EXPECT_LE(count(bytes, "mebibytes"), 8) << place << bytes;
    EXPECT_GE(count(bytes, "mebibytes"), 6) << place << bytes;
    if (gvisor())
      continue;  // it refuses the flag: the sandbox's memory bounds its inodes, and CountsTheMemoryOfTmpfs shows that
    const Outcome files = run(with_probes({"--tmpfs-inodes", "500"}), {probe("greed"), "inodes", place});
    EXPECT_LE(count(files, "files"), 500) << place << files;
    EXPECT_GE(count(files, "files"), 400) << place << files;
  }
  if (gvisor()) return;
  // The small ones of the sandbox's own have limits that nobody asks for.
  const TempDir directory;
  const std::string secret = directory.write("secret", "secret");
  const std::pair<const char*, int> most[] = {{"/dev", 64}, {"/run", 256}};
  for (const auto& [place, inodes] : most) {
    const Outcome files = run(with_probes({"--secret", "db=" + secret}), {probe("greed"), "inodes", place});
    EXPECT_LE(count(files, "files"), inodes) << place << files;
  }
  const Outcome bytes = run(with_probes(), {probe("greed"), "bytes", "/run"});
  EXPECT_LE(count(bytes, "mebibytes"), 1) << bytes;
}

TEST_F(GreedProbes, OpensOnlyAsManyFilesAsItMay) {
  const Outcome few = run(with_probes({"--open-files", "100"}), {probe("greed"), "descriptors"});
  EXPECT_LT(count(few, "descriptors"), 100) << few;
  EXPECT_GE(count(few, "descriptors"), 90) << few;
  const Outcome usual = run(with_probes(), {probe("greed"), "descriptors"});
  EXPECT_LE(count(usual, "descriptors"), 1024) << usual;
  EXPECT_GT(count(usual, "descriptors"), 1000) << usual;
}

// Into a reader that takes all of it, and into one that takes nothing.
TEST_F(GreedProbes, FloodsNobody) {
  const Outcome got = run(with_probes({"--output-limit", "4M", "--timeout", "60s"}), {probe("greed"), "output"});
  EXPECT_EQ(got.text("verdict"), "output_limit") << got.text("verdict");
  EXPECT_EQ(got.number("stdout_bytes").value_or(0) + got.number("stderr_bytes").value_or(0), 4 << 20);
  Pipe nobody = std::move(*create_pipe());
  RunOptions wish = options(with_probes({"--timeout", "1s", "--output-limit", "1G"}), {probe("greed"), "output"});
  wish.pass = {{nobody.write.get(), 1}, {nobody.write.get(), 2}};
  const Outcome stuck = run_bailey(std::move(wish));
  EXPECT_EQ(stuck.text("verdict"), "timed_out") << stuck;
}

TEST_F(GreedProbes, BurnsOnlyAsMuchTimeAsItMay) {
  RunOptions wish = options(with_probes({"--cpus", "0.2", "--timeout", "2s"}), {probe("greed"), "cpu"});
  BaileyProcess process(std::move(wish));
  expect_host_works();
  const Outcome got = process.finish();
  EXPECT_EQ(got.text("verdict"), "timed_out") << got;
  // 8 busy processes would take all there is; a fifth of a CPU for the time it ran, and as much again for what is not counted.
  const int64_t used = got.number("user_us").value_or(INT64_MAX / 2) + got.number("system_us").value_or(0);
  EXPECT_LT(used, got.number("wall_us").value_or(0) * 2 / 5 + 400'000) << got;
}

// Sessions of their own, every signal ignored, all streams closed: they end with the command. The leak check looks for them.
TEST_F(GreedProbes, LeavesNoDaemonBehind) {
  const Outcome got = run(with_probes(), {probe("greed"), "daemons"});
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out, "begun: daemons\n");
}

// Not in a volume either. The limit cannot be raised again.
TEST_F(GreedProbes, DumpsNoCore) {
  const TempDir volume;
  chmod(volume.path().c_str(), 0777);
  const Outcome got = run(with_probes({"-v", volume.path() + ":/data", "-w", "/data"}), {probe("greed"), "crash"});
  EXPECT_EQ(got.exit_code, 128 + 11) << got;
  EXPECT_EQ(got.out, "limit: EPERM\n") << got;
  EXPECT_TRUE(fs::is_empty(volume.path()));
  // The control: where the limit is not 0 and the pattern is a plain name, it does.
  if (read_file("/proc/sys/kernel/core_pattern") != "core\n") return;
  const TempDir outside_place;
  const pid_t child = fork();
  if (child == 0) {
    if (chdir(outside_place.path().c_str()) != 0) _exit(99);
    execl(program_outside("greed").c_str(), "greed", "crash", nullptr);
    _exit(99);
  }
  waitpid(child, nullptr, 0);
  EXPECT_FALSE(fs::is_empty(outside_place.path()));
}

}  // namespace
}  // namespace bailey::tests
