#include "dispatcher/sandbox.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "base/log.h"
#include "base/pidfd.h"
#include "dispatcher/garbage.h"
#include "dispatcher/limits.h"
#include "dispatcher/networks.h"
#include "dispatcher/outcome.h"
#include "host/cgroup/cgroup.h"

namespace bailey::dispatcher {

namespace {

constexpr int64_t kKillAgainMs = 1000;
// gVisor boots in a tenth of a second, on a busy host in some seconds.
constexpr int64_t kLeastMakingMs = 5'000;
constexpr int64_t kReleaseMs = 20'000;  // most of it is how long a cgroup may take to become empty
constexpr int kDrainPatienceMs = 1000;  // without progress, and only when it was us who ended the workload

enum PollSlot : size_t { kExit, kOom, kNames, kRelay, kUplink, kStreams };

// "/a/b" of linux.cgroupsPath; without one a place of ours.
host::CgroupPlace place_of_engine(const Spec& spec) {
  const std::string& path = spec.config().linux.cgroups_path;
  if (path.empty()) return {"", host::cgroup_name(spec.id())};
  const size_t slash = path.rfind('/');
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1), true};
}

}  // namespace

Sandbox::Sandbox(std::shared_ptr<const Spec> spec, std::unique_ptr<SandboxPlan> plan, About about, SandboxContext context,
                 StepTimer timer)
    : spec_(std::move(spec)),
      plan_(std::move(plan)),
      about_(std::move(about)),
      context_(std::move(context)),
      timer_(std::move(timer)) {
  record_.id = spec_->id();
  record_.trust = spec_->request().trust;
  record_.network = network_of(spec_->request());
  record_.backend = about_;
  record_.why_backend = spec_->why_backend();
  record_.limits = spec_->limits();
  record_.filter = plan_->filter();
  record_.seccomp_log = spec_->request().seccomp_log;
}

int64_t Sandbox::making_ms(int64_t wall_ms) { return std::clamp(wall_ms, kLeastMakingMs, SandboxContext::kMostMakingMs); }

void Sandbox::enter(const char* step) {
  step_ = step;
  if (context_.progress) context_.progress->enter(step);
}

void Sandbox::expect_by(const clock::Deadline& due) {
  if (context_.progress) context_.progress->expect_by(due);
}

// For what only a hung file system makes long. Without a time limit a run waits for it, as any program does.
void Sandbox::expect_release() { expect_by(spec_->limits().wall_ms ? clock::Deadline::in_ms(kReleaseMs) : clock::Deadline()); }

std::unexpected<Error> Sandbox::end_making(Stop why, int signal) {
  stop_ = why;
  ended_by_ = signal;
  if (why == Stop::signal)
    return fail(Fault::failed, "signal " + std::to_string(signal) + " ended it before the command had started");
  return fail(Fault::failed, "the sandbox was not ready within the time limit",
              "is its root or a volume on a file system that does not respond? 'bailey doctor' tries this host");
}

// The making ended by itself or by end_making().
void Sandbox::note_failed_making(Error error) {
  record_.outcome = Outcome::setup_failed;
  if (stop_ == Stop::timed_out) record_.outcome = Outcome::timed_out;
  if (stop_ == Stop::signal) record_.outcome = Outcome::signaled, record_.signal = ended_by_;
  record_.error = std::move(error);
}

Result<> Sandbox::admit() {
  deadline_ = clock::Deadline::in_ms((spec_->limits().wall_ms ? making_ms(*spec_->limits().wall_ms) : context_.making_ms) -
                                     timer_.total_ns() / 1'000'000);
  expect_by(deadline_);
  TRY(context_.audit.admit(*spec_, about_, record_.filter));
  json::Object admitted;
  admitted.set("trust", spec_->request().trust);
  admitted.set("backend", about_.name);
  context_.events.emit("admitted", spec_->id(), admitted);
  return {};
}

Result<> Sandbox::create(Patience& patience) {
  TRY(admit());
  TRY(reserve_network());
  enter("create");
  Steps steps;
  if (!host::has_unified_cgroups_only()) TRY(plan_->begin(leases_, steps));
  timer_.lap(steps, "begin, rest");

  enter("state");
  entry_ = TRY(context_.store.create(spec_->id(), cgroup_collector(context_.store, context_.cgroup_parent)));
  leases_.state = entry_.directory();
  timer_.lap(step_);

  enter("cgroup");
  const host::CgroupMounts mounts = TRY(host::find_cgroups());
  if (spec_->request().shape == Shape::complete)
    leases_.cgroup = TRY(host::Cgroup::create_for_engine(mounts, place_of_engine(*spec_), plan_->resources()));
  else leases_.cgroup = TRY(host::Cgroup::create(mounts, context_.cgroup_parent, spec_->id(), plan_->resources()));
  timer_.lap(step_);

  if (plan_->needs_links_at_create()) TRY(connect_network());

  enter("streams");
  StreamOptions options = context_.streams;
  options.terminal = spec_->process().terminal;
  streams_ = TRY(Streams::create(options));
  timer_.lap(step_);

  state_ = TRY(describe_state());
  TRY(begin_making());
  if (!plan_->needs_links_at_create()) TRY(connect_network());

  // While the backend makes the sandbox. If Bailey is killed before this, gc finds the cgroup by the sandbox's id.
  enter("state record");
  if (!is_independent()) TRY(write_state(Status::creating));
  timer_.lap(step_);

  enter("create");
  const bool has_changed = TRY(context_.backend.renew());
  if (has_changed) TRY(begin_making_again());
  (void)streams_.take_workload_ends();
  timer_.lap("host files");
  steps.clear();
  Fd terminal = TRY(instance_->await_created(patience, steps));
  if (options.terminal) TRY(streams_.attach_terminal(std::move(terminal)));
  timer_.lap(steps, "created, rest");
  phase_ = Phase::created;
  if (is_independent()) TRY(write_state(Status::created));
  context_.events.emit("created", spec_->id());
  return {};
}

// Of a tied sandbox once: its record only describes.
Result<> Sandbox::write_state(Status status) {
  state_.status = status;
  state_.sandbox = TRY(ProcessId::of(pid()));
  state_.handle = instance_->handle();
  return entry_.write(state_);
}

Result<> Sandbox::prepare(const Job& job, Patience& patience) {
  enter("start");
  TRY(context_.audit.start(*spec_, about_, record_.filter, instance_->uid_map()));
  Steps steps;
  TRY(instance_->prepare(job, patience, steps));
  timer_.lap(steps, "prepare, rest");
  return write_state(Status::created);
}

Result<> Sandbox::leave() {
  const auto refuse = [&](const std::string& why) {
    return fail(Fault::refused, "sandbox " + spec_->id() + " cannot go on without this process: " + why);
  };
  if (!is_independent()) return refuse("it was made to end with it");
  if (phase_ != Phase::created && !lives()) return refuse("it does not run");
  if (streams_.needs_owner()) return refuse("its streams are passed on by it");
  if (!instance_->leave()) return refuse("a further job runs in it");
  instance_.reset();
  leases_.cgroup.leave();
  leases_ = Leases();
  entry_.leave();
  entry_ = StateEntry();
  phase_ = Phase::released;
  return {};
}

Result<> Sandbox::begin_making() {
  enter("create");
  Steps steps;
  Stdio ends = TRY(streams_.copy_workload_ends());
  instance_ = TRY(plan_->create(leases_, std::move(ends), steps));
  if (context_.progress) context_.progress->know_first_process(pid_of(instance_->exit_fd()));
  timer_.lap(steps, "create, rest");
  // It may outlive this process from now on: gc has to know its first process.
  return is_independent() ? write_state(Status::creating) : Result<>();
}

Result<StateRecord> Sandbox::describe_state() const {
  StateRecord state = TRY(StateRecord::of_this_process());
  state.independent = is_independent();
  state.bundle = spec_->request().bundle;
  if (!state.bundle.empty()) state.rootfs = spec_->rootfs().real_path;
  state.annotations = spec_->request().config.annotations;
  state.backend = about_.name;
  state.trust = spec_->request().trust;
  state.cgroups = leases_.cgroup.paths();
  state.address = record_.network_address;
  state.address6 = record_.network_address6;
  state.shared_network = spec_->request().shared_network;
  state.published = record_.published;
  return state;
}

// The host's files have changed since the copy in its root was made. Nothing has run in it yet.
Result<> Sandbox::begin_making_again() {
  if (!instance_->end(clock::Deadline::in_ms(kEndMs)))
    return fail(Fault::failed, "the host's files changed while the sandbox was made, and its first process does not end",
                "'bailey gc' removes what is left");
  instance_.reset();
  leases_.cgroup.leave_out_cpu_time();
  plan_ = TRY(context_.backend.plan(spec_));
  return begin_making();
}

Result<> Sandbox::reserve_network() {
  if (!is_filtered(spec_->request().network)) return {};
  enter("address");
  leases_.network = TRY(network::Lease::reserve(lease_spec(*spec_), context_.store.directory()));
  record_.network_address = network::to_text(leases_.network.address());
  if (const auto address6 = leases_.network.address6()) record_.network_address6 = network::to_text(*address6);
  for (const network::Publish& one : leases_.network.published()) record_.published.push_back(network::to_text(one));
  timer_.lap(step_);
  return {};
}

Result<> Sandbox::connect_network() {
  if (!leases_.network) return {};
  enter("bridge");
  TRY(leases_.network.connect(lease_spec(*spec_)));
  timer_.lap(step_);
  return {};
}

Result<> Sandbox::await_ready(Patience& patience) {
  enter("ready");
  TRY(instance_->await_ready(patience));
  timer_.lap(step_);
  phase_ = Phase::ready;
  deadline_ = clock::Deadline();
  expect_by(deadline_);
  context_.events.emit("ready", spec_->id());
  if (context_.on_ready) context_.on_ready();
  return {};
}

Result<> Sandbox::start(const Job& job, Patience& patience) {
  enter("start");
  if (phase_ == Phase::ready) begin_late_start(job);
  TRY(context_.audit.start(*spec_, about_, record_.filter, instance_->uid_map()));
  Steps steps;
  if (instance_->has_booted()) leases_.cgroup.leave_out_memory_in_use();
  limit(job);
  TRY(instance_->start(job, patience, steps));
  record_.started_wall_ns = clock::wall_ns();
  started_ns_ = clock::monotonic_ns();
  using LeaveOut = host::Cgroup::LeaveOut;
  leases_.cgroup.begin_account(instance_->account().own_cpu_us ? LeaveOut::peaks : LeaveOut::all);
  timer_.lap(steps, "start, rest");
  phase_ = Phase::running;
  if (is_independent()) TRY(write_state(Status::running));
  // The making's own is over; a workload without a time limit has none.
  deadline_ = job.limits().wall_ms ? clock::Deadline::in_ms(*job.limits().wall_ms) : clock::Deadline();
  expect_by(deadline_);
  if (context_.progress) context_.progress->workload_started();
  json::Object started;
  if (!record_.network_address.empty()) started.set("address", record_.network_address);
  if (!record_.network_address6.empty()) started.set("address6", record_.network_address6);
  if (!record_.published.empty()) started.set("published", json::Array(record_.published.begin(), record_.published.end()));
  if (instance_->has_begun()) context_.events.emit("started", spec_->id(), started);
  enter("supervise");
  return {};
}

// The set-up time is that of the making and of this start, without the wait between them.
void Sandbox::begin_late_start(const Job& job) {
  timer_.skip();
  deadline_ = clock::Deadline::in_ms(job.limits().wall_ms ? making_ms(*job.limits().wall_ms) : context_.making_ms);
  expect_by(deadline_);
}

// The job's own limits: its time and its output.
void Sandbox::limit(const Job& job) {
  record_.limits.wall_ms = job.limits().wall_ms;
  record_.limits.output_bytes = job.limits().output_bytes;
  const bool captures = context_.streams.output == StreamOptions::Output::capture;
  if (captures && !job.limits().output_bytes && !job.wants_unlimited_output())
    record_.limits.output_bytes = kCapturedOutputBytes;
  streams_.limit(record_.limits.output_bytes);
}

void Sandbox::add_interest(std::vector<pollfd>& set) const {
  // After the end nobody reads these, and they stay readable: a poll would return at once for ever.
  const auto while_it_lives = [&](int fd) { return pollfd{lives() ? fd : -1, POLLIN, 0}; };
  const size_t first = set.size();
  set.resize(first + kStreams);
  const auto slots = std::span(set).subspan(first);
  slots[kExit] = while_it_lives(instance_->exit_fd());
  // Asking for it costs a start some 50 us; without a listener the count at the end says the same.
  slots[kOom] = while_it_lives(lives() && context_.events && !oom_told_ ? leases_.cgroup.oom_fd() : -1);
  slots[kNames] = while_it_lives(leases_.network.names_fd());
  slots[kRelay] = while_it_lives(leases_.network.relay_fd());
  slots[kUplink] = while_it_lives(leases_.network.uplink_fd());
  streams_.add_interest(set);
  if (lives()) instance_->add_interest(set);
}

clock::Deadline Sandbox::due() const {
  if (phase_ == Phase::draining) return drained_by_;
  return stop_ == Stop::none || !lives() ? deadline_ : kill_again_;
}

Result<> Sandbox::serve(std::span<const pollfd> set) {
  if (phase_ == Phase::draining) return go_on_draining();
  TRY(instance_->serve(set.subspan(kStreams + Streams::kPollSlots)));
  const std::optional<SeenEnd> end = see_end(set);
  if (!end) return {};
  end_ = *end;
  return begin_draining();
}

// Whether exit_fd comes within kEndMs, if need be by a kill: PID 1 has sent its final report, or is a zombie already.
bool Sandbox::ends_soon() {
  return await_end(instance_->exit_fd(), clock::Deadline::in_ms(kEndMs)) || kill_and_await_end(instance_->exit_fd());
}

std::optional<Sandbox::SeenEnd> Sandbox::see_end(std::span<const pollfd> set) {
  if (set[kExit].revents != 0) return SeenEnd::ended;
  if (instance_->has_announced_end()) return SeenEnd::announced;
  if ((set[kOom].revents & POLLIN) != 0) notice_oom();
  if (set[kNames].revents != 0) serve_names();
  if (set[kRelay].revents != 0)
    log::warning("the published ports are closed: their process ended with " + leases_.network.end_relay());
  if (set[kUplink].revents != 0) {
    record_.network_lost = leases_.network.end_uplink();
    log::warning("the sandbox has no way out any more: " + record_.network_lost);
  }
  streams_.serve();
  if (streams_.over_cap()) {
    if (stop_ == Stop::none) stop(Stop::output_limit);
    streams_.abandon();
  }
  if (give_up_.passed()) return SeenEnd::given_up;
  if (due().passed()) stop(Stop::timed_out);
  return {};
}

// An end that was announced is waited for last: the kernel takes the sandbox down meanwhile, a fifth of a millisecond.
Result<> Sandbox::begin_draining() {
  record_.calls = instance_->calls();
  if (end_ != SeenEnd::announced) TRY(await_instance_end());
  if (started_ns_ != 0) record_.wall_us = instance_->account().wall_us.value_or((clock::monotonic_ns() - started_ns_) / 1000);
  phase_ = Phase::draining;
  streams_.workload_ended();
  return go_on_draining();
}

Result<> Sandbox::await_instance_end() {
  ending_ = {Ending::Kind::signaled, SIGKILL, {}};
  if (end_ != SeenEnd::given_up && ends_soon()) ending_ = TRY(instance_->reap());
  else give_up_ = clock::Deadline::in_ms(0);
  return {};
}

// Passes on the output from before the workload's end, however long the reader takes, unless it was us who ended the workload.
Result<> Sandbox::go_on_draining() {
  expect_release();
  for (bool progress = true; progress;) {
    progress = streams_.serve();
    if (progress) drained_by_ = clock::Deadline();
    if (streams_.over_cap() && stop_ == Stop::none) stop_ = Stop::output_limit;
    if (streams_.over_cap() || streams_.drained() || drained_by_.passed()) return settle();
  }
  if (stop_ != Stop::none && drained_by_.never()) drained_by_ = clock::Deadline::in_ms(kDrainPatienceMs);
  expect_by({});  // a reader may take its time
  return {};
}

Result<> Sandbox::abandon_output() { return phase_ == Phase::draining ? settle() : Result<>(); }

Result<> Sandbox::settle() {
  expect_release();
  streams_.abandon();
  measure();
  if (end_ == SeenEnd::announced) TRY(await_instance_end());
  count_cpu_of_children(record_);
  set_outcome(record_, {ending_, stop_, started_ns_ != 0});
  phase_ = Phase::stopped;
  json::Object exited;
  exited.set("verdict", to_text(record_.outcome));
  exited.set("exit_code", exit_code(record_));
  context_.events.emit("exited", spec_->id(), exited);
  return {};
}

Record Sandbox::finish(Result<> lived) {
  if (!lived) note_failed_making(std::move(lived).error().in_step(step_));
  release();
  record_.setup_ns = timer_.total_ns();
  record_.steps = timer_.steps();
  if (auto written = context_.audit.exit(record_); !written) add_loss(record_, std::move(written).error().in_step("audit"));
  context_.events.emit("released", spec_->id());
  if (auto lost = context_.events.take_failure()) add_loss(record_, std::move(*lost));
  return std::move(record_);
}

// Kills everything. Called again until the end is seen: a process that is being born may miss the first one.
void Sandbox::stop(Stop why) {
  if (!lives()) return;
  if (stop_ == Stop::none) stop_ = why;
  kill_again_ = clock::Deadline::in_ms(kKillAgainMs);
  if (give_up_.never()) {
    give_up_ = clock::Deadline::in_ms(kEndMs);
    expect_by(clock::Deadline::in_ms(kReleaseMs));
  }
  instance_->kill_all();
}

Result<std::unique_ptr<Task>> Sandbox::exec(const Job& job, Stdio streams) {
  if (!lives()) return fail(Fault::failed, "sandbox " + spec_->id() + " runs no further job: it has ended, or is not ready");
  if (spec_->request().as_pid_1)
    return fail(Fault::unavailable,
                "sandbox " + spec_->id() + " runs no further job: its workload is PID 1, and not Bailey's init");
  TRY(context_.audit.exec(*spec_, job));
  return instance_->exec(job, std::move(streams));
}

void Sandbox::signal(int number) {
  if (phase_ != Phase::running) return;
  if (auto sent = instance_->signal(number); !sent) log::warning(sent.error().message);
}

void Sandbox::notice_oom() {
  char event[4096];
  (void)!::read(leases_.cgroup.oom_fd(), event, sizeof event);
  const host::CgroupUsage usage = leases_.cgroup.usage();
  if (usage.oom_kills.value_or(0) == 0 || oom_told_) return;
  oom_told_ = true;
  context_.events.emit("oom", spec_->id());
}

void Sandbox::serve_names() {
  if (auto served = leases_.network.serve_names(); !served) log::warning(served.error().message);
}

// What it used and what it wrote.
void Sandbox::measure() {
  const host::CgroupUsage usage = leases_.cgroup.usage();
  count_cpu(record_, usage, instance_->account());
  record_.peak_memory_bytes = usage.peak_memory_bytes;
  record_.peak_socket_memory_bytes = usage.peak_socket_memory_bytes;
  record_.max_rss_bytes = instance_->account().max_rss_bytes;
  record_.oom_kills = usage.oom_kills;
  record_.pids_limit_hits = usage.pids_limit_hits;
  if (leases_.network) {
    if (auto refused = leases_.network.refused()) record_.refused_network = std::move(*refused);
    else log::warning(refused.error().message);
    leases_.network.end_names();
  }
  record_.stdout_bytes = streams_.out().taken();
  record_.stderr_bytes = streams_.err().taken();
  record_.output_merged = streams_.merged();
  record_.output_truncated = streams_.truncated();
  record_.captured_stdout = streams_.take_captured_stdout();
  record_.captured_stderr = streams_.take_captured_stderr();
  if (auto failure = streams_.failure()) add_loss(record_, std::move(*failure));
  if (record_.output_truncated) context_.events.emit("output_truncated", spec_->id());
  if (usage.oom_kills.value_or(0) > 0 && !oom_told_) context_.events.emit("oom", spec_->id());
}

// A sandbox that could not be ended keeps its cgroup and its ids: gc removes them when it has ended.
void Sandbox::leave_behind() {
  const std::string what =
      "the sandbox could not be ended: a process of it sleeps in the kernel, which waits for a file system";
  if (record_.error) record_.error->message += "; " + what;
  else record_.error = Error{what, "'bailey gc' removes the rest when that file system has given way", Fault::failed, 0, step_};
  leases_.cgroup.leave();
  entry_.leave();
}

void Sandbox::release() {
  expect_release();
  // What was given up already is not waited for a second time.
  const clock::Deadline end = give_up_.passed() ? give_up_ : clock::Deadline::in_ms(kEndMs);
  if (instance_ && !instance_->end(end)) leave_behind();
  instance_.reset();
  streams_.abandon();
  if (auto removed = leases_.cgroup.remove(); !removed) {
    log::warning(removed.error().message + "; 'bailey gc' tries again");
    entry_.leave();  // which is how gc finds it
  }
  if (auto given_back = leases_.network.reset(); !given_back)
    log::warning(given_back.error().message + "; 'bailey gc' tries again");
  leases_ = Leases();
  entry_ = StateEntry();
  phase_ = Phase::released;
}

}  // namespace bailey::dispatcher
