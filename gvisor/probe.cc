#include "gvisor/probe.h"

#include "gvisor/platform.h"

namespace bailey::gvisor {

namespace {

using host::Probe;
using State = host::Probe::State;

constexpr const char* kNoGvisor = "no gVisor backend: untrusted code cannot run";
constexpr const char* kNewer = "install a newer runsc (README, 'Getting runsc')";

Probe missing(std::string name, const Error& error) {
  return {std::move(name), State::missing, error.message, kNoGvisor, error.remedy};
}

Probe probe_descriptors(const Traits& traits) {
  if (traits.passes_fds()) return {"runsc descriptors", State::ok, "passed to the sandbox (--pass-fd)", "", ""};
  return {"runsc descriptors", State::degraded, "this build has no --pass-fd",
          "a signal takes a start of runsc, about 20 ms; a sandbox cannot be made ahead of its job", kNewer};
}

Probe probe_platform(const Binary& binary, const Traits& traits, const std::string& platform, bool& no_such_platform) {
  const PlatformTrial trial = try_platform(binary, traits, platform);
  no_such_platform = trial.no_such_platform;
  const std::string name = "gVisor " + platform;
  if (trial.works) return {name, State::ok, "a sandbox ran", "", ""};
  if (trial.no_such_platform)
    return {name, State::degraded, "this build has no such platform", "ptrace is used: system calls cost 20 times as much",
            kNewer};
  return {name, State::missing, trial.why, kNoGvisor, "name another platform with --platform, or " + std::string(kNewer)};
}

}  // namespace

std::vector<Probe> probe_for_doctor(const BackendOptions& options) {
  std::vector<Probe> probes;
  const auto binary = open_runsc(options.runsc, options.search_path);
  if (!binary) return {missing("runsc", binary.error())};
  const auto traits = ask_traits(*binary);
  if (!traits) return {missing("runsc", traits.error())};
  probes.push_back({"runsc", State::ok, binary->path + ", version " + traits->version, "", ""});
  probes.push_back(probe_descriptors(*traits));
  bool no_such_platform = false;
  probes.push_back(probe_platform(*binary, *traits, "systrap", no_such_platform));
  if (no_such_platform) probes.push_back(probe_platform(*binary, *traits, "ptrace", no_such_platform));
  return probes;
}

}  // namespace bailey::gvisor
