// bailey as an ordinary user without a cgroup, a subordinate id or a runtime directory of its own: the least
// of hosts.
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "tests/support/leaks.h"
#include "tests/support/require.h"
#include "tests/support/run_bailey.h"

namespace bailey::tests {
namespace {

constexpr uid_t kUser = 47'110;  // nobody's

class OrdinaryUser : public testing::Test {
 protected:
  void SetUp() override {
    BAILEY_REQUIRE("root", "userns");
    // The build may lie where only root can go.
    std::filesystem::copy_file(bailey_binary(), directory_.file("bailey"));
    ASSERT_EQ(::chmod(directory_.file("bailey").c_str(), 0755), 0);
    ASSERT_EQ(::mkdir(directory_.file("run").c_str(), 0700), 0);
    ASSERT_EQ(::chown(directory_.file("run").c_str(), kUser, kUser), 0);
    const char* before = std::getenv("BAILEY");
    before_ = before ? before : "";
    ::setenv("BAILEY", directory_.file("bailey").c_str(), 1);
  }
  void TearDown() override { before_.empty() ? ::unsetenv("BAILEY") : ::setenv("BAILEY", before_.c_str(), 1); }

  Outcome run(std::vector<std::string> arguments) { return run_with_runtime(directory_.file("run"), std::move(arguments)); }

  Outcome run_with_runtime(const std::string& runtime, std::vector<std::string> arguments) {
    RunOptions wish{.arguments = std::move(arguments)};
    wish.environment = {"XDG_RUNTIME_DIR=" + runtime};
    wish.directory = "/";
    wish.before_exec = [] {
      if (::setgroups(0, nullptr) != 0 || ::setresgid(kUser, kUser, kUser) != 0 || ::setresuid(kUser, kUser, kUser) != 0)
        ::_exit(99);
    };
    return run_bailey(std::move(wish));
  }

  LeakCheck leaks_;
  TempDir directory_;
  std::string before_;
};

TEST_F(OrdinaryUser, RunsATrustedCommand) {
  const Outcome got = run({"run", "--trust", "trusted", "--", "sh", "-c", "id -u; echo err >&2; exit 3"});
  EXPECT_EQ(got.exit_code, 3) << got;
  EXPECT_EQ(got.out, "0\n") << got;
  EXPECT_NE(got.err.find("err\n"), std::string::npos) << got;
  for (const auto& entry : std::filesystem::directory_iterator(directory_.file("run") + "/bailey"))
    EXPECT_TRUE(entry.path().filename().string().starts_with('.')) << entry;  // what a backend keeps (dispatcher/state_store.h)
}

TEST_F(OrdinaryUser, HasProfilesOfItsOwnAndTheLogOfRefusals) {
  directory_.write("profile.json",
                   R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["uname"], "action": "SCMP_ACT_ERRNO"}]})",
                   0644);
  const Outcome got = run(
      {"run", "--trust", "trusted", "--seccomp", directory_.file("profile.json"), "--seccomp-log", "--json", "--", "uname"});
  EXPECT_EQ(got.exit_code, 1) << got;
  EXPECT_NE(got.out.find(R"("denied":[{"syscall":"uname","count":1}])"), std::string::npos) << got;
  const Outcome traced = run({"seccomp", "trace", "--trust", "trusted", "--", "uname"});
  EXPECT_EQ(traced.exit_code, 0) << traced;
  EXPECT_NE(traced.out.find("\"uname\""), std::string::npos) << traced;
}

TEST_F(OrdinaryUser, KeepsItsTimeLimit) {
  EXPECT_EQ(run({"run", "--trust", "trusted", "--timeout", "300ms", "--", "sleep", "1000"}).exit_code, 124);
}

TEST_F(OrdinaryUser, IsToldThatALimitCannotBeKept) {
  // No cgroup is delegated to this user anywhere.
  const Outcome got = run({"run", "--trust", "trusted", "--memory", "64M", "--", "/bin/echo", "STARTED"});
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_EQ(got.out, "") << got;
  EXPECT_NE(got.err.find("cgroup"), std::string::npos) << got;
  EXPECT_NE(got.err.find("remedy"), std::string::npos) << got;
}

// What another user can plant where the runtime directory goes, or put in its place later. Each with the control: without what
// was planted it works.
TEST_F(OrdinaryUser, RefusesARuntimeDirectoryThatAnotherHasAHandIn) {
  const std::string place = directory_.file("shared"), bailey = place + "/bailey", elsewhere = directory_.file("elsewhere");
  constexpr uid_t kAttacker = kUser + 1;
  const auto make = [](const std::string& path, uid_t uid, mode_t mode) {
    ASSERT_EQ(::mkdir(path.c_str(), 0700), 0) << path;
    ASSERT_EQ(::chown(path.c_str(), uid, uid), 0);
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
  };
  make(elsewhere, kUser, 0700);
  const struct {
    const char* what;
    std::function<void()> plant;
    const char* says;
  } cases[] = {
      {"a directory of theirs", [&] { make(place, 0, 01777), make(bailey, kAttacker, 0700); }, "EACCES"},
      {"one that all may enter", [&] { make(place, 0, 01777), make(bailey, kAttacker, 0777); }, "belongs to uid 47111"},
      {"a link to a directory of ours",
       [&] { make(place, 0, 01777), std::filesystem::create_directory_symlink(elsewhere, bailey); }, "bailey"},
      {"a dangling link", [&] { make(place, 0, 01777), std::filesystem::create_directory_symlink("/nowhere", bailey); },
       "bailey"},
      {"a file", [&] { make(place, 0, 01777), std::ofstream(bailey) << "x"; }, "bailey"},
      {"a FIFO", [&] { make(place, 0, 01777), ::mkfifo(bailey.c_str(), 0666); }, "bailey"},
      {"ours, open to others", [&] { make(place, 0, 01777), make(bailey, kUser, 0755); }, "others may enter"},
      {"ours, in a place that others may write", [&] { make(place, 0, 0777), make(bailey, kUser, 0700); }, "writable by"},
      {"ours, in a place of theirs", [&] { make(place, kAttacker, 01777), make(bailey, kUser, 0700); }, "belongs to uid 47111"},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.what);
    one.plant();
    const Outcome got = run_with_runtime(place, {"run", "--trust", "trusted", "--", "/bin/echo", "STARTED"});
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_EQ(got.out, "") << got;
    EXPECT_NE(got.err.find(place), std::string::npos) << got;
    EXPECT_NE(got.err.find(one.says), std::string::npos) << got;
    EXPECT_NE(got.err.find("remedy: "), std::string::npos) << got;
    EXPECT_TRUE(std::filesystem::is_empty(elsewhere));
    std::filesystem::remove_all(place);
  }
  make(place, 0, 01777);
  const Outcome control = run_with_runtime(place, {"run", "--trust", "trusted", "--", "/bin/echo", "STARTED"});
  EXPECT_EQ(control.out, "STARTED\n") << control;
}

// Without XDG_RUNTIME_DIR it is a name in /tmp that everybody can guess.
TEST_F(OrdinaryUser, RefusesWhatAnotherHasPlantedInTmp) {
  const std::string planted = "/tmp/bailey-" + std::to_string(kUser);
  ASSERT_FALSE(std::filesystem::exists(planted));
  ASSERT_EQ(::mkdir(planted.c_str(), 0777), 0);
  ASSERT_EQ(::chown(planted.c_str(), kUser + 1, kUser + 1), 0);
  for (const char* runtime : {"", "relative"}) {
    const Outcome got = run_with_runtime(runtime, {"run", "--trust", "trusted", "--", "/bin/echo", "STARTED"});
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_NE(got.err.find(planted), std::string::npos) << got;
    EXPECT_NE(got.err.find("XDG_RUNTIME_DIR"), std::string::npos) << got;
  }
  ASSERT_EQ(::rmdir(planted.c_str()), 0);
  const Outcome control = run_with_runtime("", {"run", "--trust", "trusted", "--", "/bin/echo", "STARTED"});
  EXPECT_EQ(control.out, "STARTED\n") << control;
  std::filesystem::remove_all(planted);
}

}  // namespace
}  // namespace bailey::tests
