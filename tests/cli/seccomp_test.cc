// bailey seccomp show and check; trace is in tests/contract/seccomp_test.cc.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/require.h"
#include "tests/support/run_bailey.h"

namespace bailey::tests {
namespace {

Outcome seccomp(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "seccomp");
  RunOptions options;
  options.arguments = std::move(arguments);
  return run_bailey(std::move(options));
}

TEST(SeccompShow, PrintsTheProfileAndTheHashOfItsProgram) {
  const Outcome hash = seccomp({"show", "--hash"}), text = seccomp({"show"}), floor = seccomp({"show", "--floor"});
  EXPECT_EQ(hash.out.size(), 17u) << hash;
  EXPECT_NE(text.out.find(hash.out.substr(0, 16)), std::string::npos) << text;
  EXPECT_NE(text.out.find("\n[deny EPERM]\n"), std::string::npos) << text;
  EXPECT_NE(floor.out.find("\n[allow the rest]\n"), std::string::npos) << floor;
  EXPECT_EQ(floor.out.find(hash.out.substr(0, 16)), std::string::npos) << floor;
}

class SeccompCheck : public testing::Test {
 protected:
  Outcome check(const std::string& text) {
    directory_.write("profile.json", text);
    return seccomp({"check", directory_.file("profile.json")});
  }
  TempDir directory_;
};

TEST_F(SeccompCheck, TakesAProfileAndSaysWhatItComesTo) {
  const Outcome got = check(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["uname", "no_such_call"],
    "action": "SCMP_ACT_ERRNO"}]})");
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_NE(got.out.find("profile.json: good"), std::string::npos) << got;
  EXPECT_NE(got.out.find("allows more: "), std::string::npos) << got;
  EXPECT_NE(got.out.find("no_such_call"), std::string::npos) << got;
}

TEST_F(SeccompCheck, NamesEveryFaultWithLineAndPath) {
  const Outcome got = check(
      "{\n\"defaultAction\": \"SCMP_ACT_WHAT\",\n\"flags\": [\n\"A\"],\n\"syscalls\": [{\"names\": [\"read\"],\n"
      "\"action\": \"allow\"},\n{\"names\": [\"write\"], \"action\": \"SCMP_ACT_ALLOW\",\n\"args\": [\n"
      "{\"index\": 7, \"value\": 1, \"op\": \"SCMP_CMP_EQ\"}]}]}");
  EXPECT_EQ(got.exit_code, 125) << got;
  for (const char* fault : {"profile.json:2: $.defaultAction: ", "profile.json:4: $.flags[0]: ",
                            "profile.json:6: $.syscalls[0].action: ", "profile.json:9: $.syscalls[1].args[0]: "})
    EXPECT_NE(got.err.find(fault), std::string::npos) << fault << got;
  EXPECT_NE(got.err.find("remedy: "), std::string::npos) << got;
}

TEST_F(SeccompCheck, NamesFaultsOfForm) {
  const std::pair<const char*, const char*> kFaults[] = {
      {"{", "profile.json:1"},
      {"[]", "profile.json:1: $: "},
      {R"({"defaultAction": 3})", "$.defaultAction: expected a string"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "archMap": []})", "$.archMap: "},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "read", "action": "SCMP_ACT_ERRNO"}]})",
       "$.syscalls[0].name"},
      {R"({"defaultAction": "SCMP_ACT_ERRNO"})", "execve"},
  };
  for (const auto& [text, fault] : kFaults) {
    const Outcome got = check(text);
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_NE(got.err.find(fault), std::string::npos) << fault << got;
  }
  EXPECT_EQ(seccomp({"check", directory_.file("missing")}).exit_code, 125);
}

// The kernel allows one listener for all filters of a process.
TEST(SeccompLog, IsRefusedToWhomAnotherSupervisesAlready) {
  BAILEY_REQUIRE("root");
  RunOptions wish{.arguments = {"run", "--trust", "trusted", "--seccomp-log", "--", "/bin/true"}, .record = true};
  wish.before_exec = [] {
    sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const sock_fprog program = {1, allow};
    const long listener = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (listener < 0 || ::fcntl(static_cast<int>(listener), F_SETFD, 0) != 0) ::_exit(99);  // kept: closed, it does not count
  };
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_EQ(got.text("error.step"), "seccomp") << got;
  EXPECT_NE(got.err.find("under a seccomp listener"), std::string::npos) << got;
}

}  // namespace
}  // namespace bailey::tests
