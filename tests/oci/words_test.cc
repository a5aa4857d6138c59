// Command lines, as clients write them.
#include <gtest/gtest.h>

#include <csignal>

#include "oci/arguments.h"
#include "oci/oci.h"
#include "oci/signals.h"

namespace bailey::oci {
namespace {

Result<Call> parse(std::vector<std::string> words) { return parse_call(words); }

TEST(OciArguments, TakeFlagsOfTheRuntimeBeforeAndBehindTheCommand) {
  for (const auto& words : {std::vector<std::string>{"--root", "/r", "--log=/l", "--log-format", "json", "start", "c"},
                            std::vector<std::string>{"start", "--root=/r", "--log", "/l", "--log-format=json", "c"}}) {
    const auto call = parse(words);
    ASSERT_TRUE(call) << call.error().message;
    EXPECT_EQ(call->command, "start");
    EXPECT_EQ(call->id, "c");
    EXPECT_EQ(call->root, "/r");
    EXPECT_EQ(call->log, "/l");
    EXPECT_EQ(call->log_format, "json");
  }
}

TEST(OciArguments, TakeWhatPodmanAndContainerdSay) {
  EXPECT_TRUE(parse(
      {"--log-format=json", "--log", "/b/oci-log", "create", "--bundle", "/b", "--pid-file", "/p", "--no-new-keyring", "c"}));
  EXPECT_TRUE(
      parse({"--root", "/r", "--log", "/l", "--log-format", "json", "create", "--bundle", "/b", "--pid-file", "/p", "c"}));
  const auto kill = parse({"kill", "--all", "c", "9"});
  ASSERT_TRUE(kill);
  EXPECT_TRUE(kill->all);
  EXPECT_EQ(kill->words, std::vector<std::string>{"9"});
  const auto exec = parse({"exec", "--pid-file", "/p", "--process", "/f", "--detach", "c"});
  ASSERT_TRUE(exec);
  EXPECT_TRUE(exec->detach);
}

TEST(OciArguments, LeaveTheCommandOfExecAlone) {
  const auto call = parse({"exec", "-t", "c", "ls", "-l", "--all"});
  ASSERT_TRUE(call);
  EXPECT_TRUE(call->tty);
  EXPECT_EQ(call->words, (std::vector<std::string>{"ls", "-l", "--all"}));
}

TEST(OciArguments, RefuseWhatTheyDoNotKnow) {
  EXPECT_FALSE(parse({}));
  EXPECT_FALSE(parse({"explode", "c"}));
  EXPECT_FALSE(parse({"start", "--explode", "c"}));
  EXPECT_FALSE(parse({"start"}));
  EXPECT_FALSE(parse({"create", "--bundle"}));
}

TEST(OciSignals, HaveNumbersAndNames) {
  EXPECT_EQ(parse_signal("15").value(), SIGTERM);
  EXPECT_EQ(parse_signal("TERM").value(), SIGTERM);
  EXPECT_EQ(parse_signal("SIGTERM").value(), SIGTERM);
  EXPECT_EQ(parse_signal("sigterm").value(), SIGTERM);
  EXPECT_EQ(parse_signal("RTMIN+3").value(), SIGRTMIN + 3);
  EXPECT_EQ(parse_signal("SIGRTMAX-1").value(), SIGRTMAX - 1);
  for (const char* wrong : {"", "0", "65", "TERMINATE", "-9", "RTMIN+99"}) EXPECT_FALSE(parse_signal(wrong)) << wrong;
}

TEST(OciNames, AreThoseThatClientsLookFor) {
  for (const char* name : {"bailey-oci", "/usr/bin/runc", "crun", "./runsc"}) EXPECT_TRUE(is_runtime_name(name)) << name;
  for (const char* name : {"bailey", "/usr/bin/bailey", ""}) EXPECT_FALSE(is_runtime_name(name)) << name;
}

}  // namespace
}  // namespace bailey::oci
