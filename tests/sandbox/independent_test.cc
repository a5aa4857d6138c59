// Sandboxes that outlive the process that made them, and are found again by their ids.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/files.h"
#include "dispatcher/attached.h"
#include "dispatcher/garbage.h"
#include "tests/sandbox/live_sandbox.h"

namespace bailey::tests {

using namespace dispatcher;

namespace {

constexpr int64_t kPatienceMs = 120'000;

class Independent : public OnEachBackend {
 protected:
  enum class Leaving { properly, killed };

  static Request request() {
    Request request = waiting_request(GetParam());
    request.id = "left-" + std::to_string(::getpid());
    request.lifetime = Lifetime::independent;
    return request;
  }
  // Another process makes one, which writes to output(), starts its job, and is gone.
  void make(const std::string& script, Request wanted = request(), Leaving leaving = Leaving::properly) {
    const pid_t creator = ::fork();
    if (creator == 0) {
      LiveSandbox live(GetParam(), directory_.path());  // its own directory would stay behind
      const Fd file(::open(output().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
      StreamOptions streams;
      streams.output = StreamOptions::Output::hand_over;
      streams.out = streams.err = file.get();
      live.create(std::move(wanted), streams);
      live.await_ready();
      live.start(*live.judge({.args = {"/bin/sh", "-c", script}}).job);
      if (leaving == Leaving::killed) ::kill(::getpid(), SIGKILL);
      const bool left = live.sandbox().leave().has_value();
      ::_exit(left && !testing::Test::HasFailure() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(creator, &status, 0), creator);
    ASSERT_EQ(status, leaving == Leaving::killed ? SIGKILL : 0);
  }
  std::string output() const { return directory_.file("output"); }
  bool await_output(const std::string& text) const {
    const auto deadline = clock::Deadline::in_ms(kPatienceMs);
    while (read_file(output()).find(text) == std::string::npos)
      if (deadline.passed()) return false;
      else ::usleep(5000);
    return true;
  }
  Result<Attached> attach(const std::string& id = request().id) {
    return Attached::open(store_, id, [](const std::string& name) -> Result<std::unique_ptr<Backend>> {
      EXPECT_EQ(name, std::string_view(GetParam()) == "native" ? "native" : "gvisor");
      return make_real_backend(GetParam());
    });
  }
  // Others' leftovers may be collected as well.
  bool sweep_removes_it() {
    return std::ranges::count(collect_garbage(store_, "").value().sandboxes.removed, request().id) == 1;
  }
  bool has_channel() const { return std::string_view(GetParam()) != "gvisor-2022"; }

  TempDir directory_;
  StateStore store_ = StateStore::open().value();
};
INSTANTIATE_TEST_SUITE_P(Backends, Independent, testing::Values("native", "gvisor", "gvisor-2022"), name_of_backend);

constexpr const char* kTraps = "trap 'echo caught; exit 3' TERM; echo set; while :; do sleep 0.02; done";

TEST_P(Independent, IsAttachedSignalledWaitedForAndRemovedByAnotherProcess) {
  make(kTraps);
  ASSERT_TRUE(await_output("set"));
  auto attached = attach();
  ASSERT_TRUE(attached) << attached.error().message;
  EXPECT_TRUE(attached->lives());
  EXPECT_EQ(attached->record().status, Status::running);
  EXPECT_NE(attached->record().owner.pid, ::getpid());
  EXPECT_FALSE(attached->wait(clock::Deadline::in_ms(0)).value());
  ASSERT_TRUE(attached->signal(SIGTERM));
  const auto ending = attached->wait(clock::Deadline::in_ms(kPatienceMs));
  if (has_channel()) {
    ASSERT_TRUE(ending && *ending) << ending.error().message;
    EXPECT_EQ((*ending)->kind, Ending::Kind::exited);
    EXPECT_EQ((*ending)->value, 3);
  } else {
    EXPECT_FALSE(ending) << "its parent alone was told";
  }
  EXPECT_EQ(read_file(output()), "set\ncaught\n");
  EXPECT_FALSE(attached->lives());
  ASSERT_TRUE(attached->remove(""));
  EXPECT_FALSE(attach()) << "there is no such one";
}

TEST_P(Independent, GoesOnWhenItsCreatorIsKilled) {
  make(kTraps, request(), Leaving::killed);
  ASSERT_TRUE(await_output("set"));
  auto attached = attach();
  ASSERT_TRUE(attached) << attached.error().message;
  EXPECT_TRUE(attached->lives());
  ASSERT_TRUE(attached->remove("")) << "which ends it";
}

TEST_P(Independent, HasOneOwnerAtATimeAndGoesOnWithoutAny) {
  make(kTraps);
  ASSERT_TRUE(await_output("set"));
  for (int i = 0; i < 2; ++i) {
    const auto first = attach();
    ASSERT_TRUE(first) << first.error().message;
    const auto second = attach();
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("belongs to another process"), std::string::npos) << second.error().message;
  }
  auto last = attach();
  ASSERT_TRUE(last && last->lives());
  ASSERT_TRUE(last->remove(""));
}

TEST_P(Independent, IsNoGarbageUntilItHasEnded) {
  make(kTraps);
  ASSERT_TRUE(await_output("set"));
  EXPECT_FALSE(sweep_removes_it());
  const auto living = store_.living().value();
  EXPECT_EQ(std::ranges::count(living, request().id), 1);
  EXPECT_FALSE(store_.create(request().id, [](const std::string&) { return Result<>(); })) << "its name is taken";
  const ProcessId first = store_.read(request().id).value().sandbox;
  ASSERT_EQ(::kill(first.pid, SIGKILL), 0);
  const Fd pidfd = first.open().value_or(Fd());
  ASSERT_TRUE(await_end(pidfd.get(), clock::Deadline::in_ms(kPatienceMs)));
  EXPECT_TRUE(sweep_removes_it());
}

TEST_P(Independent, CanHaveTheWorkloadAsPid1) {
  Request wanted = request();
  wanted.as_pid_1 = true;
  make(kTraps, wanted);
  ASSERT_TRUE(await_output("set"));
  auto attached = attach();
  ASSERT_TRUE(attached) << attached.error().message;
  ASSERT_TRUE(attached->signal(SIGTERM));
  EXPECT_FALSE(attached->wait(clock::Deadline::in_ms(kPatienceMs))) << "its parent alone was told";
  EXPECT_EQ(read_file(output()), "set\ncaught\n");
  ASSERT_TRUE(attached->remove(""));
}

TEST_P(Independent, WaitsForItsJobWithoutItsCreator) {
  const Request wanted = request();
  const pid_t creator = ::fork();
  if (creator == 0) {
    LiveSandbox live(GetParam());
    StreamOptions streams;
    streams.output = StreamOptions::Output::hand_over;
    live.create(wanted, streams);
    live.await_ready();
    ::_exit(live.sandbox().leave() && !testing::Test::HasFailure() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(creator, &status, 0), creator);
  ASSERT_EQ(status, 0);
  auto attached = attach();
  ASSERT_TRUE(attached) << attached.error().message;
  EXPECT_EQ(attached->record().status, Status::created);
  EXPECT_FALSE(attached->wait(clock::Deadline::in_ms(300)).value()) << "it has ended";
  ASSERT_TRUE(attached->remove(""));
}

TEST_P(Independent, RunsNoFurtherJobWhenItIsLeft) {
  LiveSandbox live(GetParam());
  live.create(request(), {.output = StreamOptions::Output::hand_over});
  live.await_ready();
  if (!has_channel()) return (void)live.finish();
  const auto task = live.exec({.args = {"/bin/sh", "-c", "read line"}});
  ASSERT_TRUE(live.serve_until([&] { return task->task->has_begun(); }));
  EXPECT_FALSE(live.sandbox().leave());
  task->in.reset();
  ASSERT_TRUE(live.serve_until_ended(*task));
  live.serve(20);
  EXPECT_TRUE(live.sandbox().leave());
  auto attached = attach();
  ASSERT_TRUE(attached) << attached.error().message;
  ASSERT_TRUE(attached->remove(""));
}

TEST_P(Independent, IsNotLeftWhileItNeedsItsOwner) {
  LiveSandbox live(GetParam());
  live.create(request());  // its output is captured here
  live.await_ready();
  const auto left = live.sandbox().leave();
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error().fault, Fault::refused);
  live.finish();
  LiveSandbox tied(GetParam());
  tied.create(waiting_request(GetParam()), {.output = StreamOptions::Output::hand_over});
  tied.await_ready();
  EXPECT_FALSE(tied.sandbox().leave());
  tied.finish();
  EXPECT_FALSE(attach("no-such-sandbox"));
}

}  // namespace
}  // namespace bailey::tests
