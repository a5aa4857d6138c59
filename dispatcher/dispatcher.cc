#include "dispatcher/dispatcher.h"

#include <utility>

#include "base/log.h"
#include "dispatcher/host_facts.h"
#include "dispatcher/networks.h"

namespace bailey::dispatcher {

void expect_making(Progress* progress, std::optional<int64_t> wall_ms) {
  if (!progress) return;
  progress->limited_to(wall_ms);
  progress->expect_by(clock::Deadline::in_ms(wall_ms ? Sandbox::making_ms(*wall_ms) : SandboxContext::kMostMakingMs));
}

Dispatcher::Dispatcher(DispatcherOptions options, StepTimer timer) : options_(std::move(options)), timer_(std::move(timer)) {
  enter("request");
}

void Dispatcher::enter(const char* step) {
  step_ = step;
  if (options_.progress) options_.progress->enter(step);
}

void Dispatcher::take(Request request) {
  request_ = std::move(request);
  record_.id = request_.id;
  record_.trust = request_.trust;
  record_.network = network_of(request_);
  if (request_.limits.wall_ms) expect_making(options_.progress, request_.limits.wall_ms);
  timer_.lap(step_);
}

Result<> Dispatcher::use_policy(const std::string& file) {
  enter("policy");
  return use_policy(TRY(load_policy(file)));
}

Result<> Dispatcher::use_policy(Policy policy) {
  enter("policy");
  policy_ = std::move(policy);
  if (options_.starts) audit_ = TRY(Audit::open(policy_.audit_file));
  timer_.lap(step_);
  return {};
}

Result<> Dispatcher::judge() {
  enter("facts");
  HostFacts facts = TRY(gather_host_facts(request_, options_.mounts));
  timer_.lap(step_);
  enter("admission");
  decision_ = TRY(Admission(policy_).judge(request_, std::move(facts)));
  if (options_.starts) request_.id = record_.id = decision_.id;
  timer_.lap(step_);
  return {};
}

Result<> Dispatcher::choose() {
  enter("backend");
  const Spec& spec = *decision_.spec;
  expect_making(options_.progress, spec.limits().wall_ms);
  if (options_.progress) options_.progress->has_id(spec.id());
  backend_ = TRY(options_.make_backend(spec.backend(), {policy_, spec.request(), options_.starts}));
  record_.backend = TRY(backend_->about());
  record_.why_backend = spec.why_backend();
  plan_ = TRY(backend_->plan(decision_.spec));
  timer_.lap(step_);
  return {};
}

// A copy of the host's files that is older than they are would be shown as the plan.
Result<json::Value> Dispatcher::explain() {
  const bool has_changed = TRY(backend_->renew());
  if (has_changed) plan_ = TRY(backend_->plan(decision_.spec));
  return plan_->explain();
}

Result<> Dispatcher::judge_and_refuse() {
  TRY(judge());
  if (decision_.spec) return {};
  for (const Verdict& verdict : decision_.verdicts)
    if (!verdict.allowed) record_.refusals.push_back(verdict);
  return std::unexpected(refusal(decision_.verdicts));
}

Result<> Dispatcher::make_ready() {
  TRY(judge_and_refuse());
  // Not before: what descriptors the caller opened has been looked at (secrets/source.h), and this one is not among them.
  foreground_ = TRY(Foreground::open(options_.signals));
  enter("state");
  store_ = TRY(StateStore::open());
  timer_.lap("state directory");
  return choose();
}

const Record& Dispatcher::run(Events& events, const StreamOptions& streams) {
  if (auto ready = make_ready(); !ready) return fail(std::move(ready).error());
  make_sandbox(events, streams);
  record_ = foreground_->run(*sandbox_, *decision_.job, streams);
  return record_;
}

Result<> Dispatcher::prepare(StateStore store, Events& events, const StreamOptions& streams, Patience& patience) {
  TRY(judge_and_refuse());
  store_ = std::move(store);
  TRY(choose());
  make_sandbox(events, streams);
  TRY(sandbox_->create(patience));
  return sandbox_->prepare(*decision_.job, patience);
}

const Record& Dispatcher::end(Error error) {
  if (!sandbox_) return fail(std::move(error));
  record_ = sandbox_->finish(std::unexpected(std::move(error)));
  return record_;
}

void Dispatcher::make_sandbox(Events& events, const StreamOptions& streams) {
  sandbox_.emplace(decision_.spec, std::move(plan_), record_.backend,
                   SandboxContext{.backend = *backend_,
                                  .store = *store_,
                                  .audit = audit_,
                                  .events = events,
                                  .cgroup_parent = policy_.cgroup_parent,
                                  .streams = streams,
                                  .progress = options_.progress},
                   std::move(timer_));
}

const Record& Dispatcher::fail(Error error) {
  record_.outcome = error.fault == Fault::refused ? Outcome::refused : Outcome::setup_failed;
  record_.setup_ns = timer_.total_ns();
  record_.steps = timer_.steps();
  record_.error = std::move(error).in_step(step_);
  if (auto written = audit_.refuse(request_, *record_.error); !written) log::error(written.error().message);
  return record_;
}

}  // namespace bailey::dispatcher
