// The lifecycle around a backend that isolates nothing (plain_backend.h), so that these tests are about Sandbox alone.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/files.h"
#include "dispatcher/admission.h"
#include "dispatcher/foreground.h"
#include "dispatcher/garbage.h"
#include "dispatcher/limits.h"
#include "dispatcher/sandbox.h"
#include "tests/support/require.h"
#include "tests/support/run_bailey.h"
#include "tests/unit/plain_backend.h"

namespace bailey::dispatcher {
namespace {

class SandboxTest : public testing::Test {
 protected:
  void SetUp() override {
    BAILEY_REQUIRE("root", "cgroup");
    struct sigaction quiet{};
    quiet.sa_handler = [](int) {};
    ::sigaction(SIGPIPE, &quiet, nullptr);
  }

  Record run(std::vector<std::string> command, std::function<void(Request&)> change = [](Request&) {}) {
    const Record record = run_and_leave(std::move(command), std::move(change));
    EXPECT_TRUE(files::list(files::open(directory_.file("state"), O_RDONLY | O_DIRECTORY).value().get()).value().empty());
    return record;
  }

  Record run_and_leave(std::vector<std::string> command, std::function<void(Request&)> change) {
    const Policy policy = builtin_policy();
    Request request;
    request.trust = "trusted";
    request.runtime = BackendKind::native;
    request.config.process.emplace();
    request.config.process->args = std::move(command);
    change(request);
    HostFacts facts = gather_host_facts(request).value();
    Admission::Decision decision = Admission(policy).judge(request, std::move(facts)).value();
    const int64_t began = clock::monotonic_ns();
    StateStore store = StateStore::open_at(directory_.file("state")).value();
    Events events(Sink::open(directory_.file("events"), Sink::Writing::lines).value());
    const Audit audit = Audit::open(directory_.file("audit")).value();
    StreamOptions streams;
    streams.out = out_.write.get();
    streams.err = err_.write.get();
    streams.output = output_;
    Record record;
    {
      Sandbox sandbox(decision.spec, backend_.plan(decision.spec).value(), backend_.about().value(),
                      SandboxContext{.backend = backend_,
                                     .store = store,
                                     .audit = audit,
                                     .events = events,
                                     .cgroup_parent = "",
                                     .streams = streams,
                                     .making_ms = making_ms_},
                      StepTimer(began));
      record = Foreground::open().value().run(sandbox, *decision.job, streams);
      EXPECT_EQ(sandbox.phase(), Sandbox::Phase::released);
    }
    EXPECT_EQ(std::accumulate(record.steps.begin(), record.steps.end(), int64_t{0},
                              [](int64_t sum, const StepTime& step) { return sum + step.ns; }),
              record.setup_ns);
    return record;
  }

  std::string events() {
    std::string names;
    const std::string text = tests::read_file(directory_.file("events"));
    for (size_t at = 0; (at = text.find("{\"event\":\"", at)) != std::string::npos;) {
      at += 10;
      names += text.substr(at, text.find('"', at) - at) + " ";
    }
    return names;
  }

  tests::TempDir directory_;
  PlainBackend backend_;
  int64_t making_ms_ = SandboxContext::kMostMakingMs;
  StreamOptions::Output output_ = StreamOptions::Output::capture;
  Pipe out_ = create_pipe().value(), err_ = create_pipe().value();
};

// Raises `number` in this process once the workload has said "ready" through a file.
class Signaller {
 public:
  Signaller(std::string ready, std::vector<int> numbers)
      : thread_([ready = std::move(ready), numbers = std::move(numbers), main = ::getpid()] {
          sigset_t all;
          sigfillset(&all);
          ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
          const auto deadline = clock::Deadline::in_ms(60'000);
          for (const int number : numbers) {
            while (::access(ready.c_str(), F_OK) != 0 && !deadline.passed()) ::usleep(1000);
            ::unlink(ready.c_str());
            ::kill(main, number);
          }
        }) {}
  ~Signaller() { thread_.join(); }

 private:
  std::thread thread_;
};

TEST_F(SandboxTest, TellsHowTheWorkloadEnded) {
  const Record record = run({"sh", "-c", "echo out; echo err >&2; exit 7"});
  EXPECT_EQ(record.outcome, Outcome::exited);
  EXPECT_EQ(record.exit_code, 7);
  EXPECT_EQ(record.captured_stdout, "out\n");
  EXPECT_EQ(record.captured_stderr, "err\n");
  EXPECT_EQ(events(), "admitted created started exited released ");
  EXPECT_EQ(run({"sh", "-c", "kill -TERM $$"}).signal, SIGTERM);
  const Record missing = run({"/no/such/program"});
  EXPECT_EQ(missing.outcome, Outcome::setup_failed);
  EXPECT_EQ(missing.error->step, "exec");
  EXPECT_EQ(exit_code(missing), 127);
}

TEST_F(SandboxTest, WritesOneAuditLineForEachTurn) {
  run({"/bin/true"});
  const std::string text = tests::read_file(directory_.file("audit"));
  EXPECT_NE(text.find("\"event\":\"admit\""), std::string::npos);
  EXPECT_NE(text.find("\"event\":\"start\""), std::string::npos);
  EXPECT_NE(text.find("\"event\":\"exit\""), std::string::npos);
  EXPECT_NE(text.find("\"seccomp\":{\"profile\":\"narrowed\",\"hash\":\"f00d\"}"), std::string::npos);
  EXPECT_NE(text.find("\"memory_bytes\""), std::string::npos);
}

TEST_F(SandboxTest, ReleasesWhatWasMadeWhenTheBackendFails) {
  backend_.refuses_to_create = true;
  const Record record = run({"/bin/true"});
  EXPECT_EQ(record.outcome, Outcome::setup_failed);
  EXPECT_EQ(record.error->step, "create");
  EXPECT_EQ(record.error->remedy, "ask another one");
  EXPECT_EQ(events(), "admitted released ");
}

TEST_F(SandboxTest, BeginsTheBackendOnlyWhereItsProcessMayJoinItsCgroupLater) {
  backend_.refuses_to_begin = true;
  const bool joins_later = !host::has_unified_cgroups_only();
  EXPECT_EQ(run({"/bin/true"}).outcome, joins_later ? Outcome::setup_failed : Outcome::exited);
}

TEST_F(SandboxTest, KillsAtTheDeadline) {
  const Record record =
      run({"sh", "-c", "echo before; trap '' TERM; sleep 1000"}, [](Request& request) { request.limits.wall_ms = 200; });
  EXPECT_EQ(record.outcome, Outcome::timed_out);
  EXPECT_EQ(record.captured_stdout, "before\n");
  EXPECT_EQ(exit_code(record), 124);
}

TEST_F(SandboxTest, StopsAtTheOutputLimitWithExactlySoMuch) {
  const Record record = run({"yes"}, [](Request& request) { request.limits.output_bytes = 100'000; });
  EXPECT_EQ(record.outcome, Outcome::output_limit);
  EXPECT_EQ(record.stdout_bytes, 100'000U);
  EXPECT_EQ(record.captured_stdout->size(), 100'000U);
  EXPECT_TRUE(record.output_truncated);
  EXPECT_EQ(exit_code(record), 137);
  EXPECT_NE(events().find("output_truncated"), std::string::npos);
  const Record all = run({"sh", "-c", "head -c 1000 /dev/zero"}, [](Request& request) { request.limits.output_bytes = 1000; });
  EXPECT_EQ(all.outcome, Outcome::exited) << "exactly the limit is not more than the limit";
  const Record late = run({"sh", "-c", "head -c 1001 /dev/zero"}, [](Request& request) { request.limits.output_bytes = 1000; });
  EXPECT_EQ(late.outcome, Outcome::output_limit);
  EXPECT_EQ(late.stdout_bytes, 1000U);
}

TEST_F(SandboxTest, LimitsOutputThatItKeepsInMemoryAndNoneThatPassesThrough) {
  ASSERT_FALSE(builtin_policy().levels.at("trusted").defaults.output_bytes);
  const std::vector<std::string> much = {"sh", "-c", "head -c 65M /dev/zero"};
  const Record captured = run(much);
  EXPECT_EQ(captured.outcome, Outcome::output_limit);
  EXPECT_EQ(captured.captured_stdout->size(), kCapturedOutputBytes);
  EXPECT_EQ(captured.limits.output_bytes, kCapturedOutputBytes);
  const Record asked = run(much, [](Request& request) { request.limits.output_bytes = kUnlimited; });
  EXPECT_EQ(asked.outcome, Outcome::exited);
  EXPECT_EQ(asked.captured_stdout->size(), size_t{65} << 20);
  EXPECT_FALSE(asked.limits.output_bytes);

  output_ = StreamOptions::Output::pass_on;
  const Fd null = files::open("/dev/null", O_WRONLY).value();
  ASSERT_GE(::dup2(null.get(), out_.write.get()), 0);
  const Record passed = run(much);
  EXPECT_EQ(passed.outcome, Outcome::exited);
  EXPECT_EQ(passed.stdout_bytes, 65U << 20);
  EXPECT_FALSE(passed.limits.output_bytes);
}

TEST_F(SandboxTest, ThrowsOutputAwayAndCountsIt) {
  output_ = StreamOptions::Output::discard;
  const Record record = run({"sh", "-c", "head -c 1000000 /dev/zero; echo err >&2; exit 5"});
  EXPECT_EQ(record.exit_code, 5);
  EXPECT_EQ(record.stdout_bytes, 1'000'000U);
  EXPECT_EQ(record.stderr_bytes, 4U);
  EXPECT_FALSE(record.captured_stdout);
  EXPECT_FALSE(record.output_truncated);
}

TEST_F(SandboxTest, CallsItOutOfMemoryWhenTheKernelKilledTheWorkloadForIt) {
  const Record record = run({"sh", "-c", "exec head -c 200M /dev/zero | tail"}, [](Request& request) {
    request.config.linux.resources.memory.limit = 32 << 20;
    request.limits.output_bytes = 1 << 20;
  });
  EXPECT_EQ(record.outcome, Outcome::out_of_memory)
      << to_text(record.outcome) << " " << record.exit_code << " " << record.signal;
  EXPECT_GT(record.oom_kills.value_or(0), 0U);
  EXPECT_NE(events().find("oom "), std::string::npos);
  EXPECT_EQ(exit_code(record), 137);
}

TEST_F(SandboxTest, EndsTheMakingAtItsTimeLimit) {
  backend_.is_never_ready = true;
  const Record record = run({"/bin/true"}, [](Request& request) { request.limits.wall_ms = 200; });
  EXPECT_EQ(record.outcome, Outcome::timed_out);
  EXPECT_EQ(exit_code(record), 124);
  EXPECT_EQ(record.error->step, "create");
  EXPECT_EQ(record.started_wall_ns, 0);
  EXPECT_EQ(events(), "admitted released ");
}

TEST_F(SandboxTest, LimitsTheMakingWithoutATimeLimitAndNotTheWorkload) {
  making_ms_ = 300;
  const Record record = run({"sh", "-c", "sleep 1; echo done"});
  EXPECT_EQ(record.outcome, Outcome::exited);
  EXPECT_EQ(record.captured_stdout, "done\n");
  backend_.is_never_ready = true;
  EXPECT_EQ(run({"/bin/true"}).outcome, Outcome::timed_out);
}

TEST_F(SandboxTest, EndsTheMakingAtTheFirstRequestToStop) {
  backend_.is_never_ready = true;
  const std::string ready = directory_.file("ready");
  backend_.on_create = [&] { directory_.write("ready", ""); };  // from here on the signals are the sandbox's
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) {
    const Signaller signaller(ready, {number});
    const Record record = run({"/bin/true"});
    EXPECT_EQ(record.outcome, Outcome::signaled);
    EXPECT_EQ(record.signal, number);
    EXPECT_EQ(exit_code(record), 128 + number);
    EXPECT_EQ(record.started_wall_ns, 0);
  }
}

// As when the kernel waits for a file system: the record says so, and what is left is gc's.
TEST_F(SandboxTest, LeavesBehindWhatDoesNotEnd) {
  backend_.does_not_end = true;
  {
    const Record record = run_and_leave({"sleep", "1000"}, [](Request& request) { request.limits.wall_ms = 200; });
    EXPECT_EQ(record.outcome, Outcome::timed_out);
    ASSERT_TRUE(record.error);
    EXPECT_NE(record.error->message.find("could not be ended"), std::string::npos);
    EXPECT_EQ(exit_code(record), 124);
  }
  StateStore store = StateStore::open_at(directory_.file("state")).value();
  EXPECT_EQ(collect_garbage(store, "").value().sandboxes.removed.size(), 1U);
  int status = 0;
  EXPECT_EQ(::waitpid(backend_.made, &status, 0), backend_.made);
  EXPECT_EQ(WTERMSIG(status), SIGKILL) << "gc kills what is in its cgroup";
}

TEST_F(SandboxTest, PassesSignalsOnOnce) {
  const std::string ready = directory_.file("ready");
  const Signaller signaller(ready, {SIGUSR1, SIGTERM});
  const Record record = run({"sh", "-c",
                             "trap 'echo usr1; touch " + ready + "' USR1; trap 'echo term; exit 3' TERM; touch " + ready +
                                 "; while :; do sleep 0.01; done"});
  EXPECT_EQ(record.outcome, Outcome::exited);
  EXPECT_EQ(record.exit_code, 3);
  EXPECT_EQ(record.captured_stdout, "usr1\nterm\n");
}

TEST_F(SandboxTest, KillsAtTheSecondRequestToStop) {
  const std::string ready = directory_.file("ready");
  const Signaller signaller(ready, {SIGINT, SIGTERM});
  const Record record =
      run({"sh", "-c", "trap 'echo int; touch " + ready + "' INT; touch " + ready + "; while :; do sleep 0.01; done"});
  EXPECT_EQ(record.outcome, Outcome::signaled);
  EXPECT_EQ(record.signal, SIGKILL);
  EXPECT_EQ(record.captured_stdout, "int\n");
}

TEST_F(SandboxTest, DoesNotWaitForAReaderOnceItKilledTheWorkload) {
  output_ = StreamOptions::Output::pass_on;  // into pipes that nobody reads
  const Record record = run({"yes"}, [](Request& request) {
    request.limits.wall_ms = 200;
    request.limits.output_bytes = 1 << 30;
  });
  EXPECT_EQ(record.outcome, Outcome::timed_out);
  EXPECT_TRUE(record.output_truncated);
}

TEST_F(SandboxTest, IsNotHeldByADaemonThatKeepsTheOutputOpen) {
  const Record record = run({"sh", "-c", "sleep 1000 & echo done"});
  EXPECT_EQ(record.outcome, Outcome::exited);
  EXPECT_EQ(record.captured_stdout, "done\n");
}

}  // namespace
}  // namespace bailey::dispatcher
