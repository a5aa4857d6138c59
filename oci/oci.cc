#include "oci/oci.h"

#include <algorithm>
#include <iterator>

#include "base/files.h"
#include "bundle/config.h"
#include "oci/arguments.h"
#include "oci/commands.h"
#include "oci/words.h"

namespace bailey::oci {

namespace {

struct Verb {
  const char* name;
  Result<int> (*act)(const Call& call, const Runtime& runtime);
};
constexpr Verb kVerbs[] = {{"create", create}, {"start", start}, {"state", state}, {"kill", kill},
                           {"delete", remove}, {"list", list},   {"exec", exec},   {"pause", pause},
                           {"resume", resume}, {"ps", ps},       {"run", run}};

// A flag that would change what is made, and does not yet.
Result<> check_flags(const Call& call) {
  const struct {
    bool given;
    const char* what;
  } missing[] = {{call.systemd_cgroup || call.cgroup_manager == "systemd", "cgroups by systemd"},
                 {call.cgroup_manager == "disabled", "--cgroup-manager disabled"},
                 {call.preserve_fds && *call.preserve_fds != "0", "--preserve-fds"},
                 {call.pidfd_socket.has_value(), "--pidfd-socket"},
                 {call.cgroup.has_value(), "--cgroup"},
                 {call.apparmor.has_value(), "--apparmor"},
                 {call.process_label.has_value(), "--process-label"}};
  for (const auto& [given, what] : missing)
    if (given) return fail(Fault::unavailable, std::string(what) + ": not there yet in this runtime", "leave it out");
  return {};
}

// As runc prints it, which podman reads.
int print_version(const std::string& version) {
  const std::string text = "bailey-oci version " + version + "\nspec: " + bundle::kOciVersion + "\n";
  return files::write_fd(1, text, "stdout") ? 0 : 1;
}

}  // namespace

bool is_runtime_name(const std::string& program) {
  constexpr const char* kNames[] = {"bailey-oci", "runc", "crun", "runsc"};
  const std::string name = program.substr(program.rfind('/') + 1);
  return std::ranges::find(kNames, name) != std::end(kNames);
}

int perform(std::span<const std::string> words, const dispatcher::BackendFactory& make_backend, const std::string& version,
            int64_t started_ns) {
  if (!words.empty() && (words.front() == "--version" || words.front() == "-v")) return print_version(version);
  auto call = parse_call(words);
  if (!call) return tell(call.error(), {});
  if (auto checked = check_flags(*call); !checked) return tell(checked.error(), *call);
  const auto verb = std::ranges::find(kVerbs, call->command, &Verb::name);
  const auto done = verb->act(*call, {make_backend, started_ns});
  return done ? *done : tell(done.error(), *call);
}

}  // namespace bailey::oci
