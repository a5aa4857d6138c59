#include "tests/sandbox/live_sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>

#include "base/clock.h"
#include "dispatcher/limits.h"
#include "gvisor/backend.h"
#include "native/backend.h"
#include "tests/support/require.h"
#include "tests/support/run_bailey.h"

namespace bailey::tests {

using namespace dispatcher;

namespace {

constexpr int64_t kPatienceMs = 120'000;

}  // namespace

std::unique_ptr<Backend> make_real_backend(const std::string& name) {
  const std::string runtime = StateStore::default_path();
  if (name == "native") return native::make_backend(runtime, {});
  return gvisor::create_backend({.runsc = name == "gvisor" ? runsc_path() : runsc_2022_path(),
                                 .search_path = "",
                                 .platform = "",
                                 .runtime_directory = runtime});
}

LiveSandbox::LiveSandbox(const std::string& backend, std::string directory)
    : own_directory_(directory.empty() ? std::optional<TempDir>(std::in_place) : std::nullopt),
      directory_(own_directory_ ? own_directory_->path() : std::move(directory)),
      policy_(builtin_policy()),
      backend_(make_real_backend(backend)),
      store_(std::make_unique<StateStore>(StateStore::open().value())),
      audit_(Audit::open(directory_ + "/audit").value()),
      events_(Sink::open(directory_ + "/events", Sink::Writing::lines).value()) {}

void LiveSandbox::create(Request request, StreamOptions streams) {
  HostFacts facts = gather_host_facts(request).value();
  Admission::Decision decision = Admission(policy_).judge(std::move(request), std::move(facts)).value();
  ASSERT_TRUE(decision.spec) << refusal(decision.verdicts).message;
  spec_ = decision.spec;
  own_job_ = decision.job;
  const int64_t began = clock::monotonic_ns();
  auto plan = backend_->plan(spec_);
  ASSERT_TRUE(plan) << plan.error().message;
  sandbox_ = std::make_unique<Sandbox>(spec_, std::move(*plan), backend_->about().value(),
                                       SandboxContext{.backend = *backend_,
                                                      .store = *store_,
                                                      .audit = audit_,
                                                      .events = events_,
                                                      .cgroup_parent = "",
                                                      .streams = streams,
                                                      .on_ready = [this] { ++times_ready_; }},
                                       StepTimer(began));
  PatienceUntil patience(clock::Deadline::in_ms(kPatienceMs));
  lived_ = sandbox_->create(patience);
  ASSERT_TRUE(lived_) << lived_.error().message;
}

Result<> LiveSandbox::plan(Request request) {
  HostFacts facts = TRY(gather_host_facts(request));
  const Admission::Decision decision = TRY(Admission(policy_).judge(std::move(request), std::move(facts)));
  if (!decision.spec) return std::unexpected(refusal(decision.verdicts));
  TRY(backend_->plan(decision.spec));
  return {};
}

void LiveSandbox::await_ready() {
  PatienceUntil patience(clock::Deadline::in_ms(kPatienceMs));
  lived_ = sandbox_->await_ready(patience);
  ASSERT_TRUE(lived_) << lived_.error().message;
}

Admission::JobDecision LiveSandbox::judge(const JobRequest& wish) const { return Admission(policy_).judge(*spec_, wish); }

void LiveSandbox::start(const Job& job) {
  PatienceUntil patience(clock::Deadline::in_ms(kPatienceMs));
  lived_ = sandbox_->start(job, patience);
  ASSERT_TRUE(lived_) << lived_.error().message;
}

bool LiveSandbox::serve(int64_t ms) {
  return serve_until([this] { return sandbox_->is_settled(); }, ms);
}

bool LiveSandbox::serve_until(const std::function<bool()>& done, int64_t ms) {
  const auto deadline = clock::Deadline::in_ms(ms);
  while (!done() && !sandbox_->is_settled() && !deadline.passed()) {
    std::vector<pollfd> set;
    sandbox_->add_interest(set);
    const size_t ours = set.size();
    for (const LiveTask* task : tasks_)
      for (const Fd* fd : {&task->out, &task->err}) set.push_back({task->reads ? fd->get() : -1, POLLIN, 0});
    const int64_t wait =
        std::min<int64_t>(deadline.poll_ms(), sandbox_->due().never() ? kPatienceMs : sandbox_->due().poll_ms());
    if (::poll(set.data(), set.size(), static_cast<int>(wait)) < 0 && errno != EINTR) return false;
    lived_ = sandbox_->serve(std::span(set).first(ours));
    if (!lived_) return false;
    read_tasks();
  }
  return done();
}

std::unique_ptr<LiveTask> LiveSandbox::exec(const JobRequest& wish) {
  auto live = std::make_unique<LiveTask>();
  const auto decision = judge(wish);
  EXPECT_TRUE(decision.job) << refusal(decision.verdicts).message;
  Pipe in = create_pipe().value(), out = create_pipe().value(), err = create_pipe().value();
  live->in = std::move(in.write);
  live->out = std::move(out.read);
  live->err = std::move(err.read);
  for (const Fd* fd : {&live->out, &live->err}) ::fcntl(fd->get(), F_SETFL, O_NONBLOCK);
  auto task = sandbox_->exec(*decision.job, {std::move(in.read), std::move(out.write), std::move(err.write)});
  EXPECT_TRUE(task) << task.error().message;
  if (task) live->task = std::move(*task);
  tasks_.push_back(live.get());
  return live;
}

void LiveSandbox::read_tasks() {
  for (LiveTask* task : tasks_) {
    for (auto [fd, into] : {std::pair{&task->out, &task->said}, {&task->err, &task->complained}}) {
      char bytes[64 << 10];
      ssize_t got = 0;
      while (task->reads && *fd && (got = ::read(fd->get(), bytes, sizeof bytes)) > 0)
        into->append(bytes, static_cast<size_t>(got));
      if (task->reads && got == 0) fd->reset();
    }
  }
}

bool LiveSandbox::serve_until_ended(LiveTask& task) {
  const bool ended = serve_until([&] { return task.task->has_ended(); });
  read_tasks();
  return ended;
}

Record LiveSandbox::finish() { return sandbox_->finish(std::move(lived_)); }

Request waiting_request(const std::string& backend) {
  Request request;
  request.trust = "trusted";
  request.runtime = backend == "native" ? BackendKind::native : BackendKind::gvisor;
  request.awaits_job = true;
  return request;
}

void OnEachBackend::SetUp() {
  const std::string name = GetParam();
  if (name == "native") {
    BAILEY_REQUIRE("root", "cgroup");
  } else {
    BAILEY_REQUIRE("root", "cgroup", name == "gvisor" ? "runsc" : "runsc-2022");
  }
  ::signal(SIGPIPE, SIG_IGN);
  leaks_ = std::make_unique<LeakCheck>();
}

std::string name_of_backend(const testing::TestParamInfo<const char*>& backend) {
  std::string name = backend.param;
  std::erase(name, '-');
  return name;
}

void OnEachBackend::TearDown() {
  if (leaks_) leaks_->expect_clean();
}

}  // namespace bailey::tests
