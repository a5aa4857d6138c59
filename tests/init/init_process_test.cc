// What the init program does with a job, in real namespaces.
#include <gtest/gtest.h>
#include <signal.h>

#include "init/channel.h"
#include "init_sandbox.h"
#include "tests/support/require.h"

namespace bailey::tests {

using init::ReportKind;
using init::Step;

class InitProcess : public testing::TestWithParam<Transport> {
 protected:
  void SetUp() override { BAILEY_REQUIRE("userns"); }
};

TEST_F(InitProcess, PassesTheExitCodeOn) {
  for (int code : {0, 1, 7, 125, 255}) {
    const InitOutcome got = run_init(shell("exit " + std::to_string(code)));
    ASSERT_TRUE(got.find(ReportKind::started));
    ASSERT_TRUE(got.find(ReportKind::exited));
    EXPECT_EQ(got.find(ReportKind::exited)->value, code);
    EXPECT_EQ(got.exit_code, code);
  }
}

TEST_F(InitProcess, ReportsTheSignalThatEndedTheWorkload) {
  for (int number : {SIGKILL, SIGTERM, SIGSEGV, SIGHUP}) {
    const InitOutcome got = run_init(shell("kill -" + std::to_string(number) + " $$"));
    ASSERT_TRUE(got.find(ReportKind::signaled));
    EXPECT_EQ(got.find(ReportKind::signaled)->value, number);
    EXPECT_EQ(got.exit_code, 128 + number);
  }
}

TEST_F(InitProcess, SearchesPathAndSaysWhatIsMissing) {
  EXPECT_EQ(run_init(process_of({"true"})).exit_code, 0);
  const InitOutcome got = run_init(process_of({"no-such-program"}));
  ASSERT_TRUE(got.find(ReportKind::failed));
  EXPECT_EQ(got.find(ReportKind::failed)->value, ENOENT);
  EXPECT_EQ(got.find(ReportKind::failed)->step, Step::exec);
  EXPECT_EQ(got.exit_code, init::kExitFailed);
}

}  // namespace bailey::tests
