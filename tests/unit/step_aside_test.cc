// Affinity of the test's own process, which is as before at the end of each.
#include "base/step_aside.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <vector>

#include "base/clock.h"

namespace bailey {
namespace {

constexpr int64_t kPatienceMs = 30'000;

cpu_set_t only(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(processor), &set);
  return set;
}

class StepAside : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::sched_getaffinity(0, sizeof mine_, &mine_), 0);
    for (int i = 0; i < CPU_SETSIZE; ++i)
      if (CPU_ISSET(static_cast<size_t>(i), &mine_)) (first_ < 0 ? first_ : second_) = i;
    if (second_ < 0) GTEST_SKIP() << "needs two processors";
    start_child();
  }
  void TearDown() override {
    ::sched_setaffinity(0, sizeof mine_, &mine_);
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }

  // One that waits for ever on the first processor.
  void start_child() {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    child_ = ::fork();
    ASSERT_GE(child_, 0);
    if (child_ == 0) {
      const cpu_set_t here = only(first_);
      if (::sched_setaffinity(0, sizeof here, &here) != 0 || ::write(ready[1], "r", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    char byte = 0;
    ::close(ready[1]);
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
  }

  // From `processor`, though allowed on all: where the kernel moved us in between, again.
  bool comes_to(bool expected, int processor) {
    const clock::Deadline deadline = clock::Deadline::in_ms(kPatienceMs);
    while (!deadline.passed()) {
      const cpu_set_t here = only(processor);
      EXPECT_EQ(::sched_setaffinity(0, sizeof here, &here), 0);
      EXPECT_EQ(::sched_setaffinity(0, sizeof mine_, &mine_), 0);
      if (step_aside(child_) == expected) return true;
    }
    return false;
  }

  bool has_its_mask() const {
    cpu_set_t now;
    return ::sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &mine_);
  }

  cpu_set_t mine_;
  int first_ = -1, second_ = -1;
  pid_t child_ = -1;
};

TEST_F(StepAside, GoesWhereTheOtherWaitsForItsProcessor) {
  EXPECT_TRUE(comes_to(true, first_));
  EXPECT_TRUE(has_its_mask());
}

TEST_F(StepAside, StaysWhereTheOtherHasOneOfItsOwn) {
  EXPECT_TRUE(comes_to(false, second_));
  EXPECT_TRUE(has_its_mask());
}

TEST_F(StepAside, StaysWhereItMayNotGo) {
  const cpu_set_t here = only(first_);
  ASSERT_EQ(::sched_setaffinity(0, sizeof here, &here), 0);
  EXPECT_FALSE(step_aside(child_));
}

TEST_F(StepAside, StaysWhereThereIsNoOther) { EXPECT_FALSE(step_aside(-1)); }

// One more that spins than there are processors.
TEST_F(StepAside, SeesThatNoProcessorIsIdle) {
  std::vector<pid_t> spinning;
  for (int i = 0; i <= CPU_COUNT(&mine_); ++i) {
    spinning.push_back(::fork());
    if (spinning.back() == 0) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (volatile int turns = 0; spinning.back() == 0;) turns = turns + 1;
  }
  const clock::Deadline deadline = clock::Deadline::in_ms(kPatienceMs);
  bool idle = true;
  while (idle && !deadline.passed()) idle = should_step_aside();
  EXPECT_FALSE(idle);
  for (const pid_t pid : spinning) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
}

}  // namespace
}  // namespace bailey
