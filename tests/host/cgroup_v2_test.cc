// Where our cgroup is made on cgroup v2: what may hand controllers down, and to whom. Needs a machine with
// nothing but v2 whose root cgroup is this process's own: scripts/test-v2 makes one.
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <sstream>

#include "host/cgroup/cgroup.h"
#include "tests/support/leaks.h"
#include "tests/support/require.h"

namespace bailey::host {
namespace {

constexpr uid_t kUser = 1000;
const std::string kTop = "/sys/fs/cgroup";

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

bool write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

std::string own_cgroup() {  // "/a/b"
  const std::string text = read_text("/proc/self/cgroup");
  const size_t begin = text.find("0::");
  return begin == std::string::npos ? "" : text.substr(begin + 3, text.find('\n', begin) - begin - 3);
}

bundle::Resources limits() {
  bundle::Resources r;
  r.memory.limit = 64 << 20;
  r.memory.swap = 64 << 20;
  r.pids_limit = 10;
  r.cpu.quota = 50'000;
  r.cpu.period = 100'000;
  return r;
}

// What a child in `cgroup` saw. Written by it, read by the test.
struct Seen {
  std::string path, own, fault, remedy;
  bool entered = false;
};

class CgroupOnV2 : public ::testing::Test {
 protected:
  void SetUp() override {
    BAILEY_REQUIRE("root", "cgroup");
    auto found = find_cgroups();
    ASSERT_TRUE(found);
    if (found->layout != CgroupLayout::v2 || found->unified->own_path != "/" ||
        ::access((kTop + "/cgroup.type").c_str(), F_OK) == 0)
      GTEST_SKIP() << "needs pure cgroup v2, and to be in its root (scripts/test-v2)";
    service_ = kTop + "/test.service";
    ASSERT_EQ(::mkdir(service_.c_str(), 0755), 0);
    ASSERT_TRUE(write_text(kTop + "/cgroup.subtree_control", "+memory +pids +cpu"));
  }
  void TearDown() override {
    if (neighbour_ > 0) {
      ::kill(neighbour_, SIGKILL);
      ::waitpid(neighbour_, nullptr, 0);
    }
    for (const char* below : {"/supervisor", "/bailey.launcher", ""}) ::rmdir((service_ + below).c_str());
    EXPECT_NE(::access(service_.c_str(), F_OK), 0) << "something was left in " << service_;
  }

  void delegate_to_root() { ASSERT_EQ(::setxattr(service_.c_str(), "trusted.delegate", "1", 1, 0), 0); }
  void delegate_to_user() {
    for (const char* file : {"", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"})
      ASSERT_EQ(::chown((service_ + file).c_str(), kUser, kUser), 0);
  }
  void add_neighbour() {
    neighbour_ = ::fork();
    if (neighbour_ == 0)
      for (;;) ::pause();
    ASSERT_TRUE(write_text(service_ + "/cgroup.procs", std::to_string(neighbour_)));
  }

  // In a child that lives in `cgroup`: make ours, start a process in it, tell what was seen.
  Seen create_in(const std::string& cgroup, uid_t uid = 0, const std::string& parent = {}) {
    int channel[2];
    EXPECT_EQ(::pipe2(channel, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const bool moved = write_text(cgroup + "/cgroup.procs", std::to_string(::getpid()));
      if (!moved || (uid && (::setgroups(0, nullptr) != 0 || ::setgid(uid) != 0 || ::setuid(uid) != 0))) ::_exit(1);
      std::string told;
      {
        auto mounts = find_cgroups();
        { auto earlier = Cgroup::create(*mounts, parent, "earlier", limits()); }  // may have moved this process
        mounts = find_cgroups();
        auto made = Cgroup::create(*mounts, parent, "v2", limits());
        const std::string path = made ? made->paths().front() : "";
        told = path + "\n" + own_cgroup() + "\n" + (made ? "" : made.error().message) + "\n" +
               (made ? "" : made.error().remedy) + "\n" + (made && enter(*made) ? "entered" : "") + "\n";
      }
      (void)!::write(channel[1], told.data(), told.size());
      ::_exit(0);
    }
    ::close(channel[1]);
    std::string text(4096, '\0');
    const ssize_t length = ::read(channel[0], text.data(), text.size());
    ::close(channel[0]);
    text.resize(length > 0 ? static_cast<size_t>(length) : 0);
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    std::istringstream lines(text);
    Seen seen;
    std::string entered;
    for (std::string* field : {&seen.path, &seen.own, &seen.fault, &seen.remedy, &entered}) std::getline(lines, *field);
    seen.entered = entered == "entered";
    if (!seen.path.empty()) {
      EXPECT_NE(::access(seen.path.c_str(), F_OK), 0) << "left behind";
    }
    return seen;
  }

  // The start of a native sandbox: straight into the cgroup.
  static bool enter(const Cgroup& cgroup) {
    clone_args args{};
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = SIGCHLD;
    args.cgroup = static_cast<uint64_t>(cgroup.clone_into_fd());
    const long child = ::syscall(SYS_clone3, &args, sizeof args);
    if (child == 0) ::_exit(own_cgroup().ends_with("/bailey-v2") ? 0 : 1);
    int status = -1;
    return child > 0 && ::waitpid(static_cast<pid_t>(child), &status, 0) == child && status == 0;
  }

  std::string service_;
  pid_t neighbour_ = -1;
};

TEST_F(CgroupOnV2, RootInAnUndelegatedServiceUsesBailey) {
  const Seen seen = create_in(service_);
  EXPECT_EQ(seen.path, kTop + "/bailey/bailey-v2") << seen.fault;
  EXPECT_EQ(seen.own, "/test.service") << "it must stay where it was";
  EXPECT_TRUE(seen.entered);
}

TEST_F(CgroupOnV2, DelegatedToOneProcessItMovesAside) {
  delegate_to_root();
  const Seen seen = create_in(service_);
  EXPECT_EQ(seen.path, service_ + "/bailey-v2") << seen.fault;
  EXPECT_EQ(seen.own, "/test.service/bailey.launcher");
  EXPECT_TRUE(seen.entered);
}

TEST_F(CgroupOnV2, DelegatedWithASupervisorBelowUsesTheServiceItself) {
  delegate_to_root();
  ASSERT_EQ(::mkdir((service_ + "/supervisor").c_str(), 0755), 0);
  const Seen seen = create_in(service_ + "/supervisor");
  EXPECT_EQ(seen.path, service_ + "/bailey-v2") << seen.fault;
  EXPECT_EQ(seen.own, "/test.service/supervisor");
  EXPECT_TRUE(seen.entered);
}

TEST_F(CgroupOnV2, OtherProcessesAreNeverMoved) {
  delegate_to_root();
  add_neighbour();
  const Seen seen = create_in(service_);
  EXPECT_EQ(seen.path, kTop + "/bailey/bailey-v2") << seen.fault;
  EXPECT_EQ(read_text(service_ + "/cgroup.procs"), std::to_string(neighbour_) + "\n");
}

TEST_F(CgroupOnV2, OrdinaryUserInAScopeOfItsOwn) {
  delegate_to_user();
  const Seen seen = create_in(service_, kUser);
  EXPECT_EQ(seen.path, service_ + "/bailey-v2") << seen.fault;
  EXPECT_TRUE(seen.entered);
}

TEST_F(CgroupOnV2, OrdinaryUserWithoutDelegationIsToldTheRemedy) {
  const Seen seen = create_in(service_, kUser);
  EXPECT_EQ(seen.path, "");
  EXPECT_NE(seen.remedy.find("Delegate=yes"), std::string::npos) << seen.fault;
}

TEST_F(CgroupOnV2, OrdinaryUserWithANeighbourIsToldTheRemedy) {
  delegate_to_user();
  add_neighbour();
  const Seen seen = create_in(service_, kUser);
  EXPECT_EQ(seen.path, "");
  EXPECT_FALSE(seen.remedy.empty()) << seen.fault;
}

TEST_F(CgroupOnV2, GivenParentWithProcessesIsRefused) {
  add_neighbour();
  const Seen seen = create_in(kTop, 0, "/test.service");
  EXPECT_EQ(seen.path, "");
  EXPECT_NE(seen.fault.find("test.service"), std::string::npos) << seen.fault;
  EXPECT_NE(seen.remedy.find("processes"), std::string::npos) << seen.remedy;
}

TEST_F(CgroupOnV2, GivenParentIsEnabledOnTheWay) {
  const Seen seen = create_in(kTop, 0, "/test.service/supervisor");
  EXPECT_EQ(seen.path, service_ + "/supervisor/bailey-v2") << seen.fault;
  EXPECT_TRUE(seen.entered);
}

}  // namespace
}  // namespace bailey::host
