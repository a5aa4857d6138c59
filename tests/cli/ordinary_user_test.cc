// bailey as an ordinary user without a cgroup, a subordinate id or a runtime directory of its own: the least
// of hosts.
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
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

  Outcome run(std::vector<std::string> arguments) {
    RunOptions wish{.arguments = std::move(arguments)};
    wish.environment = {"XDG_RUNTIME_DIR=" + directory_.file("run")};
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
  EXPECT_TRUE(std::filesystem::is_empty(directory_.file("run") + "/bailey"));
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

TEST_F(OrdinaryUser, RefusesARuntimeDirectoryOfAnother) {
  ASSERT_EQ(::mkdir((directory_.file("run") + "/bailey").c_str(), 0700), 0);  // root's
  const Outcome got = run({"run", "--trust", "trusted", "--", "/bin/echo", "STARTED"});
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_NE(got.err.find(directory_.file("run")), std::string::npos) << got;
}

}  // namespace
}  // namespace bailey::tests
