#include "base/child.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace bailey {
namespace {

pid_t fork_one(int code) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(code);
  return child;
}

TEST(Child, EndsWithItsStatus) {
  EXPECT_EQ(describe_status(*await_child(fork_one(7))), "exit code 7");
  const pid_t child = ::fork();
  if (child == 0)
    for (;;) ::pause();
  ::kill(child, SIGTERM);
  EXPECT_EQ(describe_status(*await_child(child)), "signal 15");
}

// A number that is none, or one that was reaped: no other child is taken for it.
TEST(Child, IsNeverWhateverEndsNext) {
  const pid_t other = fork_one(3), reaped = fork_one(4);
  ASSERT_TRUE(await_child(reaped));
  siginfo_t ended{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(other), &ended, WEXITED | WNOWAIT), 0);  // and would be taken
  for (const pid_t none : {-1, 0, -::getpgrp(), -other, reaped}) {
    const auto waited = await_child(none);
    ASSERT_FALSE(waited) << none;
    EXPECT_EQ(waited.error().sys, ECHILD) << none;
    EXPECT_NE(waited.error().message.find(std::to_string(none)), std::string::npos);
  }
  EXPECT_EQ(describe_status(*await_child(other)), "exit code 3");
}

}  // namespace
}  // namespace bailey
