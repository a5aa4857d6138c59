// Sandboxes that are made before it is known what runs in them.
#include <gtest/gtest.h>

#include <csignal>

#include "base/clock.h"
#include "base/pidfd.h"
#include "tests/sandbox/live_sandbox.h"

namespace bailey::tests {

using namespace dispatcher;

namespace {

class LateJob : public OnEachBackend {};
INSTANTIATE_TEST_SUITE_P(Backends, LateJob, testing::Values("native", "gvisor", "gvisor-2022"), name_of_backend);

TEST_P(LateJob, IsWaitedForForFiveSecondsThatAreNoRunTime) {
  LiveSandbox live(GetParam());
  live.create(waiting_request(GetParam()));
  EXPECT_EQ(live.times_ready(), 0);
  live.await_ready();
  EXPECT_EQ(live.times_ready(), 1);
  EXPECT_EQ(live.sandbox().phase(), Sandbox::Phase::ready);
  EXPECT_FALSE(live.serve(5000)) << "it has ended while it waited";

  const auto decision = live.judge({.args = {"/bin/sh", "-c", "echo out; echo err >&2; pwd; exit 7"}, .cwd = "/tmp"});
  ASSERT_TRUE(decision.job);
  const int64_t sent = clock::monotonic_ns();
  live.start(*decision.job);
  ASSERT_TRUE(live.serve());
  const int64_t seen_us = (clock::monotonic_ns() - sent) / 1000;
  const Record record = live.finish();
  EXPECT_EQ(record.outcome, Outcome::exited) << (record.error ? record.error->message : "");
  EXPECT_EQ(record.exit_code, 7);
  EXPECT_EQ(record.captured_stdout.value_or("-"), "out\n/tmp\n");
  EXPECT_EQ(record.captured_stderr.value_or("-"), "err\n");
  EXPECT_LE(record.wall_us, seen_us);
  int64_t steps_ns = 0;
  for (const StepTime& step : record.steps) steps_ns += step.ns;
  EXPECT_EQ(steps_ns, record.setup_ns) << "the wait is none of them";
  EXPECT_LT(live.events().find("\"ready\""), live.events().find("\"started\""));
}

TEST_P(LateJob, IsRefusedByTheGuardsWhileItsSandboxGoesOnWaiting) {
  LiveSandbox live(GetParam());
  live.create(waiting_request(GetParam()));
  live.await_ready();
  const auto refused = live.judge({.args = {"/bin/true"}, .cwd = "/proc/self/fd/3"});
  EXPECT_FALSE(refused.job);
  EXPECT_NE(refusal(refused.verdicts).message.find("/proc/self/fd/3"), std::string::npos);
  EXPECT_FALSE(live.serve(50));
  live.start(*live.judge({.args = {"/bin/echo", "after"}}).job);
  ASSERT_TRUE(live.serve());
  EXPECT_EQ(live.finish().captured_stdout.value_or("-"), "after\n");
}

TEST_P(LateJob, HasATimeLimitAndAnOutputLimitOfItsOwn) {
  {
    LiveSandbox live(GetParam());
    live.create(waiting_request(GetParam()));
    live.await_ready();
    live.start(*live.judge({.args = {"/bin/sh", "-c", "echo begun; sleep 600"}, .wall_ms = 2000}).job);
    ASSERT_TRUE(live.serve());
    const Record record = live.finish();
    EXPECT_EQ(record.outcome, Outcome::timed_out);
    EXPECT_EQ(record.captured_stdout.value_or("-"), "begun\n");
    EXPECT_EQ(record.limits.wall_ms, 2000);
  }
  LiveSandbox live(GetParam());
  live.create(waiting_request(GetParam()));
  live.await_ready();
  live.start(*live.judge({.args = {"/bin/sh", "-c", "while :; do echo line; done"}, .output_bytes = 1000}).job);
  ASSERT_TRUE(live.serve());
  const Record record = live.finish();
  EXPECT_EQ(record.outcome, Outcome::output_limit);
  EXPECT_EQ(record.stdout_bytes, 1000u);
}

TEST_P(LateJob, ThatCannotBeExecutedIsToldAsOfARun) {
  LiveSandbox live(GetParam());
  live.create(waiting_request(GetParam()));
  live.await_ready();
  live.start(*live.judge({.args = {"/no/such/program"}}).job);
  ASSERT_TRUE(live.serve());
  const Record record = live.finish();
  EXPECT_EQ(exit_code(record), 127);
  ASSERT_TRUE(record.error);
  EXPECT_NE(record.error->message.find("/no/such/program"), std::string::npos);
}

TEST_P(LateJob, NeverComesWhereTheSandboxIsStoppedOrKilled) {
  {
    LiveSandbox live(GetParam());
    live.create(waiting_request(GetParam()));
    live.await_ready();
    live.sandbox().stop(Stop::signal);
    ASSERT_TRUE(live.serve());
    const Record record = live.finish();
    EXPECT_EQ(record.outcome, Outcome::signaled);
    EXPECT_EQ(record.started_wall_ns, 0);
    EXPECT_EQ(record.wall_us, 0);
  }
  LiveSandbox live(GetParam());
  live.create(waiting_request(GetParam()));
  live.await_ready();
  ASSERT_EQ(::kill(live.sandbox().pid(), SIGKILL), 0);
  ASSERT_TRUE(live.serve());
  const Record record = live.finish();
  EXPECT_EQ(record.outcome, Outcome::setup_failed);
  ASSERT_TRUE(record.error);
  EXPECT_NE(record.error->message.find("waited for its job"), std::string::npos);
}

TEST_P(LateJob, IsNeededByNoSandboxThatIsReleasedBefore) {
  LiveSandbox never_ready(GetParam()), never_started(GetParam());
  never_ready.create(waiting_request(GetParam()));
  never_started.create(waiting_request(GetParam()));
  never_started.await_ready();
  EXPECT_EQ(never_ready.finish().started_wall_ns, 0);
  EXPECT_EQ(never_started.finish().started_wall_ns, 0);
}  // the leak check is the test

// Init has the workload's capabilities, and so cannot kill another user's process. gVisor refuses added capabilities.
class LateJobNatively : public OnEachBackend {};
INSTANTIATE_TEST_SUITE_P(Backends, LateJobNatively, testing::Values("native"), name_of_backend);

TEST_P(LateJobNatively, LeavesAProcessBehindThatInitMayNotKill) {
  Request request = waiting_request(GetParam());
  const std::vector<std::string> names = {"CAP_SETUID"};
  auto& process = request.config.process.emplace();
  process.capabilities = {.bounding = names, .effective = names, .inheritable = {}, .permitted = names, .ambient = {}};
  LiveSandbox live(GetParam());
  live.create(std::move(request));
  live.await_ready();
  live.start(*live.judge({.args = {"/bin/sh", "-c",
                                   "setpriv --reuid=1000 --keep-groups /bin/sh -c '/bin/id -u > /tmp/user; sleep 600' & "
                                   "while ! [ -s /tmp/user ]; do sleep 0.02; done; /bin/cat /tmp/user; exit 6"}})
                  .job);
  EXPECT_TRUE(live.serve());
  const Record record = live.finish();
  EXPECT_EQ(record.exit_code, 6);
  EXPECT_EQ(record.captured_stdout.value_or("-"), "1000\n");
}

// As the OCI specification has it: no init of ours is there.
class JobAsPid1 : public OnEachBackend {
 protected:
  static Request request() {
    Request request = waiting_request(GetParam());
    request.as_pid_1 = true;
    return request;
  }
  static Record run(const JobRequest& wish) {
    LiveSandbox live(GetParam());
    live.create(request());
    live.await_ready();
    live.start(*live.judge(wish).job);
    EXPECT_TRUE(live.serve());
    return live.finish();
  }
};
INSTANTIATE_TEST_SUITE_P(Backends, JobAsPid1, testing::Values("native", "gvisor", "gvisor-2022"), name_of_backend);

TEST_P(JobAsPid1, TakesThePlaceOfInit) {
  const Record record = run(
      {.args = {"/bin/sh", "-c", "echo $$; tr '\\0' ' ' < /proc/1/cmdline; id -u; pwd; (cd /proc/self/fd && echo *); exit 9"},
       .cwd = "/usr",
       .umask = 027,
       .rlimits = {{"RLIMIT_NOFILE", 99, 99}}});
  EXPECT_EQ(record.outcome, Outcome::exited) << (record.error ? record.error->message : "");
  EXPECT_EQ(record.exit_code, 9);
  const std::string out = record.captured_stdout.value_or("-");
  EXPECT_TRUE(out.starts_with("1\n/bin/sh -c ")) << out;
  EXPECT_TRUE(out.ends_with("0\n/usr\n0 1 2 3\n")) << "3 is the directory that is read: " << out;
}

TEST_P(JobAsPid1, IsTheLastToEnd) {
  const Record record = run({.args = {"/bin/sh", "-c", "sleep 600 & sleep 600 & exit 0"}});
  EXPECT_EQ(record.outcome, Outcome::exited);
  EXPECT_EQ(exit_code(run({.args = {"/bin/sh", "-c", "exit 143"}})), 143);
}

TEST_P(JobAsPid1, GetsItsSignalsAndIsStopped) {
  LiveSandbox live(GetParam());
  live.create(request());
  live.await_ready();
  live.start(
      *live.judge({.args = {"/bin/sh", "-c", "trap 'echo caught; exit 3' TERM; echo set; while :; do sleep 0.05; done"}}).job);
  while (live.captured() == 0 && !live.sandbox().is_settled()) live.serve(20);
  live.sandbox().signal(SIGTERM);
  ASSERT_TRUE(live.serve());
  const Record record = live.finish();
  EXPECT_EQ(record.captured_stdout.value_or("-"), "set\ncaught\n");
  EXPECT_EQ(exit_code(record), 3);
}

TEST_P(JobAsPid1, ThatCannotBeExecutedIsToldAsOfARun) {
  EXPECT_EQ(exit_code(run({.args = {"/no/such/program"}})), 127);
  EXPECT_EQ(exit_code(run({.args = {"/etc/passwd"}})), 126);
  const Record record = run({.args = {"/bin/true"}, .cwd = "/no/such/directory"});
  EXPECT_EQ(record.outcome, Outcome::setup_failed);
  ASSERT_TRUE(record.error);
  EXPECT_NE(record.error->message.find("/no/such/directory"), std::string::npos) << record.error->message;
}

TEST_P(JobAsPid1, HasATimeLimit) {
  const Record record = run({.args = {"/bin/sleep", "600"}, .wall_ms = 1000});
  EXPECT_EQ(record.outcome, Outcome::timed_out);
}

}  // namespace
}  // namespace bailey::tests
