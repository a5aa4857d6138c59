// bailey run: flags or a document -> Request -> Dispatcher -> record and exit code.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "base/units.h"
#include "cli/backends.h"
#include "cli/command_line.h"
#include "cli/explain.h"
#include "cli/options.h"
#include "cli/run.h"
#include "cli/watch.h"
#include "dispatcher/dispatcher.h"
#include "dispatcher/limits.h"
#include "dispatcher/networks.h"
#include "dispatcher/request_json.h"

namespace bailey::cli {

namespace {

using namespace dispatcher;

constexpr size_t kMaxRequestDocument = 16 << 20;
constexpr int kResultPatienceMs = 10'000;

Result<> configure_log(const std::string& text) {
  constexpr std::pair<const char*, log::Level> kLevels[] = {{"debug", log::Level::debug},
                                                            {"info", log::Level::info},
                                                            {"warning", log::Level::warning},
                                                            {"error", log::Level::error},
                                                            {"off", log::Level::off}};
  for (const auto& [name, level] : kLevels)
    if (text == name) return log::configure({.level = level}), Result<>();
  return fail(Fault::bad_input, "--log-level " + text + ": not known", "one of: debug, info, warning, error, off");
}

Result<Request> request_of(const RunFlags& flags, std::vector<std::string> command) {
  if (!flags.document) return make_request(flags.request, std::move(command));
  // One door at a time: a document that a flag could change would not say what is run.
  if (!flags.given.empty() || !command.empty())
    return fail(Fault::bad_input,
                "--request cannot be combined with " + (flags.given.empty() ? "a command" : flags.given.front()),
                "put it into the document; 'bailey run --explain --json ...' prints the document for a command line");
  return parse_request(TRY(read_source("--request", *flags.document, kMaxRequestDocument)), *flags.document);
}

// Whether anything of the run may be a file of the caller's: what a flag names, or a stream.
bool names_files(const RunFlags& flags) {
  const RequestFlags& request = flags.request;
  // runsc is a file, and may be looked for along PATH.
  if (request.runtime ? *request.runtime != "native" : request.trust.value_or("") != "trusted") return true;
  if (flags.document || flags.policy || flags.result || flags.events || request.rootfs || request.seccomp) return true;
  if (!request.volumes.empty() || !request.secrets.empty() || !request.env_files.empty()) return true;
  // Asked of /proc, because fstat(2) would ask the file system.
  for (const int stream : {0, 1, 2}) {
    const auto name = files::readlink("/proc/self/fd/" + std::to_string(stream));
    if (name && name->starts_with('/') && !name->starts_with("/dev/")) return true;
  }
  return false;
}

// One run, told step by step. What fails leaves its error in the record.
class Run {
 public:
  // `mounts`: as for gather_host_facts.
  Run(const RunFlags& flags, const Invocation& invocation, const std::vector<MountEntry>* mounts, const Watcher& watcher)
      : flags_(flags),
        command_(invocation.command),
        watcher_(watcher),
        timer_(invocation.started_ns),
        dispatcher_({.make_backend = make_backend,
                     .starts = !flags.explain,
                     .mounts = mounts,
                     .signals = watcher.signals,
                     .progress = watcher.progress},
                    timer_) {}

  const Record& record() const { return record_; }

  // Instead of perform, by a process that saw one which does not end.
  int tell_stuck(const Stuck& stuck) {
    record_.id = stuck.id;
    record_.limits.wall_ms = stuck.wall_ms;
    record_.trust = flags_.request.trust.value_or("");
    record_.outcome = stuck.outcome;
    record_.signal = stuck.signal;
    timer_.lap("stuck");
    record_.setup_ns = timer_.total_ns();
    record_.steps = timer_.steps();
    const std::string how = stuck.outcome == Outcome::setup_failed ? "was killed by signal " + std::to_string(stuck.signal)
                            : stuck.ended                          ? "did not react and was killed"
                                                                   : "could not be ended: it sleeps in the kernel";
    record_.error = Error{"the process of this run " + how,
                          "is a file that it needs on a file system that does not respond? 'bailey gc' removes what it left",
                          Fault::failed, 0, stuck.step};
    report(*record_.error);  // first: what follows may hang
    if (flags_.explain) return exit_code(record_);
    if (flags_.result) {
      auto opened = Sink::open(*flags_.result, Sink::Writing::whole);
      if (!opened) return report(opened.error());
      result_ = std::move(*opened);
    }
    if (flags_.json)
      if (auto opened = Sink::open("fd:1", Sink::Writing::lines)) json_ = std::move(*opened);
    return tell();
  }

  int perform() {
    expect_the_flags_limit();
    if (auto opened = open_sinks(); !opened) return report(opened.error());
    if (flags_.explain) {
      auto explained = explain();
      if (explained) return *explained;
      record_ = dispatcher_.fail(std::move(explained).error());
    } else {
      record_ = run();
    }
    const int rc = tell();
    if (record_.error) report(*record_.error);
    return rc;
  }

 private:
  static Result<Sink> open_sink(const char* flag, const std::string& name, Sink::Writing writing) {
    auto opened = Sink::open(name, writing);
    if (!opened) return std::unexpected(files::bad_path(std::move(opened).error(), flag));
    return opened;
  }

  Result<> open_sinks() {
    TRY(configure_log(flags_.log_level));
    if (flags_.result) result_ = TRY(open_sink("--result", *flags_.result, Sink::Writing::whole));
    if (!flags_.explain) TRY_WITH(result_.clear(), "--result");
    if (flags_.json) json_ = TRY_WITH(Sink::open("fd:1", Sink::Writing::lines), "--json");
    if (flags_.events) events_ = Events(TRY(open_sink("--events", *flags_.events, Sink::Writing::lines)));
    return {};
  }

  // The request and the policy that judges it.
  Result<> ask() {
    dispatcher_.take(TRY(request_of(flags_, std::move(command_))));
    if (flags_.policy && flags_.policy->empty()) return fail(Fault::bad_input, "--policy: no file is named", "leave it out");
    return dispatcher_.use_policy(flags_.policy.value_or(""));
  }

  const Record& run() {
    if (auto asked = ask(); !asked) return dispatcher_.fail(std::move(asked).error());
    StreamOptions streams;
    streams.attach_stdin = flags_.attach_stdin;
    streams.out = flags_.stdout_to;
    if (flags_.json) streams.output = StreamOptions::Output::capture;
    return dispatcher_.run(events_, streams);
  }

  Result<int> explain() {
    TRY(ask());
    TRY(dispatcher_.judge());
    const Admission::Decision& decision = dispatcher_.decision();
    Explanation explanation{.request = dispatcher_.request(), .verdicts = decision.verdicts};
    if (decision.spec) {
      if (auto chosen = dispatcher_.choose(); !chosen) {
        explanation.backend_fault = std::move(chosen).error();
      } else {
        explanation.plan = TRY(dispatcher_.explain());
        if (is_filtered(decision.spec->request().network))
          explanation.filter = TRY(network::explain(lease_spec(*decision.spec)));
      }
      explanation.about = dispatcher_.about();
      explanation.why_backend = decision.spec->why_backend();
    }
    if (const std::string where = flags_.json ? json::find_not_utf8(to_json(explanation.request)) : ""; !where.empty())
      return fail(Fault::bad_input, "--explain --json: " + where + " is not UTF-8, and no document can say it",
                  "leave out --json, or use names in UTF-8");
    TRY(files::write_fd(1, flags_.json ? explanation.document() : explanation.text(), "stdout"));
    return explanation.would_run() ? 0 : kExitBailey;
  }

  // Documents are read before the request is known, and that may hang as well.
  void expect_the_flags_limit() {
    expect_making(watcher_.progress, {});
    const auto timeout = std::ranges::find(limits(), "--timeout", &Limit::flag);
    for (const auto& [flag, value] : flags_.request.limits)
      if (flag == timeout->flag)
        if (const auto ms = parse_limit(*timeout, value)) expect_making(watcher_.progress, static_cast<int64_t>(*ms));
  }

  // The record to where it was asked for; one line for a person when it was us who ended the command.
  int tell() {
    const auto write = [&](const Sink& sink, const char* what) {
      if (auto written = sink.write(json::write(to_json(record_)), kResultPatienceMs); !written)
        add_loss(record_, std::move(written).error().with(what).in_step("result"));
    };
    if (flags_.json && !flags_.explain) write(json_, "--json");
    if (flags_.result) write(result_, "--result");  // last: it tells of the other's loss
    const LimitValues& limits = record_.limits;
    if (record_.outcome == Outcome::timed_out && limits.wall_ms)
      log::warning("killed: the time limit of " + units::format_milliseconds(limits.wall_ms.value_or(0)) +
                   " was reached (--timeout)");
    if (record_.outcome == Outcome::out_of_memory)
      log::warning("killed: out of memory; the limit is " + units::format_bytes(limits.memory_bytes.value_or(0)) +
                   " (--memory)");
    if (record_.outcome == Outcome::output_limit)
      log::warning("killed: it wrote more than " + units::format_bytes(limits.output_bytes.value_or(0)) + " (--output-limit)");
    return exit_code(record_);
  }

  const RunFlags& flags_;
  std::vector<std::string> command_;
  Watcher watcher_;
  StepTimer timer_;  // of a run that is stuck
  Sink result_, json_;
  Events events_;
  Record record_;
  Dispatcher dispatcher_;
};

}  // namespace

int perform_run(const RunFlags& flags, Invocation& invocation, const AfterRun& afterwards) {
  // Looked at before anything is opened: a file system that hangs is known by its kind.
  std::optional<std::vector<MountEntry>> mounts;
  if (names_files(flags))
    if (auto read = read_mount_table()) mounts = std::move(*read);
  const auto work = [&](const Watcher& watcher) {
    Run run(flags, invocation, mounts ? &*mounts : nullptr, watcher);
    const int rc = run.perform();
    const int code = afterwards ? afterwards(run.record(), rc) : rc;
    // Only destructors follow. They close files, and that may hang as well.
    if (watcher.progress) watcher.progress->finish(code);
    return code;
  };
  if (!mounts || !may_hang(*mounts)) return work({});
  const auto done = watch(work, [&](const Stuck& stuck) { return Run(flags, invocation, nullptr, {}).tell_stuck(stuck); });
  return done ? *done : report(done.error());
}

void add_run(OptionTable& table, Invocation& invocation) {
  auto flags = std::make_shared<RunFlags>();
  add_request_flags(table, flags->request);
  table.group("This run");
  table.flag("-i,--interactive", flags->attach_stdin, "pass stdin on (default: the command's stdin is at its end)");
  table.one("--request", flags->document, "FILE|fd:N",
            "the whole request as JSON, in place of the flags above and the command (default none)");
  table.one("--policy", flags->policy, "FILE", "policy (default /etc/bailey/policy.json, else built in)");
  table.one("--result", flags->result, "FILE|fd:N", "write the result record there (default nowhere)");
  table.one("--events", flags->events, "FILE|fd:N", "write what happens there, as JSON lines (default nowhere)");
  table.flag("--json", flags->json,
             "print the result record, output captured in it, in place of the output (default: the output as it comes)");
  table.flag("--explain", flags->explain, "print every guard's verdict and the plan, and start nothing");
  table.one("--log-level", flags->log_level, "debug|info|warning|error|off", "what is said on stderr (default warning)");
  table.ends_at_command();
  invocation.act = [flags, &table, &invocation] {
    flags->given = given_request_flags(table);
    return perform_run(*flags, invocation);
  };
}

}  // namespace bailey::cli
