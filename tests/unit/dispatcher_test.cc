// The way from a request to a sandbox, with a backend that isolates nothing.
#include "dispatcher/dispatcher.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "tests/support/require.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/plain_backend.h"

namespace bailey::dispatcher {
namespace {

class DispatcherTest : public testing::Test {
 protected:
  Dispatcher dispatcher(bool starts = true) {
    return Dispatcher({.make_backend = [this](BackendKind kind, const BackendContext& context) { return make(kind, context); },
                       .starts = starts},
                      StepTimer(clock::monotonic_ns()));
  }
  Result<std::unique_ptr<Backend>> make(BackendKind, const BackendContext& context) {
    ++made_;
    may_start_ = context.may_start_sandboxes;
    if (unavailable_) return fail(Fault::unavailable, "it is not in this build", "take another one");
    return std::make_unique<PlainBackend>();
  }
  static Request request(const std::string& trust = "trusted") {
    Request request;
    request.trust = trust;
    request.config.process.emplace().args = {"/bin/echo", "hello"};
    return request;
  }
  Policy policy() const {
    Policy policy = builtin_policy();
    policy.audit_file = directory_.file("audit");
    return policy;
  }
  std::string audit() const { return tests::read_file(directory_.file("audit")); }
  const Record& run(Dispatcher& dispatcher, Request wanted) {
    dispatcher.take(std::move(wanted));
    if (auto used = dispatcher.use_policy(policy()); !used) return dispatcher.fail(std::move(used).error());
    return dispatcher.run(events_, {.output = StreamOptions::Output::capture});
  }

  tests::TempDir directory_;
  Events events_;
  int made_ = 0;
  bool unavailable_ = false, may_start_ = false;
};

TEST_F(DispatcherTest, RunsWhatTheGuardsAdmit) {
  BAILEY_REQUIRE("root", "cgroup");
  Dispatcher way = dispatcher();
  const Record& record = run(way, request());
  EXPECT_EQ(record.outcome, Outcome::exited) << (record.error ? record.error->message : "");
  EXPECT_EQ(record.captured_stdout.value_or("-"), "hello\n");
  EXPECT_EQ(record.backend.name, "plain");
  EXPECT_TRUE(may_start_);
  std::string steps;
  for (const StepTime& step : record.steps) steps += step.name + " ";
  EXPECT_TRUE(steps.starts_with("request policy facts admission state directory backend ")) << steps;
  for (const char* line : {"\"admit\"", "\"start\"", "\"exit\""}) EXPECT_NE(audit().find(line), std::string::npos) << audit();
}

TEST_F(DispatcherTest, TellsOfARefusalBeforeABackendIsAsked) {
  Dispatcher way = dispatcher();
  Request wanted = request("untrusted");
  wanted.network = NetworkMode::host;
  const Record& record = run(way, std::move(wanted));
  EXPECT_EQ(record.outcome, Outcome::refused);
  ASSERT_EQ(record.refusals.size(), 1u);
  EXPECT_EQ(record.refusals.front().guard, "network");
  EXPECT_NE(record.id, "");
  EXPECT_EQ(made_, 0);
  EXPECT_NE(audit().find("\"refuse\""), std::string::npos) << audit();
  EXPECT_EQ(audit().find("\"admit\""), std::string::npos) << audit();
}

TEST_F(DispatcherTest, TellsTheStepInWhichItEnded) {
  {
    Dispatcher way = dispatcher();
    way.take(request());
    const auto used = way.use_policy("/no/such/policy");
    ASSERT_FALSE(used);
    EXPECT_EQ(way.fail(used.error()).error->step, "policy");
  }
  {
    Dispatcher way = dispatcher();
    Request wanted = request();
    wanted.config.root.emplace().path = "/no/such/root";
    EXPECT_EQ(run(way, std::move(wanted)).error->step, "facts");
  }
  unavailable_ = true;
  Dispatcher way = dispatcher();
  const Record& record = run(way, request());
  EXPECT_EQ(record.outcome, Outcome::setup_failed);
  EXPECT_EQ(record.error->step, "backend");
  EXPECT_EQ(record.error->remedy, "take another one");
  EXPECT_NE(audit().find("\"refuse\""), std::string::npos) << audit();
}

TEST_F(DispatcherTest, OnlyJudgesWhereNothingIsToStart) {
  Dispatcher way = dispatcher(false);
  way.take(request());
  ASSERT_TRUE(way.use_policy(policy()));
  ASSERT_TRUE(way.judge());
  ASSERT_TRUE(way.decision().spec);
  ASSERT_TRUE(way.choose());
  EXPECT_EQ(way.about().name, "plain");
  EXPECT_FALSE(may_start_);
  EXPECT_EQ(audit(), "");
  EXPECT_NE(::access(directory_.file("audit").c_str(), F_OK), 0);
}

}  // namespace
}  // namespace bailey::dispatcher
