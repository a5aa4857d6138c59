// bailey doctor: what this host can do, each thing tried, and whether `run` works for every level of the
// policy: by running /bin/true in each. What fails says what it costs and what would help. Exit 0 when every
// level works, else 1.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "base/units.h"
#include "cli/backends.h"
#include "cli/command_line.h"
#include "cli/network_trial.h"
#include "cli/probes.h"
#include "dispatcher/dispatcher.h"
#include "dispatcher/names.h"
#include "gvisor/probe.h"
#include "host/probe/probe.h"

namespace bailey::cli {

namespace {

using namespace dispatcher;
using host::Probe;

constexpr int kExitSick = 1;
constexpr int64_t kLongestRunMs = 60'000;

struct Flags {
  std::string policy, runsc;
  bool json = false;
};

// One level on one of its runtimes.
struct LevelRun {
  std::string level;
  bool first = false;  // the runtime that `--runtime auto` takes: what the verdict is about
  Probe probe;
};

Request request_for(const Policy& policy, const Level& level, BackendKind runtime, const std::string& runsc) {
  Request request;
  request.trust = level.name;
  request.runtime = runtime;
  const bool none = std::ranges::find(level.networks, NetworkMode::none) != level.networks.end();
  request.network = none || level.networks.empty() ? NetworkMode::none : level.networks.front();
  request.unsafe_opt_ins.native_for_untrusted = policy.unsafe_native_for_untrusted && runtime == BackendKind::native;
  request.unsafe_opt_ins.host_network = request.network == NetworkMode::host;
  request.config.process.emplace().args = {"/bin/true"};
  request.limits.wall_ms = std::min(kLongestRunMs, level.ceilings.wall_ms.value_or(kLongestRunMs));
  if (runtime == BackendKind::gvisor && !runsc.empty()) request.backend_settings["runsc"] = runsc;
  return request;
}

Record run_true(const Policy& policy, Request request) {
  Dispatcher dispatcher({.make_backend = make_backend}, StepTimer(clock::monotonic_ns()));
  dispatcher.take(std::move(request));
  if (auto used = dispatcher.use_policy(policy); !used) return dispatcher.fail(std::move(used).error());
  Events events;
  return dispatcher.run(events, {.output = StreamOptions::Output::capture});
}

std::string describe(const About& about) {
  std::string text = about.name + " " + about.version;
  return about.platform.empty() ? text : text + " on " + about.platform;
}

LevelRun try_level(const Policy& policy, const Level& level, BackendKind runtime, const std::string& runsc) {
  LevelRun tried{.level = level.name, .first = runtime == level.runtimes.front(), .probe = {}};
  const std::string runtime_name = name_of(runtime, kBackendNames);
  Probe& probe = tried.probe;
  probe.name = "run, " + level.name + ", " + runtime_name;
  const Record record = run_true(policy, request_for(policy, level, runtime, runsc));
  if (record.outcome == Outcome::exited && record.exit_code == 0) {
    probe.state = Probe::State::ok;
    probe.detail = describe(record.backend) + ", ready after " + units::format_milliseconds(record.setup_ns / 1'000'000);
    return tried;
  }
  probe.state = tried.first ? Probe::State::missing : Probe::State::degraded;
  probe.cost = tried.first ? "`bailey run --trust " + level.name + "` does not work"
                           : "`--runtime " + runtime_name + "` does not work for this level";
  if (!record.error) {
    probe.detail = std::string("/bin/true: ") + to_text(record.outcome) + " with " + std::to_string(exit_code(record)) + " " +
                   record.captured_stderr.value_or("");
  } else {
    const Error& error = *record.error;
    probe.detail = error.step.empty() ? error.message : error.step + ": " + error.message;
    probe.remedy = error.remedy;
  }
  if (probe.remedy.empty())
    probe.remedy = ::geteuid() == 0 ? "see what is missing above" : "run as root, or see what is missing above";
  return tried;
}

// Where state is kept, and that nobody else has a hand in it.
Probe probe_runtime_directory() {
  const auto store = StateStore::open();
  if (store) return {"runtime directory", Probe::State::ok, store->path(), "", ""};
  return {"runtime directory", Probe::State::missing, store.error().message, "nothing runs", store.error().remedy};
}

struct Diagnosis {
  std::vector<Probe> host;
  std::vector<LevelRun> runs;
  std::vector<std::string> sick;  // levels for which `run` does not work

  std::string text() const {
    std::string all;
    for (const Probe& probe : host) all += line(probe);
    for (const LevelRun& run : runs) all += line(run.probe);
    if (sick.empty()) return all + "`bailey run` works for every level of the policy\n";
    all += "`bailey run` does not work for:";
    for (const std::string& level : sick) all += " " + level;
    return all + "\n";
  }

  std::string document() const {
    json::Array probes, levels;
    for (const Probe& probe : host) probes.emplace_back(to_json(probe));
    for (const LevelRun& run : runs) {
      json::Object object = to_json(run.probe);
      object.set("level", run.level);
      object.set("default_runtime", run.first);
      levels.emplace_back(std::move(object));
    }
    json::Object all;
    all.set("ok", sick.empty());
    all.set("not_working", json::Array(sick.begin(), sick.end()));
    all.set("host", std::move(probes));
    all.set("runs", std::move(levels));
    return json::write(all, json::Layout::indented) + "\n";
  }
};

Diagnosis diagnose(const Flags& flags) {
  Diagnosis found;
  const auto policy = load_policy(flags.policy);
  found.host = host::probe_host("/usr", policy ? policy->cgroup_parent : "");
  if (!policy) {
    found.host.push_back({"policy", Probe::State::missing, policy.error().message, "nothing runs", policy.error().remedy});
    found.sick.emplace_back("any level: there is no policy");
    return found;
  }
  found.host.push_back({"policy", Probe::State::ok, policy->source, "", ""});
  found.host.push_back(probe_runtime_directory());
  for (Probe& probe : try_network(*policy)) found.host.push_back(std::move(probe));
  const char* path = ::getenv("PATH");
  for (Probe& probe : gvisor::probe_for_doctor(
           {.runsc = flags.runsc.empty() ? std::string(setting_of(policy->backend_settings, "runsc")) : flags.runsc,
            .search_path = path ? path : "",
            .platform = "",
            .runtime_directory = ""}))
    found.host.push_back(std::move(probe));
  for (const auto& [name, level] : policy->levels) {
    for (const BackendKind runtime : level.runtimes) found.runs.push_back(try_level(*policy, level, runtime, flags.runsc));
    const bool works = !level.runtimes.empty() && std::ranges::none_of(found.runs, [&](const LevelRun& run) {
      return run.level == name && run.first && run.probe.state != Probe::State::ok;
    });
    if (!works) found.sick.push_back(name);
  }
  return found;
}

}  // namespace

void add_doctor(OptionTable& table, Invocation& invocation) {
  auto flags = std::make_shared<Flags>();
  table.one("--policy", flags->policy, "FILE", "policy file in place of /etc/bailey/policy.json");
  table.one("--runsc", flags->runsc, "PATH", "absolute path of the runsc to use");
  table.flag("--json", flags->json, "print all of it as JSON");
  invocation.act = [flags] {
    log::configure({.level = log::Level::off});  // what goes wrong is in the answer
    const Diagnosis found = diagnose(*flags);
    if (auto written = files::write_fd(1, flags->json ? found.document() : found.text(), "stdout"); !written)
      return report(written.error());
    return found.sick.empty() ? 0 : kExitSick;
  };
}

}  // namespace bailey::cli
