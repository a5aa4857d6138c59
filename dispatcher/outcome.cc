#include "dispatcher/outcome.h"

#include <sys/resource.h>

#include <algorithm>
#include <csignal>

namespace bailey::dispatcher {

namespace {

int64_t microseconds(const timeval& time) { return time.tv_sec * 1'000'000 + time.tv_usec; }

// It ended while it waited for one.
void judge_without_job(Record& record, Stop stopped) {
  record.outcome = Outcome::setup_failed;
  if (stopped == Stop::signal) record.outcome = Outcome::signaled, record.signal = SIGKILL;
  else if (record.oom_kills.value_or(0) > 0) record.outcome = Outcome::out_of_memory;
  else record.error = Error{"the sandbox ended while it waited for its job", "see the kernel log", Fault::failed, 0, "ready"};
}

}  // namespace

void set_outcome(Record& record, const HowItEnded& end) {
  const Ending& ending = end.ending;
  if (ending.kind == Ending::Kind::signaled) record.signal = ending.value;
  const bool killed = (ending.kind == Ending::Kind::signaled && ending.value == SIGKILL) ||
                      (ending.kind == Ending::Kind::exited && ending.value == 128 + SIGKILL);
  if (end.stopped == Stop::timed_out) {
    record.outcome = Outcome::timed_out;
  } else if (!end.had_a_job) {
    judge_without_job(record, end.stopped);
  } else if (end.stopped == Stop::output_limit) {
    record.outcome = Outcome::output_limit;
  } else if (ending.kind == Ending::Kind::not_started) {
    record.outcome = Outcome::setup_failed;
    record.error = Error(ending.error).in_step("exec");
  } else if (killed && record.oom_kills.value_or(0) > 0) {
    record.outcome = Outcome::out_of_memory;
  } else if (ending.kind == Ending::Kind::signaled) {
    record.outcome = Outcome::signaled;
  } else {
    record.outcome = Outcome::exited;
    record.exit_code = ending.value;
  }
}

void count_cpu(Record& record, const host::CgroupUsage& usage, const Account& account) {
  record.user_us = account.own_cpu_us ? account.user_us : std::nullopt;
  record.system_us = account.own_cpu_us ? account.system_us : std::nullopt;
  if (!usage.cpu_us) return;
  // What PID 1 used before it joined the cgroup is in its own part only; what it has waited for is exact.
  const int64_t waited_for = record.user_us.value_or(0) + record.system_us.value_or(0);
  record.cpu_us = std::max(waited_for, *usage.cpu_us - account.own_cpu_us.value_or(0));
  if (!record.user_us) record.user_us = usage.user_us, record.system_us = usage.system_us;
  const host::CpuSplit split = host::split_cpu_time(*record.cpu_us, record.user_us.value_or(0), record.system_us.value_or(0));
  record.user_us = split.user_us;
  record.system_us = split.system_us;
}

void count_cpu_of_children(Record& record) {
  if (record.cpu_us) return;
  rusage children{};
  if (!record.user_us && ::getrusage(RUSAGE_CHILDREN, &children) == 0) {
    record.user_us = microseconds(children.ru_utime);
    record.system_us = microseconds(children.ru_stime);
  }
  if (record.user_us) record.cpu_us = *record.user_us + record.system_us.value_or(0);
}

}  // namespace bailey::dispatcher
