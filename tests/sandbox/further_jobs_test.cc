// Jobs that come to a sandbox which runs already, over the channel to init.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <sstream>

#include "base/clock.h"
#include "base/files.h"
#include "tests/sandbox/live_sandbox.h"

namespace bailey::tests {

using namespace dispatcher;

namespace {

using Kind = Ending::Kind;

JobRequest shell(std::string script) { return {.args = {"/bin/sh", "-c", std::move(script)}}; }

class FurtherJobs : public OnEachBackend {
 protected:
  void SetUp() override {
    OnEachBackend::SetUp();
    if (IsSkipped()) return;
    live_ = std::make_unique<LiveSandbox>(GetParam());
    live_->create(waiting_request(GetParam()));
    live_->await_ready();
  }
  void TearDown() override {
    live_.reset();
    OnEachBackend::TearDown();
  }
  LiveSandbox& live() { return *live_; }
  // One job from its begin to its end.
  std::unique_ptr<LiveTask> run(const JobRequest& wish) {
    auto task = live().exec(wish);
    EXPECT_TRUE(live().serve_until_ended(*task));
    return task;
  }
  void end() { EXPECT_EQ(live().finish().started_wall_ns, 0); }

 private:
  std::unique_ptr<LiveSandbox> live_;
};
// The gVisor of 2022 passes no descriptors to a sandbox, so that there is no channel.
INSTANTIATE_TEST_SUITE_P(Backends, FurtherJobs, testing::Values("native", "gvisor"), name_of_backend);

TEST_P(FurtherJobs, RunOneAfterTheOtherInOneSandbox) {
  const auto first = run(shell("echo kept > /tmp/file; echo out; echo err >&2; exit 7"));
  EXPECT_TRUE(first->task->has_begun());
  EXPECT_EQ(first->task->ending().kind, Kind::exited);
  EXPECT_EQ(first->task->ending().value, 7);
  EXPECT_EQ(first->said, "out\n");
  EXPECT_EQ(first->complained, "err\n");
  EXPECT_TRUE(first->task->account().wall_us && first->task->account().user_us && first->task->account().max_rss_bytes);
  const auto second = run({.args = {"/bin/sh", "-c", "cat /tmp/file; pwd; echo $VALUE; umask; ulimit -n; kill -TERM $$"},
                           .env = {"VALUE=x"},
                           .cwd = "/usr",
                           .umask = 077,
                           .rlimits = {{"RLIMIT_NOFILE", 33, 44}}});
  EXPECT_EQ(second->said, "kept\n/usr\nx\n0077\n33\n");
  EXPECT_EQ(second->task->ending().kind, Kind::signaled);
  EXPECT_EQ(second->task->ending().value, SIGTERM);
  end();
}

TEST_P(FurtherJobs, RunAtTheSameTime) {
  const auto waits = live().exec(shell("while ! [ -e /tmp/go ]; do sleep 0.02; done; echo seen"));
  ASSERT_TRUE(live().serve_until([&] { return waits->task->has_begun(); }));
  EXPECT_EQ(run(shell("echo x > /tmp/go; echo made"))->said, "made\n");
  ASSERT_TRUE(live().serve_until_ended(*waits));
  EXPECT_EQ(waits->said, "seen\n");
  end();
}

TEST_P(FurtherJobs, RunBesideTheSandboxsOwnAndEndWithIt) {
  live().start(*live().judge(shell("while ! [ -e /tmp/end ]; do sleep 0.02; done; echo own; exit 5")).job);
  const auto stays = live().exec(shell("echo begun; sleep 600"));
  ASSERT_TRUE(live().serve_until([&] { return stays->said == "begun\n"; }));
  const auto touches = live().exec(shell("touch /tmp/end"));  // the sandbox may end before it has
  ASSERT_TRUE(live().serve());
  const Record record = live().finish();
  EXPECT_EQ(record.exit_code, 5);
  EXPECT_EQ(record.captured_stdout.value_or("-"), "own\n");
  EXPECT_TRUE(stays->task->has_ended());
  EXPECT_EQ(stays->task->ending().kind, Kind::signaled);
  EXPECT_EQ(stays->task->ending().value, SIGKILL);
}

TEST_P(FurtherJobs, HaveAStdinOfTheirOwn) {
  std::string text;
  for (int i = 0; i < 40'000; ++i) text += std::to_string(i) + " some words\n";
  const auto task = live().exec({.args = {"/bin/cat"}});
  ::fcntl(task->in.get(), F_SETFL, O_NONBLOCK);
  size_t given = 0;
  ASSERT_TRUE(live().serve_until([&] {
    const ssize_t put = given < text.size() ? ::write(task->in.get(), text.data() + given, text.size() - given) : 0;
    if (put > 0) given += static_cast<size_t>(put);
    if (given == text.size()) task->in.reset();
    return task->task->has_ended();
  }));
  EXPECT_EQ(task->said.size(), text.size());
  EXPECT_TRUE(task->said == text);
  const auto leaves = live().exec({.args = {"/bin/true"}});  // the rest of its stdin is nobody's
  ASSERT_TRUE(files::write_fd(leaves->in.get(), std::string(60'000, 'x'), "stdin"));
  EXPECT_TRUE(live().serve_until_ended(*leaves));
  end();
}

TEST_P(FurtherJobs, WaitForTheirOwnReaderAlone) {
  const auto writer = live().exec(shell("head -c 3000000 /dev/zero; echo done >&2"));
  writer->reads = false;
  EXPECT_EQ(run(shell("sleep 0.3; echo other"))->said, "other\n");
  EXPECT_FALSE(writer->task->has_ended());
  writer->reads = true;
  ASSERT_TRUE(live().serve_until_ended(*writer));
  EXPECT_EQ(writer->said.size(), 3'000'000u);
  EXPECT_EQ(writer->complained, "done\n");
  end();
}

TEST_P(FurtherJobs, GetASigpipeWhenTheirReaderIsGone) {
  const auto task = live().exec(shell("while :; do echo line; done"));
  ASSERT_TRUE(live().serve_until([&] { return !task->said.empty(); }));
  task->out.reset();
  ASSERT_TRUE(live().serve_until_ended(*task));
  EXPECT_EQ(task->task->ending().kind, Kind::signaled);
  EXPECT_EQ(task->task->ending().value, SIGPIPE);
  end();
}

TEST_P(FurtherJobs, AreSignalledOneByOne) {
  const auto traps = live().exec(shell("trap 'echo caught; exit 3' TERM; echo set; while :; do sleep 0.02; done"));
  const auto other = live().exec(shell("read line; echo $line"));
  ASSERT_TRUE(live().serve_until([&] { return traps->said == "set\n" && other->task->has_begun(); }));
  EXPECT_TRUE(traps->task->signal(SIGTERM));
  ASSERT_TRUE(live().serve_until_ended(*traps));
  EXPECT_EQ(traps->said, "set\ncaught\n");
  EXPECT_EQ(traps->task->ending().value, 3);
  EXPECT_TRUE(traps->task->signal(SIGKILL)) << "too late is no error";
  ASSERT_TRUE(files::write_fd(other->in.get(), "still here\n", "stdin"));
  ASSERT_TRUE(live().serve_until_ended(*other));
  EXPECT_EQ(other->said, "still here\n");
  end();
}

TEST_P(FurtherJobs, AreKilledWhenNobodyWantsThemAnyMore) {
  auto task = live().exec(shell("echo $$; sleep 600"));
  ASSERT_TRUE(live().serve_until([&] { return !task->said.empty(); }));
  const std::string pid = task->said.substr(0, task->said.size() - 1);
  task->task.reset();
  EXPECT_EQ(run(shell("while kill -0 " + pid + " 2>/dev/null; do sleep 0.02; done; echo gone"))->said, "gone\n");
  end();
}

TEST_P(FurtherJobs, ThatCannotBeginHarmNoOther) {
  const auto other = live().exec(shell("read line; echo $line"));
  const auto missing = run({.args = {"/no/such/program"}});
  EXPECT_FALSE(missing->task->has_begun());
  EXPECT_EQ(missing->task->ending().kind, Kind::not_started);
  EXPECT_EQ(missing->task->ending().error.fault, Fault::not_found);
  EXPECT_NE(missing->task->ending().error.message.find("/no/such/program"), std::string::npos);
  EXPECT_EQ(run({.args = {"/etc/passwd"}})->task->ending().error.fault, Fault::not_executable);
  EXPECT_EQ(run({.args = {"/bin/true"}, .cwd = "/no/such/directory"})->task->ending().kind, Kind::not_started);
  ASSERT_TRUE(files::write_fd(other->in.get(), "fine\n", "stdin"));
  ASSERT_TRUE(live().serve_until_ended(*other));
  EXPECT_EQ(other->said, "fine\n");
  end();
}

TEST_P(FurtherJobs, AreNotHeldByADaemonThatKeepsTheirOutputOpen) {
  const auto task = run(shell("sleep 600 & echo done"));
  EXPECT_EQ(task->said, "done\n");
  EXPECT_EQ(task->task->ending().value, 0);
  end();
}

TEST_P(FurtherJobs, AreNotHeldByADaemonThatGoesOnWriting) {
  const auto task = run(shell("(while :; do echo more; done) & echo done; exit 4"));
  EXPECT_NE(task->said.find("done"), std::string::npos);
  EXPECT_EQ(task->task->ending().value, 4);
  end();
}

TEST_P(FurtherJobs, AreManyAtOnce) {
  std::vector<std::unique_ptr<LiveTask>> tasks;
  for (int i = 0; i < 100; ++i) tasks.push_back(live().exec(shell("read line; echo $line " + std::to_string(i))));
  ASSERT_TRUE(
      live().serve_until([&] { return std::ranges::all_of(tasks, [](const auto& one) { return one->task->has_begun(); }); }));
  for (const auto& task : tasks) ASSERT_TRUE(files::write_fd(task->in.get(), "job\n", "stdin"));
  for (size_t i = 0; i < tasks.size(); ++i) {
    ASSERT_TRUE(live().serve_until_ended(*tasks[i])) << i;
    EXPECT_EQ(tasks[i]->said, "job " + std::to_string(i) + "\n");
  }
  end();
}

TEST_P(FurtherJobs, HaveNothingOfTheChannel) {
  const auto task = run(shell("cd /proc/self/fd && echo *; ls -l /proc/self/fd 2>/dev/null | grep -c socket"));
  EXPECT_TRUE(task->said.starts_with("0 1 2 3\n")) << "3 is the directory that is read: " << task->said;
  EXPECT_TRUE(task->said.ends_with("\n0\n")) << task->said;
  end();
}

TEST_P(FurtherJobs, KeepTheirEndingThoughNobodyTookTheirOutput) {
  const std::string wait =
      "while ! [ -s /tmp/pid ]; do sleep 0.02; done; while kill -0 $(cat /tmp/pid) 2>/dev/null; do sleep 0.02; done";
  live().start(*live().judge(shell("while ! [ -e /tmp/end ]; do sleep 0.02; done; exit 5")).job);
  const auto unread = live().exec(shell("echo $$ > /tmp/pid; head -c 160000 /dev/zero; exit 3"));  // three pipes full
  unread->reads = false;
  const auto waits = live().exec(shell(wait + "; echo > /tmp/end"));
  ASSERT_TRUE(live().serve());
  EXPECT_EQ(live().finish().exit_code, 5);
  EXPECT_TRUE(unread->task->has_ended());
  EXPECT_EQ(unread->task->ending().kind, Kind::exited);
  EXPECT_EQ(unread->task->ending().value, 3);
}

// gVisor's init cannot be held from outside.
class FurtherJobsNatively : public OnEachBackend {};
INSTANTIATE_TEST_SUITE_P(Backends, FurtherJobsNatively, testing::Values("native"), name_of_backend);

// init is held until both have ended, and wait(2) names the sandbox's own first.
TEST_P(FurtherJobsNatively, KeepTheirEndingWhenTheSandboxsOwnIsToldOfFirst) {
  LiveSandbox live(GetParam());
  live.create(waiting_request(GetParam()));
  live.await_ready();
  live.start(*live.judge(shell("sleep 600")).job);
  const auto task = live.exec(shell("sleep 600"));
  ASSERT_TRUE(live.serve_until([&] { return task->task->has_begun(); }));
  const int init = live.sandbox().pid();
  ASSERT_EQ(::kill(init, SIGSTOP), 0);
  std::istringstream children(read_file("/proc/" + std::to_string(init) + "/task/" + std::to_string(init) + "/children"));
  std::vector<int> jobs;
  for (int child; children >> child;) jobs.push_back(child);
  ASSERT_EQ(jobs.size(), 2u);
  for (const int job : jobs) ASSERT_EQ(::kill(job, SIGTERM), 0);
  const auto has_ended = [](int job) {
    return read_file("/proc/" + std::to_string(job) + "/stat").find(") Z ") != std::string::npos;
  };
  const auto deadline = clock::Deadline::in_ms(120'000);
  while (!std::ranges::all_of(jobs, has_ended) && !deadline.passed()) ::usleep(2000);
  ASSERT_EQ(::kill(init, SIGCONT), 0);
  ASSERT_TRUE(live.serve());
  EXPECT_EQ(live.finish().outcome, Outcome::signaled);
  EXPECT_EQ(task->task->ending().kind, Kind::signaled);
  EXPECT_EQ(task->task->ending().value, SIGTERM);
}

class NoFurtherJobs : public OnEachBackend {};
INSTANTIATE_TEST_SUITE_P(Backends, NoFurtherJobs, testing::Values("gvisor-2022"), name_of_backend);

TEST_P(NoFurtherJobs, OnABuildThatPassesNoDescriptors) {
  LiveSandbox live(GetParam());
  live.create(waiting_request(GetParam()));
  live.await_ready();
  const auto refused = live.sandbox().exec(*live.judge({.args = {"/bin/true"}}).job, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::unavailable);
  EXPECT_NE(refused.error().remedy, "");
  EXPECT_EQ(live.finish().started_wall_ns, 0);
}

}  // namespace
}  // namespace bailey::tests
