// Landlock plans, and what a child that applied one can and cannot do. Every refusal has its control: the
// same act before.
#include "native/landlock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <cstddef>
#include <filesystem>
#include <functional>

#include "native/hardening.h"
#include "tests/support/require.h"
#include "tests/unit/native_child.h"

namespace bailey::native {
namespace {

using tests::in_child;

TEST(LandlockPlan, TakesWhatEachAbiKnows) {
  const auto plan = [](int abi) { return compile_landlock(abi, standard_landlock_places({"/tmp"})); };
  EXPECT_EQ(plan(0).why_off, "the kernel has no Landlock");
  EXPECT_NE(plan(1).why_off, "");
  EXPECT_EQ(plan(2).handled_fs, 0x3fffu);
  EXPECT_EQ(plan(3).handled_fs, 0x7fffu);
  EXPECT_EQ(plan(4).handled_fs, 0x7fffu);
  EXPECT_EQ(plan(5).handled_fs, 0xffffu);
  EXPECT_EQ(plan(5).scoped, 0u);
  EXPECT_EQ(plan(6).scoped, 3u);
  EXPECT_EQ(plan(99).handled_fs, 0xffffu) << "what a later ABI adds is not guessed";
  for (const int abi : {2, 3, 5, 6}) {
    for (const LandlockRule& rule : plan(abi).rules) {
      EXPECT_EQ(rule.rights & ~plan(abi).handled_fs, 0u) << rule.path << ": the kernel refuses a right that is not handled";
      EXPECT_EQ(rule.rights & (0x40u | 0x800u), 0u) << rule.path << ": device nodes are made nowhere";
    }
  }
}

// A tree with a read-only and a writable part, and the acts that the tests try in it.
class Landlock : public testing::Test {
 protected:
  void SetUp() override {
    if (landlock_abi() < 2) {
      BAILEY_REQUIRE("landlock");
    }
    char name[] = "/tmp/bailey-landlock-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    base_ = name;
    for (const char* directory : {"/ro", "/ro/gone_dir", "/rw", "/rw/a", "/rw/b"})
      std::filesystem::create_directory(base_ + directory);
    for (const char* file : {"/ro/file", "/ro/gone", "/rw/a/file", "/rw/a/moved", "/single"})
      close(open((base_ + file).c_str(), O_CREAT | O_RDWR, 0644));
    plan_ = compile_landlock(landlock_abi(), {{"/", LandlockAccess::read_only},
                                              {"/dev", LandlockAccess::devices},
                                              {"/proc", LandlockAccess::kernel},
                                              {base_ + "/rw", LandlockAccess::writable},
                                              {base_ + "/single", LandlockAccess::writable}});
  }
  void TearDown() override {
    if (!base_.empty()) std::filesystem::remove_all(base_);
  }

  std::string path(const char* below) const { return base_ + below; }

  // The errno of `act` in a child: without Landlock, then with it.
  int free(const std::function<long()>& act) const { return outcome(act, nullptr); }
  int confined(const std::function<long()>& act) const { return outcome(act, &plan_); }

  std::string base_;
  LandlockPlan plan_;

 private:
  static int outcome(const std::function<long()>& act, const LandlockPlan* plan) {
    const std::string report = in_child([&](int out) {
      if (plan != nullptr) {
        const LandlockFailure failure = set_no_new_privileges() == 0 ? apply_landlock(*plan) : LandlockFailure{-1, 0};
        if (failure.error != 0) return;
      }
      dprintf(out, "%d", act() >= 0 ? 0 : errno);
    });
    return report.empty() ? -1 : std::stoi(report);
  }
};

long open_file(const std::string& path, int flags) { return open(path.c_str(), flags | O_CLOEXEC, 0600); }

long bind_socket(const std::string& path) {
  sockaddr_un address = {AF_UNIX, {}};
  strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return bind(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), reinterpret_cast<sockaddr*>(&address), sizeof address);
}

TEST_F(Landlock, LetsEverythingBeReadAndExecuted) {
  EXPECT_EQ(confined([&] { return open_file(path("/ro/file"), O_RDONLY); }), 0);
  EXPECT_EQ(confined([&] { return open_file(path("/ro"), O_RDONLY | O_DIRECTORY); }), 0);
  EXPECT_EQ(confined([] { return open_file("/etc/passwd", O_RDONLY); }), 0);
  const std::string ran = in_child([&](int out) {
    if (set_no_new_privileges() != 0 || apply_landlock(plan_).error != 0) return;
    dup2(out, 1);
    execl("/bin/echo", "echo", "ran", nullptr);
  });
  EXPECT_EQ(ran, "ran\n");
}

TEST_F(Landlock, RefusesEveryChangeOutsideTheWritablePlaces) {
  const std::pair<const char*, std::function<long()>> acts[] = {
      {"write", [&] { return open_file(path("/ro/file"), O_WRONLY); }},
      {"create", [&] { return open_file(path("/ro/new"), O_WRONLY | O_CREAT); }},
      {"mkdir", [&] { return mkdir(path("/ro/dir").c_str(), 0700); }},
      {"symlink", [&] { return symlink("x", path("/ro/symlink").c_str()); }},
      {"mkfifo", [&] { return mkfifo(path("/ro/fifo").c_str(), 0600); }},
      {"bind", [&] { return bind_socket(path("/ro/socket")); }},
      {"rename", [&] { return rename(path("/ro/file").c_str(), path("/ro/file2").c_str()); }},
      {"unlink", [&] { return unlink(path("/ro/gone").c_str()); }},
      {"rmdir", [&] { return rmdir(path("/ro/gone_dir").c_str()); }},
  };
  for (const auto& [name, act] : acts) EXPECT_EQ(confined(act), EACCES) << name;
  if (landlock_abi() >= 3) {
    EXPECT_EQ(confined([&] { return truncate(path("/ro/file").c_str(), 0); }), EACCES);
  }
  for (const auto& [name, act] : acts) EXPECT_EQ(free(act), 0) << "control: " << name;
}

TEST_F(Landlock, LetsOrdinaryProgramsWorkInTheWritablePlaces) {
  const std::pair<const char*, std::function<long()>> acts[] = {
      {"create", [&] { return open_file(path("/rw/new"), O_RDWR | O_CREAT | O_TRUNC); }},
      {"truncate", [&] { return truncate(path("/rw/new").c_str(), 7); }},
      {"O_TMPFILE", [&] { return open_file(path("/rw"), O_TMPFILE | O_RDWR); }},
      {"mkdir", [&] { return mkdir(path("/rw/dir").c_str(), 0700); }},
      {"symlink", [&] { return symlink("x", path("/rw/symlink").c_str()); }},
      {"mkfifo", [&] { return mkfifo(path("/rw/fifo").c_str(), 0600); }},
      {"bind", [&] { return bind_socket(path("/rw/socket")); }},
      {"rename across directories", [&] { return rename(path("/rw/a/moved").c_str(), path("/rw/b/moved").c_str()); }},
      {"link across directories", [&] { return link(path("/rw/a/file").c_str(), path("/rw/b/link").c_str()); }},
      {"unlink", [&] { return unlink(path("/rw/b/link").c_str()); }},
      {"rmdir", [&] { return rmdir(path("/rw/dir").c_str()); }},
      {"write to a single file", [&] { return open_file(path("/single"), O_RDWR | O_TRUNC); }},
  };
  for (const auto& [name, act] : acts) EXPECT_EQ(confined(act), 0) << name;
}

TEST_F(Landlock, MakesDeviceNodesNowhere) {
  BAILEY_REQUIRE("root");
  const auto act = [&] { return mknod(path("/rw/null").c_str(), S_IFCHR | 0600, makedev(1, 3)); };
  EXPECT_EQ(confined(act), EACCES);
  EXPECT_EQ(free(act), 0);
}

TEST_F(Landlock, LetsDevicesAndTheKernelsFilesBeUsed) {
  EXPECT_EQ(confined([] { return open_file("/dev/null", O_WRONLY | O_CREAT | O_TRUNC); }), 0);
  EXPECT_EQ(confined([] {
              int number = 0;
              return ioctl(open("/dev/ptmx", O_RDWR | O_CLOEXEC), TIOCGPTN, &number);
            }),
            0);
  EXPECT_EQ(confined([] { return open_file("/proc/self/comm", O_WRONLY | O_TRUNC); }), 0);
  EXPECT_EQ(confined([] { return open_file("/proc/self/oom_score_adj", O_RDWR); }), 0);
}

TEST_F(Landlock, KeepsAbstractSocketsAndSignalsInside) {
  if (landlock_abi() < 6) GTEST_SKIP() << "needs Landlock ABI 6 (Linux 6.12)";
  // An address that the kernel draws: nobody else's test can hold it.
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {AF_UNIX, {}};
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)), 0);
  ASSERT_EQ(listen(listener, 4), 0);
  socklen_t length = sizeof address;
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), 0);
  const auto reach = [&] {
    return connect(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), reinterpret_cast<sockaddr*>(&address), length);
  };
  EXPECT_EQ(free(reach), 0);
  EXPECT_EQ(confined(reach), EPERM);
  close(listener);

  const pid_t outside = getpid();
  EXPECT_EQ(free([&] { return kill(outside, 0); }), 0);
  EXPECT_EQ(confined([&] { return kill(outside, 0); }), EPERM);
  EXPECT_EQ(confined([] {
              const pid_t child = fork();
              if (child == 0) _exit(pause());
              const int answer = kill(child, SIGKILL);
              waitpid(child, nullptr, 0);
              return answer;
            }),
            0);
}

TEST_F(Landlock, NamesTheRuleThatCouldNotBeAdded) {
  plan_.rules.push_back({path("/missing"), plan_.rules[0].rights});
  const std::string report = in_child([&](int out) {
    set_no_new_privileges();
    const LandlockFailure failure = apply_landlock(plan_);
    dprintf(out, "%d %d", failure.error == ENOENT, failure.rule);
  });
  EXPECT_EQ(report, "1 5");
}

TEST_F(Landlock, AppliesNothingWhenItIsOff) {
  const LandlockPlan off = compile_landlock(0, standard_landlock_places({}));
  const std::string report = in_child(
      [&](int out) { dprintf(out, "%d %d", apply_landlock(off).error, open(path("/ro/file").c_str(), O_WRONLY) >= 0); });
  EXPECT_EQ(report, "0 1");
}

}  // namespace
}  // namespace bailey::native
