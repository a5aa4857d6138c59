#include "oci/request.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include "base/files.h"
#include "bundle/reader.h"
#include "dispatcher/guards.h"
#include "dispatcher/host_facts.h"
#include "host/cgroup/cgroup.h"

namespace bailey::oci {

namespace {

using dispatcher::Policy;
using dispatcher::Request;

constexpr size_t kMaxConfig = 16 << 20;
constexpr uint32_t kUsualUmask = 0022;  // runc's and crun's, where the configuration says none

Result<std::string> level_of(const bundle::Config& config, const Policy& policy) {
  const auto asked = config.annotations.find(kTrustAnnotation);
  const std::string level = asked == config.annotations.end() ? policy.engines.default_level : asked->second;
  const auto& allowed = policy.engines.levels;
  if (std::ranges::find(allowed, level) != allowed.end()) return level;
  std::string known;
  for (const std::string& one : allowed) known.append(known.empty() ? "" : ", ").append(one);
  return fail(Fault::refused, "the level '" + level + "' is not for containers of an engine",
              "one of: " + known + "; or oci.levels in the policy (" + policy.source + ")");
}

bool has_component(std::string_view path, std::string_view component) {
  if (component.empty()) return false;
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    if (path.substr(at, end - at) == component) return true;
    at = end + 1;
  }
  return false;
}

// Whether the engine itself has written that mount, and not its user: no bind, or one of a directory that the engine has made
// for this container or its pod (its /etc/hosts, a volume of the kubelet's), or of a volume by name.
bool is_engines_own(const bundle::Mount& mount, const std::string& id, const bundle::Config& config) {
  if (!dispatcher::is_bind(mount)) return true;
  if (has_component(mount.source, id)) return true;
  for (const char* key : {"io.kubernetes.cri.sandbox-id", "io.kubernetes.cri.sandbox-uid", "io.kubernetes.cri-o.SandboxID"}) {
    const auto found = config.annotations.find(key);
    if (found != config.annotations.end() && has_component(mount.source, found->second)) return true;
  }
  return mount.source.ends_with("/_data") && has_component(mount.source, "volumes");
}

}  // namespace

Result<> check_terminal(const Call& call, bool terminal) {
  if (terminal && !call.console_socket && call.command != "run")
    return fail(Fault::bad_input, "cannot allocate tty without --console-socket: process.terminal is true");
  if (!terminal && call.console_socket)
    return fail(Fault::bad_input, "cannot use --console-socket: process.terminal is not true");
  return {};
}

Result<std::string> bundle_of(const Call& call) {
  char path[PATH_MAX];
  if (!::realpath(call.bundle.value_or(".").c_str(), path)) {
    const int error = errno;
    auto failed = sys_error("the bundle " + call.bundle.value_or("."), error);
    failed.error().fault = Fault::bad_input;
    return failed;
  }
  return std::string(path);
}

Result<Request> make_request(const Call& call, const std::string& bundle, const Policy& policy) {
  if (::geteuid() != 0)
    return fail(Fault::unavailable, call.command + " requires root: containers of an ordinary user are not there yet",
                "run the engine as root, or 'bailey run'");
  const std::string file = bundle + "/config.json";
  Request request;
  const std::string text = TRY(files::read(file, kMaxConfig));
  request.config = TRY(bundle::parse_config(text, file, json::UnknownKeys::ignore));
  bundle::Config& config = request.config;
  if (!config.process) return fail(Fault::bad_input, file + ": process is missing");
  TRY(check_terminal(call, config.process->terminal));
  request.id = call.id;
  request.bundle = bundle;
  request.shape = dispatcher::Shape::complete;
  request.lifetime = dispatcher::Lifetime::independent;
  request.as_pid_1 = true;
  request.trust = TRY(level_of(config, policy));
  if (!config.root->path.starts_with('/')) config.root->path = bundle + "/" + config.root->path;
  for (bundle::Mount& mount : config.mounts) {
    if (!mount.destination.starts_with('/')) mount.destination = "/" + mount.destination;  // runtime-spec 1.0 let it be so
    if (dispatcher::is_bind(mount) && !mount.source.starts_with('/')) mount.source = bundle + "/" + mount.source;
  }
  const bool trusted = !dispatcher::judged_level(request, policy).untrusted;
  for (size_t i = 0; i < config.mounts.size(); ++i)
    if (trusted || is_engines_own(config.mounts[i], call.id, config)) request.engine_mounts.push_back(i);
  if (!config.process->user.umask) config.process->user.umask = kUsualUmask;
  std::string& cgroup = config.linux.cgroups_path;
  if (cgroup.empty() && !policy.cgroup_parent.empty()) cgroup = policy.cgroup_parent + "/" + host::cgroup_name(call.id);
  if (!cgroup.empty() && !cgroup.starts_with('/')) cgroup = "/" + cgroup;
  return request;
}

}  // namespace bailey::oci
