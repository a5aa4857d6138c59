// Cgroup on the real kernel: below this process's own cgroup, root needed.
#include "host/cgroup/cgroup.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <sstream>

#include "tests/support/leaks.h"
#include "tests/support/require.h"

namespace bailey::host {
namespace {

std::string unique_id(const char* what) { return std::string("test-") + what + "-" + std::to_string(::getpid()); }

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  std::string all = text.str();
  while (!all.empty() && all.back() == '\n') all.pop_back();
  return all;
}

// fork, on v2 straight into the cgroup.
pid_t fork_into(const Cgroup& cgroup) {
  if (cgroup.clone_into_fd() < 0) return ::fork();
  clone_args args{};
  args.flags = CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = static_cast<uint64_t>(cgroup.clone_into_fd());
  return static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
}

// A child that enters the cgroup as a backend's child does, then runs `act` and exits with what it answers.
// Returns when the child is in.
pid_t run_in(const Cgroup& cgroup, const std::function<int()>& act) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return -1;
  const pid_t child = fork_into(cgroup);
  EXPECT_GE(child, 0) << errno_name(errno);
  if (child == 0) {
    const char byte = 'x';
    for (const Fd& fd : cgroup.join_fds())
      if (::write(fd.get(), "0", 1) != 1) ::_exit(120);
    if (::write(ends[1], &byte, 1) != 1) ::_exit(121);
    ::_exit(act());
  }
  ::close(ends[1]);
  char byte = 0;
  EXPECT_EQ(::read(ends[0], &byte, 1), 1) << "the child could not enter";
  ::close(ends[0]);
  return child;
}

int wait_status(pid_t child) {
  int status = -1;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  return status;
}

// Leaves this process's mount namespace untouched: the work is done in a child, which answers 0 when all went
// well.
int in_private_mounts(const std::function<int()>& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) ::_exit(100);
    ::_exit(act());
  }
  const int status = wait_status(child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

class CgroupOnKernel : public ::testing::Test {
 protected:
  void SetUp() override {
    BAILEY_REQUIRE("root", "cgroup");
    auto found = find_cgroups();
    ASSERT_TRUE(found) << found.error().message;
    mounts_ = std::move(*found);
    leaks_ = std::make_unique<tests::LeakCheck>();
  }
  Result<Cgroup> make(const char* what, const bundle::Resources& resources) {
    return Cgroup::create(mounts_, "", unique_id(what), resources);
  }
  std::string file(const Cgroup& cgroup, const std::string& name) {
    for (const std::string& path : cgroup.paths())
      if (::access((path + "/" + name).c_str(), F_OK) == 0) return read_text(path + "/" + name);
    return "(no " + name + ")";
  }
  bool v2() const { return mounts_.layout == CgroupLayout::v2; }

  CgroupMounts mounts_;
  std::unique_ptr<tests::LeakCheck> leaks_;
};

TEST_F(CgroupOnKernel, LimitsReadBackAndEverythingGoesAway) {
  bundle::Resources r;
  r.memory.limit = 64 << 20;
  r.memory.swap = 64 << 20;
  r.pids_limit = 17;
  r.cpu.quota = 50'000;
  r.cpu.period = 100'000;
  r.cpu.shares = 512;
  std::vector<std::string> paths;
  {
    auto cgroup = make("limits", r);
    ASSERT_TRUE(cgroup) << cgroup.error().message;
    paths = cgroup->paths();
    EXPECT_EQ(file(*cgroup, v2() ? "memory.max" : "memory.limit_in_bytes"), "67108864");
    EXPECT_EQ(file(*cgroup, "pids.max"), "17");
    EXPECT_EQ(file(*cgroup, v2() ? "cpu.max" : "cpu.cfs_quota_us"), v2() ? "50000 100000" : "50000");
    EXPECT_FALSE(paths.empty());
    EXPECT_EQ(Cgroup::create(mounts_, "", unique_id("limits"), r).error().sys, EEXIST);
    for (const std::string& path : paths)
      EXPECT_EQ(::access(path.c_str(), F_OK), 0) << "the loser of a clash must not remove " << path;
  }
  for (const std::string& path : paths) EXPECT_NE(::access(path.c_str(), F_OK), 0) << path;
}

TEST_F(CgroupOnKernel, CpuSetAloneGetsItsMemoryNodesFromTheParent) {
  if (!mounts_.find("cpuset")) GTEST_SKIP() << "needs the cpuset controller";
  bundle::Resources r;
  r.cpu.cpus = "0";
  auto cgroup = make("cpuset", r);
  ASSERT_TRUE(cgroup) << cgroup.error().message;
  EXPECT_EQ(file(*cgroup, "cpuset.cpus"), "0");
  const int status = wait_status(run_in(*cgroup, [] {
    cpu_set_t set;
    return ::sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1 ? 0 : 1;
  }));
  EXPECT_EQ(status, 0);
  r.cpu.cpus = "4000";
  auto absent = make("cpuset-absent", r);
  ASSERT_FALSE(absent);
  EXPECT_FALSE(absent.error().remedy.empty()) << absent.error().message;
}

TEST_F(CgroupOnKernel, MemoryLimitKillsAndIsCounted) {
  bundle::Resources r;
  r.memory.limit = 24 << 20;
  r.memory.swap = 24 << 20;
  auto cgroup = make("oom", r);
  ASSERT_TRUE(cgroup) << cgroup.error().message;
  const int oom = cgroup->oom_fd();
  EXPECT_GE(oom, 0);
  const int status = wait_status(run_in(*cgroup, [] {
    constexpr size_t kBytes = 200 << 20;
    char* memory = static_cast<char*>(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (size_t i = 0; i < kBytes; i += 4096) memory[i] = 1;
    return 0;
  }));
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  const CgroupUsage usage = cgroup->usage();
  EXPECT_GE(usage.oom_kills.value_or(0), 1u);
  EXPECT_GE(usage.peak_memory_bytes.value_or(0), 20u << 20);
  EXPECT_LE(usage.peak_memory_bytes.value_or(0), 24u << 20);
  pollfd poll{oom, POLLIN, 0};
  EXPECT_EQ(::poll(&poll, 1, 60'000), 1);
}

TEST_F(CgroupOnKernel, ForkBombStopsAtTheLimitAndDies) {
  bundle::Resources r;
  r.pids_limit = 30;
  auto cgroup = make("bomb", r);
  ASSERT_TRUE(cgroup) << cgroup.error().message;
  const pid_t bomb = run_in(*cgroup, [] {
    for (;;) (void)::fork();
    return 0;
  });
  const auto deadline = clock::Deadline::in_ms(60'000);
  while (cgroup->usage().pids_limit_hits.value_or(0) == 0 && !deadline.passed()) ::usleep(1000);
  EXPECT_GT(cgroup->usage().pids_limit_hits.value_or(0), 0u);
  auto inside = cgroup->processes();
  ASSERT_TRUE(inside);
  EXPECT_LE(inside->size(), 30u);
  auto killed = cgroup->kill(clock::Deadline::in_ms(60'000));
  EXPECT_TRUE(killed) << killed.error().message;
  wait_status(bomb);
}

TEST_F(CgroupOnKernel, CpuTimeIsCounted) {
  bundle::Resources r;
  r.pids_limit = 10;
  auto cgroup = make("cpu", r);
  ASSERT_TRUE(cgroup) << cgroup.error().message;
  const auto counted = [&] {
    const CgroupUsage usage = cgroup->usage();
    return usage.user_us.value_or(0) + usage.system_us.value_or(0);
  };
  EXPECT_LT(counted(), 100'000);
  const pid_t burner = run_in(*cgroup, [] {
    for (;;) ::clock();
    return 0;
  });
  // v1 samples at clock ticks, which on a busy machine see less than was used: a process that never stops is seen in the end.
  const auto deadline = clock::Deadline::in_ms(60'000);
  while (counted() < 100'000 && !deadline.passed()) ::usleep(10'000);
  EXPECT_GE(counted(), 100'000);
  EXPECT_EQ(::kill(burner, SIGKILL), 0);
  wait_status(burner);
}

TEST_F(CgroupOnKernel, KillsFiftyProcesses) {
  bundle::Resources r;
  r.pids_limit = 100;
  auto cgroup = make("fifty", r);
  ASSERT_TRUE(cgroup) << cgroup.error().message;
  const pid_t first = run_in(*cgroup, [] {
    for (int i = 0; i < 49; ++i)
      if (::fork() == 0) break;
    for (;;) ::pause();
    return 0;
  });
  const auto deadline = clock::Deadline::in_ms(60'000);
  while (cgroup->processes()->size() < 50 && !deadline.passed()) ::usleep(1000);
  EXPECT_EQ(cgroup->processes()->size(), 50u);
  auto killed = cgroup->kill(clock::Deadline::in_ms(60'000));
  EXPECT_TRUE(killed) << killed.error().message;
  EXPECT_TRUE(cgroup->processes()->empty());
  wait_status(first);
}

TEST_F(CgroupOnKernel, DestructorKillsWhatIsLeft) {
  pid_t child = -1;
  {
    bundle::Resources r;
    r.pids_limit = 10;
    auto cgroup = make("left", r);
    ASSERT_TRUE(cgroup) << cgroup.error().message;
    child = run_in(*cgroup, [] {
      for (;;) ::pause();
      return 0;
    });
  }
  const int status = wait_status(child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST_F(CgroupOnKernel, FrozenStandsStillAndFrozenCanBeKilled) {
  bundle::Resources r;
  r.pids_limit = 10;
  auto cgroup = make("frozen", r);
  ASSERT_TRUE(cgroup) << cgroup.error().message;
  auto* counter =
      static_cast<volatile uint64_t*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const pid_t child = run_in(*cgroup, [&] {
    for (;;) *counter = *counter + 1;
    return 0;
  });
  auto advances = [&] {
    const uint64_t before = *counter;
    const auto deadline = clock::Deadline::in_ms(60'000);
    while (*counter == before && !deadline.passed()) ::usleep(1000);
    return *counter != before;
  };
  EXPECT_TRUE(advances());
  auto frozen = cgroup->freeze();
  ASSERT_TRUE(frozen) << frozen.error().message;
  const uint64_t still = *counter;
  ::usleep(50'000);
  EXPECT_EQ(*counter, still);
  EXPECT_TRUE(cgroup->thaw());
  EXPECT_TRUE(advances());
  ASSERT_TRUE(cgroup->freeze());
  auto killed = cgroup->kill(clock::Deadline::in_ms(60'000));
  EXPECT_TRUE(killed) << killed.error().message;
  const int status = wait_status(child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  ::munmap(const_cast<uint64_t*>(counter), 4096);
}

TEST_F(CgroupOnKernel, UpdateRaisesLowersAndAddsLimits) {
  bundle::Resources r;
  r.memory.limit = 32 << 20;
  r.memory.swap = 32 << 20;
  auto cgroup = make("update", r);
  ASSERT_TRUE(cgroup) << cgroup.error().message;
  const pid_t child = run_in(*cgroup, [] {
    for (;;) ::pause();
    return 0;
  });
  const char* limit = v2() ? "memory.max" : "memory.limit_in_bytes";
  r.memory.limit = r.memory.swap = 128 << 20;  // v1 takes memory+swap first here
  auto raised = cgroup->update(r);
  EXPECT_TRUE(raised) << raised.error().message;
  EXPECT_EQ(file(*cgroup, limit), "134217728");
  r.memory.limit = r.memory.swap = 16 << 20;  // and memory first here
  r.pids_limit = 5;                           // v1: a directory that was not there
  auto lowered = cgroup->update(r);
  EXPECT_TRUE(lowered) << lowered.error().message;
  EXPECT_EQ(file(*cgroup, limit), "16777216");
  EXPECT_EQ(file(*cgroup, "pids.max"), "5");
  EXPECT_EQ(file(*cgroup, "pids.current"), "1") << "the running process must be in it";
  EXPECT_TRUE(cgroup->kill(clock::Deadline::in_ms(60'000)));
  wait_status(child);
}

TEST_F(CgroupOnKernel, ParentGivenByTheCallerIsMadeAndKept) {
  bundle::Resources r;
  r.pids_limit = 10;
  const std::string parent = "/bailey-" + unique_id("parent");
  std::string path;
  {
    auto cgroup = Cgroup::create(mounts_, parent + "/inner/", unique_id("child"), r);
    ASSERT_TRUE(cgroup) << cgroup.error().message;
    path = cgroup->paths().front();
    EXPECT_NE(path.find(parent + "/inner/bailey-"), std::string::npos) << path;
  }
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
  EXPECT_EQ(Cgroup::create(mounts_, "/../x", unique_id("child"), r).error().fault, Fault::bad_input);
  for (const auto& controller : mounts_.controllers) {
    ::rmdir((controller.directory + parent + "/inner").c_str());
    ::rmdir((controller.directory + parent).c_str());
  }
}

// gc may run in another cgroup than the sandbox's Bailey did: what is empty goes, what runs stays, because a
// living sandbox of another user may have that name.
TEST_F(CgroupOnKernel, CollectFindsThemElsewhereAndKillsNothingThere) {
  bundle::Resources r;
  r.pids_limit = 10;
  const std::string parent = "/bailey-" + unique_id("elsewhere"), id = unique_id("stray");
  const std::string directory = mounts_.find("pids")->directory + parent;
  {
    auto cgroup = Cgroup::create(mounts_, parent, id, r);
    ASSERT_TRUE(cgroup) << cgroup.error().message;
    const pid_t child = run_in(*cgroup, [] {
      for (;;) ::pause();
      return 0;
    });
    EXPECT_FALSE(collect_cgroups(mounts_, "", id)) << "it is in use";
    EXPECT_EQ(cgroup->processes()->size(), 1u) << "it must not be killed";
    ::kill(child, SIGKILL);
    wait_status(child);
    auto collected = collect_cgroups(mounts_, "", id);
    EXPECT_TRUE(collected) << collected.error().message;
    EXPECT_GE(collected.value_or(0), 1);
    EXPECT_NE(::access((directory + "/bailey-" + id).c_str(), F_OK), 0);
  }
  for (const auto& controller : mounts_.controllers) ::rmdir((controller.directory + parent).c_str());
}

TEST_F(CgroupOnKernel, CollectRemovesWhatADeadSandboxLeft) {
  bundle::Resources r;
  r.pids_limit = 10;
  r.memory.limit = 64 << 20;
  const std::string id = unique_id("dead");
  // A dispatcher that is killed: it makes the cgroup, starts a process in it and dies without destructors.
  int channel[2];
  ASSERT_EQ(::pipe2(channel, O_CLOEXEC), 0);
  const pid_t dispatcher = ::fork();
  if (dispatcher == 0) {
    auto cgroup = Cgroup::create(mounts_, "", id, r);
    const pid_t child = cgroup ? run_in(*cgroup,
                                        [] {
                                          for (;;) ::pause();
                                          return 0;
                                        })
                               : -1;
    (void)!::write(channel[1], &child, sizeof child);
    ::kill(::getpid(), SIGKILL);
  }
  pid_t orphan = -1;
  ASSERT_EQ(::read(channel[0], &orphan, sizeof orphan), static_cast<ssize_t>(sizeof orphan));
  ASSERT_GT(orphan, 0);
  wait_status(dispatcher);
  ::close(channel[0]);
  ::close(channel[1]);
  EXPECT_EQ(*collect_cgroups(mounts_, "", "never-was"), 0);
  auto collected = collect_cgroups(mounts_, "", id);
  ASSERT_TRUE(collected) << collected.error().message;
  EXPECT_GE(*collected, 1);
  wait_status(orphan);  // ours: LeakCheck makes this process the reaper
  EXPECT_EQ(*collect_cgroups(mounts_, "", id), 0);
}

// The pids hierarchy unmounted: below it a plain directory of the same name comes to light, which must not be
// taken for it.
TEST_F(CgroupOnKernel, MissingControllerIsRefused) {
  if (v2()) GTEST_SKIP() << "needs cgroup v1";
  const std::string directory = mounts_.find("pids")->directory;
  bundle::Resources r;
  r.pids_limit = 10;
  EXPECT_EQ(in_private_mounts([&] {
              if (::umount2(directory.c_str(), MNT_DETACH) != 0) return 101;
              auto now = find_cgroups();
              if (!now || now->find("pids")) return 1;
              auto refused = Cgroup::create(*now, "", unique_id("nopids"), r);
              if (refused) return 2;
              if (refused.error().fault != Fault::unavailable || refused.error().remedy.empty()) return 3;
              if (refused.error().message.find("pids") == std::string::npos) return 4;
              auto stale = Cgroup::create(mounts_, "", unique_id("stale"), r);  // what was found before the unmount
              if (stale) return 5;
              if (stale.error().fault != Fault::unavailable) return 6;
              if (::access((directory + "/bailey-" + unique_id("stale")).c_str(), F_OK) == 0) return 7;
              return 0;
            }),
            0);
}

TEST_F(CgroupOnKernel, PlainDirectoryIsNotTakenForAController) {
  bundle::Resources r;
  r.pids_limit = 10;
  EXPECT_EQ(in_private_mounts([&] {
              if (::mount("tmpfs", "/mnt", "tmpfs", 0, "size=64k") != 0) return 101;
              CgroupMounts fake = mounts_;
              for (auto& controller : fake.controllers)
                if (controller.name == "pids") controller.directory = "/mnt", controller.own_path = "/";
              if (fake.layout == CgroupLayout::v2) fake.unified->directory = "/mnt";
              auto refused = Cgroup::create(fake, "", unique_id("fake"), r);
              if (refused) return 1;
              if (refused.error().message.find("ordinary directory") == std::string::npos) return 2;
              return ::access(("/mnt/bailey-" + unique_id("fake")).c_str(), F_OK) == 0 ? 3 : 0;
            }),
            0);
}

TEST_F(CgroupOnKernel, ReadOnlyControllerIsRefused) {
  if (v2()) GTEST_SKIP() << "needs cgroup v1";
  const std::string directory = mounts_.find("pids")->directory;
  bundle::Resources r;
  r.pids_limit = 10;
  EXPECT_EQ(in_private_mounts([&] {
              if (::mount(nullptr, directory.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0) return 101;
              auto now = find_cgroups();
              if (!now) return 1;
              auto refused = Cgroup::create(*now, "", unique_id("ro"), r);
              if (refused) return 2;
              return refused.error().fault == Fault::unavailable && !refused.error().remedy.empty() ? 0 : 3;
            }),
            0);
}

TEST_F(CgroupOnKernel, FailureHalfwayUndoesEverything) {
  bundle::Resources r;
  r.memory.limit = 64 << 20;
  r.pids_limit = 10;
  r.cpu.quota = 10;  // the kernel wants 1000 us at least
  auto refused = make("undo", r);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::bad_input) << refused.error().message;
  EXPECT_NE(refused.error().message.find("CPU quota"), std::string::npos) << refused.error().message;
}

TEST_F(CgroupOnKernel, OrdinaryUserIsToldTheRemedy) {
  if (v2()) GTEST_SKIP() << "needs cgroup v1";
  bundle::Resources r;
  r.pids_limit = 10;
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(100);
    auto refused = Cgroup::create(mounts_, "", unique_id("user"), r);
    if (refused) ::_exit(1);
    if (refused.error().fault != Fault::unavailable || refused.error().remedy.empty()) ::_exit(2);
    auto none = Cgroup::create(mounts_, "", unique_id("user"), {});
    ::_exit(none && none->empty() ? 0 : 3);
  }
  const int status = wait_status(child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace bailey::host
