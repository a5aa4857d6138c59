#include "gvisor/arguments.h"

#include "gvisor/plan.h"

namespace bailey::gvisor {

namespace {

constexpr const char* kState = "--root=/state";

std::string passed_fd(int number) { return "--pass-fd=" + std::to_string(number) + ":" + std::to_string(number); }

// sandbox: its own stack, over the links of a namespace that was made ready.
const char* network_flag(dispatcher::NetworkMode mode) {
  if (mode == dispatcher::NetworkMode::host) return "--network=host";
  return dispatcher::is_filtered(mode) ? "--network=sandbox" : "--network=none";
}

}  // namespace

std::vector<std::string> runsc_arguments(const Traits& traits, const RunscOptions& options) {
  std::vector<std::string> out{"runsc",
                               kState,
                               "--log=/log",
                               "--log-format=json",
                               "--ignore-cgroups",
                               "--platform=" + options.platform,
                               network_flag(options.network)};
  const auto add_known = [&](std::string_view flag, const std::string& value) {
    if (traits.has_flag(flag)) out.push_back("--" + std::string(flag) + "=" + value);
  };
  // Never the default "self": it would put a file beside the root. Without a cap the memory limit is one.
  std::string overlay = "none";
  if (options.root_in_memory) {
    overlay = "root:memory";
    if (options.root_memory_bytes && traits.caps_overlay) overlay += ",size=" + std::to_string(*options.root_memory_bytes);
  }
  add_known("overlay2", overlay);
  add_known("panic-log", "/panic-log");         // what its kernel says when it crashes
  add_known("gofer-network-namespace", "new");  // "null" leaves a mount on its root for ever
  add_known("host-settings", "ignore");         // advice about sysctls that are not ours
  if (!options.directfs) add_known("directfs", "false");
  out.insert(out.end(), {"run", "--bundle=/bundle"});
  if (traits.passes_fds()) out.insert(out.end(), {passed_fd(kJobFd), passed_fd(kReportFd)});
  if (options.console) out.emplace_back("--console-socket=/console");
  out.push_back(options.id);
  return out;
}

std::vector<std::string> exec_arguments(const std::string& id, const std::string& document) {
  return {"runsc",
          kState,
          "--log=/exec-log",
          "--log-format=json",
          "exec",
          "--process=" + document,
          passed_fd(kJobFd),
          passed_fd(kReportFd),
          id};
}

std::vector<std::string> kill_arguments(const std::string& id, int signal) {
  return {"runsc", kState, "--log=/kill-log", "--log-format=json", "kill", id, std::to_string(signal)};
}

}  // namespace bailey::gvisor
